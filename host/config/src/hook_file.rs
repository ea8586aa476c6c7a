//! `NAME.toml`: the operator's word on one hook, over the defaults that the component's manifest suggests.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::credential::{CredentialTable, below, credential};
use super::environment::{Typed, environment};
use super::error::ConfigError;
use super::queued::{AcceptedTable, DedupTable, Rate, RetryTable, accepted, dedup, retry};
use super::settings_schema::SettingsSchema;
use super::values::{MethodName, Parsed, Size, Time};
use landfall_model::hook::{is_table_name, rest_of};
use landfall_model::{
    Allow, Credential, HookName, HookSpec, HttpGrant, Mode, Place, Quota, SecretRef, SizeSpec,
    VerifySpec,
};

/// What a hook is made from.
#[derive(Debug, Clone, Copy)]
pub struct HookSource<'a> {
    /// From the file's stem.
    pub name: &'a HookName,
    /// The operator's file; empty where a component was dropped in alone.
    pub text: &'a str,
    /// The component's own suggestions, from `parse_manifest`.
    pub manifest: Option<&'a toml::Table>,
    /// Relative `file:` references start here.
    pub dir: &'a Path,
}

/// What may be typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HookFile {
    path: Option<String>,
    methods: Option<Vec<MethodName>>,
    component: Option<String>,
    mode: Option<ModeName>,
    answer_within: Option<Time>,
    deadline: Option<Time>,
    concurrency: Option<usize>,
    max_body: Option<Size>,
    dedup: Option<DedupTable>,
    retry: Option<RetryTable>,
    max_rate: Option<Parsed<Rate>>,
    order_by: Option<Place>,
    accepted: Option<AcceptedTable>,
    verify: Option<VerifySpec>,
    settings: Option<toml::Table>,
    environment: Option<BTreeMap<String, Typed>>,
    strip_prefix: Option<bool>,
    allow: Option<AllowTable>,
    #[serde(default)]
    credentials: Vec<CredentialTable>,
    limits: Option<LimitsTable>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ModeName {
    Sync,
    Async,
    Auto,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowTable {
    #[serde(default)]
    http: Vec<Parsed<HttpGrant>>,
    #[serde(default)]
    redirects: u8,
    #[serde(default)]
    addresses: Vec<Parsed<AddressRange>>,
    #[serde(default)]
    table: Vec<String>,
    #[serde(default)]
    kv: bool,
    #[serde(default)]
    emit: Vec<Parsed<HookName>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    memory: Option<Size>,
    kv: Option<Size>,
    rows: Option<Size>,
}

/// `10.0.0.0/8`, or one address.
#[derive(Debug)]
struct AddressRange(ipnet::IpNet);

const DEADLINE_DEFAULT: Duration = Duration::from_secs(60);
const CONCURRENCY_DEFAULT: usize = 80;
const KV_DEFAULT: usize = 64 << 20;
const ROWS_DEFAULT: usize = 4 << 30;
const QUOTA_LIMIT: usize = 1 << 40;
const SETTINGS_BYTES_MAX: usize = 256 << 10;

/// Reads and checks one hook.
pub fn parse_hook(source: HookSource<'_>) -> Result<HookSpec, ConfigError> {
    let file_name = format!("{}.toml", source.name);
    let operator: HookFile = toml::from_str(source.text)
        .map_err(|error| ConfigError::of_toml(&file_name, source.text, &error))?;
    let suggested = source.manifest.map_or_else(HookFile::default, suggestions);
    let wrong =
        |key: &[&str], message: String| ConfigError::at_key(&file_name, source.text, key, message);
    build(operator.over(suggested), &source).map_err(|mistake| wrong(mistake.key, mistake.message))
}

/// Checks the manifest that a component carries: a hook file without secrets. `file` names it in errors.
pub fn parse_manifest(file: &str, text: &str) -> Result<toml::Table, ConfigError> {
    let mut table: toml::Table =
        toml::from_str(text).map_err(|error| ConfigError::of_toml(file, text, &error))?;
    // A whole manifest that is a hook file has mistakes at known places.
    if table.remove(SETTINGS_SCHEMA).is_none() {
        toml::from_str::<HookFile>(text)
            .map_err(|error| ConfigError::of_toml(file, text, &error))?;
    }
    typed(&table).map_err(|error| ConfigError::whole(file, error.message()))?;
    Ok(table)
}

/// The JSON Schema of `[settings]` in a manifest.
pub fn settings_schema(file: &str, manifest: &str) -> Result<Option<SettingsSchema>, ConfigError> {
    let table: toml::Table =
        toml::from_str(manifest).map_err(|error| ConfigError::of_toml(file, manifest, &error))?;
    let schema = table
        .get(SETTINGS_SCHEMA)
        .map(SettingsSchema::parse)
        .transpose();
    schema.map_err(|why| ConfigError::whole(file, format!("{SETTINGS_SCHEMA} {why}")))
}

/// The rest of a manifest, as it was written if there is no schema; none where nothing is left.
pub fn without_schema(manifest: &str) -> Option<String> {
    let mut table: toml::Table = manifest.parse().ok()?;
    match table.remove(SETTINGS_SCHEMA) {
        Some(_) => (!table.is_empty()).then(|| table.to_string()),
        None => Some(manifest.to_owned()),
    }
}

fn typed(manifest: &toml::Table) -> Result<HookFile, toml::de::Error> {
    let mut table = manifest.clone();
    table.remove(SETTINGS_SCHEMA);
    table.try_into()
}

/// What a manifest asks to be granted; nothing where it cannot be read.
pub fn asked_by(manifest: &str) -> Allow {
    let typed = manifest.parse().ok().and_then(|table| typed(&table).ok());
    typed
        .and_then(|typed| allow(typed.allow?).ok())
        .unwrap_or_default()
}

/// Keys of a manifest that may be defaults of a hook. The author of a component decides about nothing else: not where it
/// is reached, by whom, with which grants and limits.
const SUGGESTED: [&str; 3] = ["settings", "methods", "mode"];
const ANSWER_WITHIN: &str = "answer_within";
/// The key of a manifest that a hook file has not.
const SETTINGS_SCHEMA: &str = "settings_schema";

/// The part of a manifest that may be a default.
fn suggestions(manifest: &toml::Table) -> HookFile {
    let mut table = manifest.clone();
    table.retain(|key, _| SUGGESTED.contains(&key));
    table.try_into().expect("parse_manifest has read it")
}

/// The time within which a component wants to answer. Only a time below the default may be used.
pub fn suggested_answer_within(manifest: &toml::Table) -> Option<Duration> {
    typed(manifest)
        .ok()?
        .answer_within
        .map(|time| time.0)
        .filter(|time| !time.is_zero())
}

/// What a manifest says beside its suggestions, as TOML: requests, which only the hook file can grant.
pub fn requests(manifest: &str) -> Option<String> {
    let mut table: toml::Table = manifest.parse().ok()?;
    table.retain(|key, _| {
        !SUGGESTED.contains(&key) && key != ANSWER_WITHIN && key != SETTINGS_SCHEMA
    });
    (!table.is_empty()).then(|| table.to_string())
}

/// A mistake at a key; `parse_hook` finds its line.
pub(super) struct Mistake {
    key: &'static [&'static str],
    message: String,
}

