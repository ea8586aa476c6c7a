//! `NAME.toml`: the configuration of one hook. Its component's manifest can suggest defaults.

use std::path::Path;
use std::time::Duration;

use super::allow::{GrantMistake, allow};
use super::candidate::candidate;
use super::credential::{CredentialTable, below, credential};
use super::environment::environment;
use super::error::ConfigError;
use super::flow::{FlowTables, flow};
use super::hook_path::{component, path, strips};
use super::hook_tables::{HookFile, LimitsTable, ModeName};
use super::manifest::Manifest;
use super::mistake::{Mistake, in_range, mistake, size, sized};
use super::queued::{accepted, dedup, retry};
use super::reconcile::reconcile;
use super::record::record;
use super::redact::redact;
use super::retention::retention;
use super::shape::shape;
use super::values::MethodName;
use super::watch::watch;
use landfall_model::{
    Credential, GrantKey, HookName, HookSpec, Mode, Quota, SecretRef, SizeSpec, VerifySpec,
};

/// The sources of a hook's configuration.
#[derive(Debug, Clone, Copy)]
pub struct HookSource<'a> {
    /// The name of the file without `.toml`.
    pub name: &'a HookName,
    /// The text of the hook file; empty if there is only a component.
    pub text: &'a str,
    /// The component's manifest, if it has one.
    pub manifest: Option<&'a Manifest>,
    /// The directory for relative `file:` references.
    pub dir: &'a Path,
    /// The keys of capabilities under `[allow]`.
    pub capabilities: &'a [GrantKey],
}

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
    let suggested = source
        .manifest
        .map(Manifest::suggestions)
        .unwrap_or_default();
    let wrong =
        |key: &[&str], message: String| ConfigError::at_key(&file_name, source.text, key, message);
    if let Some(table) = &operator.allow {
        table
            .check(source.capabilities)
            .map_err(|GrantMistake { key, message }| wrong(&["allow", &key], message))?;
    }
    build(operator.merge(suggested), &source).map_err(|mistake| wrong(mistake.key, mistake.message))
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
    let verify_spec = verify(file.verify.unwrap_or_default(), source.dir);
    let provider = verify_spec.provider.clone();
    let is_pinned = file.digest.is_some();
    let candidate = file
        .candidate
        .map(|table| candidate(table, &component, is_pinned))
        .transpose()?;
    let reconcile = file
        .reconcile
        .map(|table| reconcile(table, provider.as_deref(), source.dir))
        .transpose()?;
    let mode = mode(file.mode);
    let tables = FlowTables {
        filter: file.filter,
        debounce: file.debounce,
        batch: file.batch,
        transform: file.transform,
    };
    let dedup = dedup(file.dedup.unwrap_or_default())?;
    let retention = retention(file.retention, file.body_retention)?;
    let flow = flow(tables, mode, file.order_by.is_some())?;
    let redact = redact(
        file.redact.unwrap_or_default(),
        &dedup,
        file.order_by.as_ref(),
        &flow,
    )?;
    Ok(HookSpec {
        flow,
        strips: strips(file.strip_prefix.unwrap_or_default(), &path)?,
        path,
        methods: methods.into_iter().map(|method| method.0).collect(),
        component,
        digest: file.digest.map(|digest| digest.0),
        mode,
        dedup,
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
        verify: verify_spec,
        settings: settings(file.settings.unwrap_or_default())?,
        environment: environment(file.environment.unwrap_or_default(), source.dir)?,
        allow: allow(file.allow.unwrap_or_default())?,
        credentials: credentials(file.credentials, source.dir)?,
        quota: quota(limits)?,
        reconcile,
        watch: watch(file.watch.unwrap_or_default())?,
        candidate,
        record: record(file.record.unwrap_or_default())?,
        redact,
        retention,
        shape: shape(file.shape.unwrap_or_default())?,
        name,
    })
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

#[cfg(test)]
#[path = "hook_file_tests.rs"]
mod tests;
