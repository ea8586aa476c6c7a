//! The manifest of a component: its author's suggestions for a hook, and the grants that it requests.

use std::time::Duration;

use super::allow::{GrantMistake, allow};
use super::error::ConfigError;
use super::hook_tables::HookFile;
use super::settings_schema::SettingsSchema;
use landfall_model::{Allow, GrantKey};

/// Keys of a manifest that are defaults of a hook. A manifest never sets paths, callers, grants or limits.
const SUGGESTED: [&str; 3] = ["settings", "methods", "mode"];
const ANSWER_WITHIN: &str = "answer_within";
/// A key of manifests that hook files do not have.
const SETTINGS_SCHEMA: &str = "settings_schema";

/// Reads the manifest of a component: a hook file without secrets. `file` is its name in errors.
/// `capabilities` are the keys of capabilities under `[allow]`.
pub fn parse_manifest(
    file: &str,
    text: &str,
    capabilities: &[GrantKey],
) -> Result<toml::Table, ConfigError> {
    let mut table: toml::Table =
        toml::from_str(text).map_err(|error| ConfigError::of_toml(file, text, &error))?;
    // Without a schema the text is a hook file: its mistakes have lines and columns.
    if table.remove(SETTINGS_SCHEMA).is_none() {
        toml::from_str::<HookFile>(text)
            .map_err(|error| ConfigError::of_toml(file, text, &error))?;
    }
    let manifest = typed(&table).map_err(|error| ConfigError::whole(file, error.message()))?;
    if let Some(allow) = manifest.allow {
        let at_key = |GrantMistake { key, message }| {
            ConfigError::at_key(file, text, &["allow", &key], message)
        };
        allow.check(capabilities).map_err(at_key)?;
    }
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

/// The manifest without its schema. `None`: it contains only a schema.
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

/// The grants that a manifest requests; none if it cannot be read.
pub fn asked_by(manifest: &str) -> Allow {
    let typed = manifest.parse().ok().and_then(|table| typed(&table).ok());
    typed
        .and_then(|typed| allow(typed.allow?).ok())
        .unwrap_or_default()
}

/// The part of a manifest that is a default of a hook.
pub(crate) fn suggestions(manifest: &toml::Table) -> HookFile {
    let mut table = manifest.clone();
    table.retain(|key, _| SUGGESTED.contains(&key));
    table.try_into().expect("parse_manifest has read it")
}

/// The `answer_within` of a manifest. Callers must use it only if it is below the default.
pub fn suggested_answer_within(manifest: &toml::Table) -> Option<Duration> {
    typed(manifest)
        .ok()?
        .answer_within
        .map(|time| time.0)
        .filter(|time| !time.is_zero())
}

/// The other keys of a manifest, as TOML: requests that only the hook file can grant.
pub fn requests(manifest: &str) -> Option<String> {
    let mut table: toml::Table = manifest.parse().ok()?;
    table.retain(|key, _| {
        !SUGGESTED.contains(&key) && key != ANSWER_WITHIN && key != SETTINGS_SCHEMA
    });
    (!table.is_empty()).then(|| table.to_string())
}