pub(super) fn mistake<T>(
    key: &'static [&'static str],
    message: impl Into<String>,
) -> Result<T, Mistake> {
    Err(Mistake {
        key,
        message: message.into(),
    })
}

fn build(file: HookFile, source: &HookSource<'_>) -> Result<HookSpec, Mistake> {
    let name = source.name.clone();
    let deadline = in_range(&["deadline"], file.deadline, DEADLINE_DEFAULT, 1, 3600)?;
    let answer_within = match file.answer_within {
        None => None,
        Some(time) => Some(in_range(&["answer_within"], Some(time), deadline, 0, 3600)?),
    };
    let concurrency = file.concurrency.unwrap_or(CONCURRENCY_DEFAULT);
    if !(1..=1000).contains(&concurrency) {
        return mistake(
            &["concurrency"],
            format!("concurrency {concurrency} is out of range: 1 to 1000"),
        );
    }
    let methods = file
        .methods
        .unwrap_or_else(|| vec![MethodName(http::Method::POST)]);
    if methods.is_empty() {
        return mistake(
            &["methods"],
            "an empty list lets nothing in: name at least one method, such as \"POST\"",
        );
    }
    let component = component(file.component, &name)?;
    let path = path(file.path, &name)?;
    let limits = file.limits.unwrap_or_default();
    Ok(HookSpec {
        strips: strips(file.strip_prefix.unwrap_or_default(), &path)?,
        path,
        methods: methods.into_iter().map(|method| method.0).collect(),
        component,
        mode: mode(file.mode),
        dedup: dedup(file.dedup.unwrap_or_default())?,
        retry: retry(file.retry.unwrap_or_default())?,
        max_rate: file.max_rate.map(|rate| rate.0.0),
        order_by: file.order_by,
        accepted: accepted(file.accepted.unwrap_or_default())?,
        answer_within,
        deadline,
        concurrency,
        sizes: SizeSpec {
            max_body: sized(&["max_body"], file.max_body, 1, SizeSpec::MAX_BODY_LIMIT)?,
            memory: sized(
                &["limits", "memory"],
                limits.memory,
                1 << 20,
                SizeSpec::MEMORY_LIMIT,
            )?,
        },
        verify: verify(file.verify.unwrap_or_default(), source.dir),
        settings: settings(file.settings.unwrap_or_default())?,
        environment: environment(file.environment.unwrap_or_default(), source.dir)?,
        allow: allow(file.allow.unwrap_or_default())?,
        credentials: credentials(file.credentials, source.dir)?,
        quota: quota(limits)?,
        name,
    })
}

