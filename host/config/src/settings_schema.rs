//! The JSON Schema of `[settings]` that a component can have in its manifest.

use serde_json::{Map, Value};

use super::settings_check::{Check, Properties, SettingsMistake};
use landfall_model::Allow;

/// The schema of one component.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsSchema(Value);

/// A manifest's `settings-schema` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("is not JSON: {0}")]
    Json(serde_json::Error),
    #[error("cannot be read: {0}")]
    Toml(serde_json::Error),
    #[error("is not a JSON Schema: an object is expected")]
    NoObject,
}

// === impl SettingsSchema ===

impl SettingsSchema {
    /// Reads a schema in JSON, as text, or in TOML.
    pub(crate) fn parse(typed: &toml::Value) -> Result<SettingsSchema, SchemaError> {
        let schema: Value = match typed {
            toml::Value::String(text) => serde_json::from_str(text).map_err(SchemaError::Json)?,
            table => serde_json::to_value(table).map_err(SchemaError::Toml)?,
        };
        if !schema.is_object() {
            return Err(SchemaError::NoObject);
        }

        Ok(SettingsSchema(schema))
    }

    /// The schema as JSON.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Checks a table of settings, and returns its first mistake. `allow` must cover its URLs,
    /// tables and hooks.
    pub fn check(
        &self,
        settings: &Map<String, Value>,
        allow: &Allow,
    ) -> Result<(), SettingsMistake> {
        let settings = Value::Object(settings.clone());
        Check::new(&self.0, allow).value(&self.0, &settings, 0)
    }

    /// The top-level settings: name, accepted type, whether the setting is required, and its
    /// description.
    pub fn listed(&self) -> Vec<(String, String, bool, String)> {
        let nothing = Allow::default();
        let mut check = Check::new(&self.0, &nothing);
        let mut found = Properties::default();
        check.collect(&self.0, &mut found, 0).ok();

        let mut listed = Vec::new();
        for (name, schema) in &found.known {
            let description = schema["description"].as_str().unwrap_or_default();
            let first_line = description.lines().next().unwrap_or_default();
            let is_required = found.required.contains(&name.as_str());
            let accepted = check.takes(schema, 0);
            listed.push((
                (*name).clone(),
                accepted,
                is_required,
                first_line.to_owned(),
            ));
        }
        listed
    }
}

#[cfg(test)]
#[path = "settings_schema_tests.rs"]
mod tests;
