//! Hook files and manifests: defaults, mistakes, and what a manifest may suggest.

use super::*;
use crate::error::{ABOVE_TABLES, IN_VERIFY};
use crate::manifest::Manifest;
use landfall_model::{Allow, GrantForm, HOST_HEADERS, LedgerWrites, RecordSpec};

const CAPABILITIES: [GrantKey; 2] = [
    GrantKey {
        name: "kv",
        form: GrantForm::Flag,
        writes: LedgerWrites::Always,
    },
    GrantKey {
        name: "emit",
        form: GrantForm::Names("HOOK"),
        writes: LedgerWrites::InSync,
    },
];

fn parse(text: &str) -> Result<HookSpec, String> {
    let name = "github".parse().unwrap();
    let source = HookSource {
        name: &name,
        text,
        manifest: None,
        dir: Path::new("/plugins"),
        capabilities: &CAPABILITIES,
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
fn mistakes_name_place_and_remedy() {
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
            "[retry]\nmax_age = \"366d\"",
            "github.toml:2:1: 366d is out of range: 1s to 365d",
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
            "[allow]\nhttp = []\nemt = [\"x\"]",
            "github.toml:3:1: unknown key `emt`: did you mean `emit`?",
        ),
        (
            "[allow]\nemit = true",
            "github.toml:2:1: emit has another form: write emit = [\"HOOK\"]",
        ),
        (
            "[allow]\nkv = \"hunter2\"",
            "github.toml:2:1: kv has another form: write kv = true",
        ),
        (
            "[allow]\nemit = [\"A b\"]",
            "github.toml:2:1: `A b` is not a name for emit: use a-z",
        ),
        (
            "[allow]\nmode = \"sync\"",
            "github.toml:2:1: `mode` belongs above [verify]",
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
fn credentials_are_no_host_headers() {
    let credential = |header: &str| {
        format!(
            "[[credentials]]\nfor = \"https://a/\"\nheader = \"{header}\"\nvalue = \"${{env:A}}\""
        )
    };
    for header in HOST_HEADERS {
        let error = parse(&credential(&header.to_uppercase())).unwrap_err();
        let expected = format!("github.toml:1:3: header `{header}` is written by the host");
        assert!(error.starts_with(&expected), "{error}");
    }
    parse(&credential("Authorization")).unwrap();
}

#[test]
fn a_manifest_suggests_but_never_grants() {
    let text = r#"
        manifest = 1
        name = "keeper"
        version = "1.2.0"
        description = "Keeps things"
        event-types = ["push"]
        settings-schema = '{"type": "object"}'
        [suggests]
        methods = ["PUT"]
        mode = "async"
        answer_within = "2s"
        path = "/m"
        concurrency = 1000
        [suggests.settings]
        a = 1
        b = 2
        [needs]
        http = ["https://a.example/"]
        kv = true
    "#;
    let manifest = Manifest::parse("x.wasm", text, &CAPABILITIES).unwrap();
    let parse = |text: &str, manifest: Option<&Manifest>| {
        let name = "x".parse().unwrap();
        parse_hook(HookSource {
            name: &name,
            text,
            manifest,
            dir: Path::new("/"),
            capabilities: &CAPABILITIES,
        })
        .unwrap()
    };

    let spec = parse("[settings]\nb = 3", Some(&manifest));
    assert_eq!(
        (&spec.methods[0], spec.mode),
        (&http::Method::PUT, Mode::Async)
    );
    assert_eq!(
        serde_json::Value::Object(spec.settings.clone()),
        serde_json::json!({"a": 1, "b": 3})
    );
    assert_eq!(manifest.answer_within(), Some(Duration::from_secs(2)));
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

    assert_eq!(manifest.name.as_deref(), Some("keeper"));
    assert_eq!(manifest.version.as_deref(), Some("1.2.0"));
    assert_eq!(manifest.event_types, ["push"]);
    assert!(manifest.settings_schema.is_some());
    let needed = manifest.needed_lines().unwrap();
    assert!(needed.contains("kv = true"), "{needed}");
    assert_eq!(manifest.needed().http.len(), 1);
    let without = Manifest::parse(
        "x.wasm",
        &text.replace("kv = true", "kv = false"),
        &CAPABILITIES,
    );
    let needed = without.unwrap().needed_lines().unwrap();
    assert!(!needed.contains("kv"), "{needed}");
    let warnings = manifest.warnings.join("\n");
    for key in ["`path`", "`concurrency`"] {
        assert!(warnings.contains(key), "{key}: {warnings}");
    }
}

#[test]
fn newer_manifests_load_with_warnings() {
    let newer = r#"
        manifest = 2
        name = ["keeper"]
        licence = "MIT"
        [suggests]
        mode = "eventually"
        [needs]
        kv = true
        sql = ["SELECT 1"]
    "#;
    let manifest = Manifest::parse("x.wasm", newer, &CAPABILITIES).unwrap();
    assert_eq!(manifest.name, None);
    assert!(manifest.needed().capabilities.contains("kv"));
    let warnings = manifest.warnings.join("\n");
    for words in [
        "format 2",
        "`name` cannot be read",
        "`licence` is unknown",
        "`suggests.mode` cannot be read",
        "needs `sql`",
    ] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }

    let unnumbered = Manifest::parse("x.wasm", "name = \"x\"", &CAPABILITIES).unwrap();
    assert_eq!(unnumbered.name, None);
    assert!(unnumbered.warnings[0].contains("no `manifest = 1`"));
}

#[test]
fn mistakes_in_a_manifest_are_errors() {
    let read = |text: &str| {
        let text = format!("manifest = 1\n{text}");
        Manifest::parse("x.wasm", &text, &CAPABILITIES)
            .unwrap_err()
            .to_string()
    };
    for (text, place, words) in [
        ("name = 1", "x.wasm:2:1", "string"),
        ("settings-schema = '{'", "x.wasm:2:1", "is not JSON"),
        ("[needs]\nkv = \"yes\"", "x.wasm:2", "kv"),
        ("[suggests]\nmode = \"never\"", "x.wasm:2", "never"),
        ("name =", "x.wasm:2", ""),
    ] {
        let error = read(text);
        assert!(error.starts_with(place) && error.contains(words), "{error}");
    }
}

#[test]
fn file_secrets_are_relative() {
    let spec =
        parse("[verify]\nscheme = \"token\"\nsecret = [\"file:s/x\", \"file:/abs\"]").unwrap();
    assert_eq!(spec.verify.secret[0].to_string(), "file:/plugins/s/x");
    assert_eq!(spec.verify.secret[1].to_string(), "file:/abs");
}

#[test]
fn keys_are_named_where_they_belong() {
    let unknown = |text: String| {
        let name = "x".parse().unwrap();
        let source = HookSource {
            name: &name,
            text: &text,
            manifest: None,
            dir: Path::new("/"),
            capabilities: &CAPABILITIES,
        };
        let error = parse_hook(source)
            .err()
            .map(|error| error.message)
            .unwrap_or_default();
        error.starts_with("unknown key") || error.contains("belongs")
    };
    for key in ABOVE_TABLES {
        assert!(
            !unknown(format!("{key} = 7")) && unknown(format!("[verify]\n{key} = 7")),
            "{key}"
        );
    }
    for key in IN_VERIFY {
        assert!(
            unknown(format!("{key} = 7")) && !unknown(format!("[verify]\n{key} = 7")),
            "{key}"
        );
    }
}

#[test]
fn granted_needs_are_not_listed() {
    let text = r#"
        manifest = 1
        [needs]
        http = ["POST https://a.example/v1/", "https://b.example/", "https://*.c.example/"]
        emit = ["rows", "more"]
        kv = true
    "#;
    let manifest = Manifest::parse("x.wasm", text, &CAPABILITIES).unwrap();
    let lacking = |http: &[&str], hooks: &[&str], kv: bool| {
        let mut allow = Allow {
            http: http.iter().map(|grant| grant.parse().unwrap()).collect(),
            ..Allow::default()
        };
        let hooks = hooks.iter().map(|name| name.to_string()).collect();
        allow.capabilities.grant_names("emit", hooks);
        if kv {
            allow.capabilities.grant("kv");
        }
        manifest.lacking_lines(&allow)
    };

    assert_eq!(lacking(&[], &[], false), manifest.needed_lines());
    let some = lacking(
        &["https://a.example/", "GET https://b.example/"],
        &["rows"],
        true,
    )
    .unwrap();
    let lines: Vec<&str> = some.lines().collect();
    assert_eq!(lines.len(), 2, "{some}");
    assert!(
        lines.contains(&"http = [\"https://b.example/\", \"https://*.c.example/\"]")
            && lines.contains(&"emit = [\"more\"]"),
        "{some}"
    );
    let all = [
        "https://a.example/",
        "https://b.example/",
        "https://*.c.example/",
    ];
    assert_eq!(lacking(&all, &["rows", "more"], true), None);
}

#[test]
fn record_tables_are_checked() {
    let record = |text: &str| parse(text).unwrap().record;
    let some = record("[record]\nrate = 0.5\nkeep = \"7d\"");
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!(
        (some.failures, some.rate, some.keep),
        (true, 0.5, Some(week))
    );
    assert_eq!(record(""), RecordSpec::default());
    assert!(record("[record]\nfailures = false").is_off());

    for (text, expected) in [
        (
            "[record]\nrate = 1.5",
            "rate 1.5 is out of range: 0.0 to 1.0",
        ),
        ("[record]\nkeep = \"1s\"", "1s is out of range"),
        ("[record]\nrates = 1.0", "unknown key `rates`"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_flow_compares_nothing_removed() {
    let removed = "\n[redact]\njson = [\"/user/email\"]";
    for (table, expected) in [
        (
            "[debounce]\nwait = \"1s\"\nkey = { json = \"/user/email\" }",
            "[debounce] key",
        ),
        (
            "[batch]\ncount = 2\ntime = \"1s\"\nkey = { json = \"/user/email\" }",
            "[batch] key",
        ),
        (
            "[filter]\nwhen = [{ json = \"/user/email\", equals = \"a\" }]",
            "[filter] compares",
        ),
    ] {
        let error = parse(&format!("mode = \"async\"\n{table}{removed}")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let exists = "[filter]\nwhen = [{ json = \"/user/email\", exists = true }]";
    assert!(parse(&format!("{exists}{removed}")).is_ok());
}