fn path(typed: Option<String>, name: &HookName) -> Result<String, Mistake> {
    let path = typed.unwrap_or_else(|| format!("/{name}"));
    if !path.starts_with('/') {
        return mistake(&["path"], format!("path `{path}` must begin with `/`"));
    }
    // No name of a hook has a slash in it, so this is never a path by default.
    if path.starts_with("/_landfall/") {
        return mistake(
            &["path"],
            format!("path `{path}`: what begins with /_landfall/ is the node's own"),
        );
    }
    // What no request line can hold, or what no client sends as it is, would be served to nobody.
    let can_be_sent = |c: char| c.is_ascii_graphic() && !"?#*\"<>\\^`|%".contains(c);
    if let Some(bad) = path.replace("%", "").chars().find(|c| !can_be_sent(*c)) {
        return mistake(
            &["path"],
            format!(
                "path `{}`: no `{}` in a path",
                path.escape_debug(),
                bad.escape_debug()
            ),
        );
    }
    let is_encoded =
        |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !path.split('%').skip(1).all(is_encoded) {
        return mistake(
            &["path"],
            format!("path `{path}`: after `%` come two hexadecimal digits"),
        );
    }
    if path.contains("//") {
        return mistake(&["path"], format!("path `{path}`: no empty segments"));
    }
    let segments = path.matches("...}").count();
    if segments > usize::from(rest_of(&path).is_some()) {
        return mistake(
            &["path"],
            format!("path `{path}`: `{{rest...}}` is a whole segment, and the last one"),
        );
    }
    Ok(path)
}

/// The parameter that holds the path a mounted component gets.
fn strips(typed: bool, path: &str) -> Result<Option<String>, Mistake> {
    match rest_of(path) {
        _ if !typed => Ok(None),
        Some(name) => Ok(Some(name.to_owned())),
        None => mistake(
            &["strip_prefix"],
            format!(
                "strip_prefix needs a path that ends in {{rest...}}: path = \"{}/{{rest...}}\"",
                path.trim_end_matches('/')
            ),
        ),
    }
}

fn component(typed: Option<String>, name: &HookName) -> Result<String, Mistake> {
    let typed = typed.unwrap_or_else(|| format!("{name}.wasm"));
    component_file(&typed).ok_or_else(|| Mistake {
        key: &["component"],
        message: format!(
            "component `{typed}` must be the name of a file in the plugins directory, such as \"echo.wasm\""
        ),
    })
}

/// The file name that `component = "…"` means; none where it is no file name.
pub fn component_file(typed: &str) -> Option<String> {
    let stem = typed.strip_suffix(".wasm").unwrap_or(typed);
    let is_name = !stem.is_empty() && !stem.starts_with('.') && !stem.contains(['/', '\\', '\0']);
    is_name.then(|| format!("{stem}.wasm"))
}

fn mode(typed: Option<ModeName>) -> Mode {
    match typed {
        Some(ModeName::Sync) => Mode::Sync,
        Some(ModeName::Async) => Mode::Async,
        None | Some(ModeName::Auto) => Mode::Auto,
    }
}

fn credentials(tables: Vec<CredentialTable>, dir: &Path) -> Result<Vec<Credential>, Mistake> {
    let all: Vec<Credential> = tables
        .into_iter()
        .map(|table| credential(table, dir))
        .collect::<Result<_, _>>()?;
    let at = |at: usize| (all[at].kind.place(), &all[at].target);
    let twice = (1..all.len()).find(|&later| (0..later).any(|before| at(before) == at(later)));
    match twice.map(at) {
        Some((place, target)) => mistake(
            &["credentials"],
            format!("two credentials put {place} for {target}: leave one"),
        ),
        None => Ok(all),
    }
}

fn quota(typed: LimitsTable) -> Result<Quota, Mistake> {
    let kv = size(&["limits", "kv"], typed.kv, KV_DEFAULT, 0, QUOTA_LIMIT)?;
    let rows = size(
        &["limits", "rows"],
        typed.rows,
        ROWS_DEFAULT,
        0,
        QUOTA_LIMIT,
    )?;
    Ok(Quota {
        kv: kv as u64,
        rows: rows as u64,
    })
}

fn verify(mut spec: VerifySpec, dir: &Path) -> VerifySpec {
    for reference in spec.secret.iter_mut().chain(&mut spec.challenge_secret) {
        *reference = below(
            dir,
            std::mem::replace(reference, SecretRef::Env(String::new())),
        );
    }
    spec
}

fn settings(table: toml::Table) -> Result<serde_json::Map<String, serde_json::Value>, Mistake> {
    let json = match serde_json::to_value(table) {
        Ok(serde_json::Value::Object(json)) => json,
        _ => {
            return mistake(
                &["settings"],
                "settings must be expressible as JSON: no infinite numbers",
            );
        }
    };
    let bytes = serde_json::to_string(&json).map_or(0, |text| text.len());
    if bytes > SETTINGS_BYTES_MAX {
        return mistake(
            &["settings"],
            format!("settings take {bytes} bytes as JSON: at most {SETTINGS_BYTES_MAX}"),
        );
    }
    Ok(json)
}

const REDIRECTS_MAX: u8 = 3;

fn allow(table: AllowTable) -> Result<Allow, Mistake> {
    if table.redirects > REDIRECTS_MAX {
        return mistake(
            &["allow", "redirects"],
            format!(
                "redirects {} is out of range: 0 to {REDIRECTS_MAX}",
                table.redirects
            ),
        );
    }
    if let Some(bad) = table.table.iter().find(|name| !is_table_name(name)) {
        return mistake(
            &["allow", "table"],
            format!("`{bad}` cannot name a table: use a-z, 0-9, `-` and `_`"),
        );
    }
    Ok(Allow {
        http: table.http.into_iter().map(|parsed| parsed.0).collect(),
        redirects: table.redirects,
        addresses: table
            .addresses
            .into_iter()
            .map(|parsed| parsed.0.0)
            .collect(),
        table: table.table,
        kv: table.kv,
        emit: table.emit.into_iter().map(|parsed| parsed.0).collect(),
    })
}

pub(super) fn in_range(
    key: &'static [&'static str],
    typed: Option<Time>,
    default: Duration,
    min_seconds: u64,
    max_seconds: u64,
) -> Result<Duration, Mistake> {
    let time = typed.map_or(default, |time| time.0);
    let range = Duration::from_secs(min_seconds)..=Duration::from_secs(max_seconds);
    if !range.contains(&time) || time.is_zero() {
        let (low, high) = (
            humantime::format_duration(*range.start()),
            humantime::format_duration(*range.end()),
        );
        return mistake(
            key,
            format!(
                "{} is out of range: {low} to {high}",
                humantime::format_duration(time)
            ),
        );
    }
    Ok(time)
}

fn sized(
    key: &'static [&'static str],
    typed: Option<Size>,
    min: usize,
    max: usize,
) -> Result<Option<usize>, Mistake> {
    typed
        .map(|typed| size(key, Some(typed), min, min, max))
        .transpose()
}

fn size(
    key: &'static [&'static str],
    typed: Option<Size>,
    default: usize,
    min: usize,
    max: usize,
) -> Result<usize, Mistake> {
    let bytes = typed.map_or(default, |size| size.0);
    if !(min..=max).contains(&bytes) {
        let shown = |bytes: usize| bytesize::ByteSize(bytes as u64).display().iec();
        return mistake(
            key,
            format!(
                "{} is out of range: {} to {}",
                shown(bytes),
                shown(min),
                shown(max)
            ),
        );
    }
    Ok(bytes)
}

// === impl HookFile ===

impl HookFile {
    /// Field by field, the operator's word wins.
    fn over(self, lower: HookFile) -> HookFile {
        let mut settings = lower.settings.unwrap_or_default();
        settings.extend(self.settings.unwrap_or_default());
        HookFile {
            methods: self.methods.or(lower.methods),
            mode: self.mode.or(lower.mode),
            settings: Some(settings),
            ..self
        }
    }
}

// === impl AddressRange ===

impl std::str::FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<AddressRange, String> {
        text.parse::<ipnet::IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from))
            .map(AddressRange)
            .map_err(|_| {
                format!("`{text}` is not an address range: write \"10.0.0.0/8\" or \"127.0.0.1\"")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HookSpec, String> {
        let name = "github".parse().unwrap();
        let source = HookSource {
            name: &name,
            text,
            manifest: None,
            dir: Path::new("/plugins"),
        };
        parse_hook(source).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_has_the_defaults() {
        let spec = parse("").unwrap();
        assert_eq!(
            (spec.path.as_str(), spec.component.as_str()),
            ("/github", "github.wasm")
        );
        assert_eq!((spec.concurrency, spec.sizes), (80, SizeSpec::default()));
        assert_eq!(spec.deadline, Duration::from_secs(60));
        assert!(spec.verify.scheme.is_none() && spec.verify.provider.is_none());
    }

    #[test]
    fn mistakes_name_their_place_and_the_way_out() {
        for (text, expected) in [
            (
                "pth = \"/x\"",
                "github.toml:1:1: unknown key `pth`: did you mean `path`?",
            ),
            (
                "\n[verify]\nsecert = \"env:X\"",
                "github.toml:3:1: unknown key `secert`: did you mean `secret`?",
            ),
            (
                "[verify]\nprovider = \"github\"\nmode = \"async\"",
                "github.toml:3:1: `mode` belongs above [verify] and all other tables: a key below a table's header is part of that \
                 table; move it up",
            ),
            (
                "secret = \"env:X\"",
                "github.toml:1:1: `secret` belongs below [verify]: move it down",
            ),
            (
                "mode = \"asinc\"",
                "github.toml:1:8: unknown value `asinc`: did you mean `async`?",
            ),
            (
                "[retry]\nattempts = 0",
                "github.toml:2:1: attempts 0 is out of range: 1 to 100",
            ),
            (
                "[retry]\nbackoff = { first = \"5m\", max = \"1m\" }",
                "github.toml:2:1: max is shorter than first",
            ),
            ("[dedup]\nid = \"body\"", "github.toml:2:6: "),
            ("[dedup]\nwindow = \"1000d\"", "github.toml:2:1: "),
            (
                "max_rate = \"fast\"",
                "github.toml:1:12: `fast` is not a rate: write \"50/s\"",
            ),
            (
                "[accepted]\nstatus = 500",
                "github.toml:2:1: status 500 does not say that an event was accepted",
            ),
            (
                "deadline = 5",
                "github.toml:1:12: invalid type: integer `5`, expected a time with its unit",
            ),
            (
                "deadline = \"2h\"",
                "github.toml:1:1: 2h is out of range: 1s to 1h",
            ),
            (
                "concurrency = 0",
                "github.toml:1:1: concurrency 0 is out of range: 1 to 1000",
            ),
            (
                "max_body = \"1TiB\"",
                "github.toml:1:1: 1.0 TiB is out of range",
            ),
            (
                "max_body = \"0B\"",
                "github.toml:1:1: 0 B is out of range: 1 B to",
            ),
            (
                "path = \"x\"",
                "github.toml:1:1: path `x` must begin with `/`",
            ),
            (
                "path = \"/größe\"",
                "github.toml:1:1: path `/größe`: no `ö` in a path",
            ),
            (
                "path = \"/a\\u0007\"",
                "github.toml:1:1: path `/a\\u{7}`: no `\\u{7}` in a path",
            ),
            (
                "path = \"/a%2\"",
                "github.toml:1:1: path `/a%2`: after `%` come two",
            ),
            (
                "path = \"/a//b\"",
                "github.toml:1:1: path `/a//b`: no empty segments",
            ),
            (
                "methods = [\"FETCH\"]",
                "github.toml:1:11: method `FETCH` cannot be used",
            ),
            (
                "[verify]\nsecret = \"hunter2\"",
                "github.toml:2:10: not a secret reference",
            ),
            (
                "component = \"../x.wasm\"",
                "github.toml:1:1: component `../x.wasm` must be the name of a file",
            ),
            (
                "[allow]\nhttp = [\"example.com\"]",
                "github.toml:2:8: `example.com` is not a URL",
            ),
            (
                "[limits]\nmemory = \"2GiB\"",
                "github.toml:2:1: 2.0 GiB is out of range",
            ),
            (
                "[[credentials]]\nfor = \"https://a/\"\nheader = \"X\"\nvalue = \"${env:A}\"\n[[credentials]]\nfor = \"https://a/\"\nheader = \"x\"\nvalue = \"${env:B}\"",
                "github.toml:1:3: two credentials put header `x` for https://a/: leave one",
            ),
            (
                "[[credentials]]\nfor = \"https://a/\"\nheader = \"X\"\nvalue = \"s3cret\"",
                "github.toml:4:9: a credential needs",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                error.starts_with(expected),
                "{text}\n got {error}\nwant {expected}"
            );
            assert!(
                !error.contains("hunter2") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_manifest_suggests_but_never_grants() {
        let manifest = r#"
            path = "/m"
            methods = ["PUT"]
            mode = "async"
            answer_within = "2s"
            deadline = "5s"
            concurrency = 1000
            max_body = "64MiB"
            max_rate = "1/s"
            retry = { attempts = 100 }
            dedup = { id = "none" }
            accepted = { status = 204 }
            limits = { memory = "1GiB", kv = "1TiB" }
            [allow]
            http = ["https://a.example/"]
            [verify]
            scheme = "none"
            [settings]
            a = 1
            b = 2
        "#;
        let table = parse_manifest("x.wasm", manifest).unwrap();
        let parse = |text: &str, manifest: Option<&toml::Table>| {
            let name = "x".parse().unwrap();
            parse_hook(HookSource {
                name: &name,
                text,
                manifest,
                dir: Path::new("/"),
            })
            .unwrap()
        };

        let spec = parse("[settings]\nb = 3", Some(&table));
        assert_eq!(
            (&spec.methods[0], spec.mode),
            (&http::Method::PUT, Mode::Async)
        );
        assert_eq!(
            serde_json::Value::Object(spec.settings.clone()),
            serde_json::json!({"a": 1, "b": 3})
        );
        assert_eq!(
            suggested_answer_within(&table),
            Some(Duration::from_secs(2))
        );
        // Everything else is as if there were no manifest.
        let HookSpec {
            methods,
            mode,
            settings,
            ..
        } = spec.clone();
        let without = HookSpec {
            methods,
            mode,
            settings,
            ..parse("", None)
        };
        assert_eq!(format!("{spec:?}"), format!("{without:?}"));

        let requests = requests(manifest).unwrap();
        for key in [
            "path",
            "deadline",
            "concurrency",
            "max_body",
            "max_rate",
            "retry",
            "dedup",
            "accepted",
            "limits",
            "allow",
        ] {
            assert!(requests.contains(key), "{key}: {requests}");
        }
        assert!(
            !requests.contains("answer_within") && !requests.contains("settings"),
            "{requests}"
        );
    }

    #[test]
    fn file_secrets_are_relative_to_the_hook_file() {
        let spec =
            parse("[verify]\nscheme = \"token\"\nsecret = [\"file:s/x\", \"file:/abs\"]").unwrap();
        assert_eq!(spec.verify.secret[0].to_string(), "file:/plugins/s/x");
        assert_eq!(spec.verify.secret[1].to_string(), "file:/abs");
    }
}
