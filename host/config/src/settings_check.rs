//! Checks a table of `[settings]` by the JSON Schema of its component. The component's author
//! writes the schema, so the work for one table is bounded, and nothing outside the schema is read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::nearest;
use super::settings_text;
use landfall_model::Allow;

/// What is wrong with a table of settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsMistake {
    /// Keys and numbers of list items, below `[settings]`.
    pub path: Vec<String>,
    /// A sentence that says what to change.
    pub message: String,
    /// The value has another type than this part of the schema expects.
    pub(crate) is_type: bool,
}

/// The keys that the schemas of one object have.
#[derive(Default)]
pub(crate) struct Properties<'a> {
    pub(crate) known: BTreeMap<&'a String, &'a Value>,
    pub(crate) required: Vec<&'a str>,
    /// Whether a schema says which other keys are allowed.
    says_others: bool,
}

/// One check of one table.
pub(crate) struct Check<'a> {
    root: &'a Value,
    pub(crate) allow: &'a Allow,
    /// The text of the key `method` beside the value.
    pub(crate) method_beside: Option<String>,
    steps: u32,
    path: Vec<String>,
}

/// The most schemas that are applied for one table.
const STEPS_MAX: u32 = 200_000;
/// The greatest depth of schemas within schemas, references included.
const DEPTH_MAX: usize = 64;
const TOO_MUCH: &str =
    "the settings schema of the component takes too much work to check, or refers to itself";
/// Keywords whose schemas apply to the same value.
const COMBINED: [&str; 3] = ["allOf", "anyOf", "oneOf"];

// === impl Check ===

impl<'a> Check<'a> {
    pub(crate) fn new(root: &'a Value, allow: &'a Allow) -> Check<'a> {
        Check {
            root,
            allow,
            method_beside: None,
            steps: 0,
            path: Vec::new(),
        }
    }

    /// Checks a value. Keys that the schema does not know are mistakes, unless the schema allows
    /// other keys.
    pub(crate) fn value(
        &mut self,
        schema: &'a Value,
        value: &Value,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        if let Value::Object(table) = value {
            let mut found = Properties::default();
            self.collect(schema, &mut found, depth)?;
            if !found.says_others && !found.known.is_empty() {
                let known: Vec<&str> = found.known.keys().map(|key| key.as_str()).collect();
                self.no_others(table, &known)?;
            }
        }
        self.applied(schema, value, depth)
    }

    /// Applies one schema to a value. Several schemas can apply to the same value.
    fn applied(
        &mut self,
        schema: &'a Value,
        value: &Value,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        self.step(1, depth)?;
        let schema = match schema {
            Value::Bool(false) => return self.wrong("is not allowed here"),
            Value::Object(schema) => schema,
            _ => return Ok(()),
        };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.resolve(reference)?;
            self.applied(target, value, depth + 1)?;
        }
        self.kind(schema, value)?;
        for part in list(schema, "allOf") {
            self.applied(part, value, depth + 1)?;
        }
        self.one_of_several(schema, value, depth)?;
        match value {
            Value::Object(table) => self.table(schema, table, depth),
            Value::Array(items) => self.items(schema, items, depth),
            Value::String(text) => self.text(schema, text),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or_default()),
            _ => Ok(()),
        }
    }

    fn kind(&mut self, schema: &Map<String, Value>, value: &Value) -> Result<(), SettingsMistake> {
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| settings_text::is_kind(value, kind)) {
            let (is, expected) = (settings_text::kind_of(value), settings_text::kinds(&kinds));
            let mut wrong = self.mistake(format!("is {is}, where {expected} is expected"));
            wrong.is_type = true;
            return Err(wrong);
        }
        let allowed: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(values)), _) => values.iter().collect(),
            (_, Some(value)) => vec![value],
            _ => return Ok(()),
        };
        if allowed.contains(&value) {
            return Ok(());
        }
        let words: Vec<&str> = allowed.iter().filter_map(|value| value.as_str()).collect();
        let meant = value.as_str().and_then(|typed| nearest(typed, &words));
        let shown: Vec<String> = allowed.iter().map(|value| value.to_string()).collect();
        match meant {
            Some(meant) => self.wrong(format!(
                "is not one of {}: did you mean \"{meant}\"?",
                shown.join(", ")
            )),
            None => self.wrong(format!("is not one of {}", shown.join(", "))),
        }
    }

    /// Applies `anyOf` and `oneOf`. If no schema matches, the error is that of the schema that
    /// matched longest.
    fn one_of_several(
        &mut self,
        schema: &'a Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        for key in ["anyOf", "oneOf"] {
            let parts = list(schema, key);
            if !parts.is_empty() {
                self.any_of(parts, value, depth)?;
            }
        }
        Ok(())
    }

    fn any_of(
        &mut self,
        parts: &'a [Value],
        value: &Value,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        let mut mistakes = Vec::new();
        for part in parts {
            match self.applied(part, value, depth + 1) {
                Ok(()) => return Ok(()),
                Err(mistake) if mistake.message == TOO_MUCH => return Err(mistake),
                Err(mistake) => mistakes.push(mistake),
            }
        }

        mistakes.reverse();
        let nearest = mistakes
            .into_iter()
            .max_by_key(|mistake| (mistake.path.len(), !mistake.is_type));
        nearest.map_or(Ok(()), Err)
    }

    fn table(
        &mut self,
        schema: &'a Map<String, Value>,
        table: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = |key: &String| properties.and_then(|properties| properties.get(key));
        let others = schema.get("additionalProperties");
        if others == Some(&Value::Bool(false)) {
            let names: Vec<&str> = properties
                .into_iter()
                .flat_map(|all| all.keys().map(String::as_str))
                .collect();
            self.no_others(table, &names)?;
        }
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if !table.contains_key(name) {
                let what = properties
                    .and_then(|all| all.get(name))
                    .map(|schema| self.takes(schema, depth));
                let what = what
                    .filter(|what| !what.is_empty())
                    .map(|what| format!(" ({what})"))
                    .unwrap_or_default();
                let place = self.place();
                let unknown: Vec<&str> = table
                    .keys()
                    .filter(|key| known(key).is_none())
                    .map(String::as_str)
                    .collect();
                let meant =
                    nearest(name, &unknown).map(|typed| format!("; did you mean it by `{typed}`?"));
                return Err(self.mistake_here(format!(
                    "missing key `{name}`{what}{place}{}",
                    meant.unwrap_or_default()
                )));
            }
        }
        for (key, value) in table {
            let Some(schema) = known(key).or(others) else {
                continue;
            };
            // Only a text of this table is called with the method that the table names.
            let method = table.get("method").filter(|_| value.is_string());
            self.method_beside = method.and_then(Value::as_str).map(str::to_owned);
            self.path.push(key.clone());
            self.value(schema, value, depth + 1)?;
            self.path.pop();
        }
        Ok(())
    }

    fn no_others(
        &mut self,
        table: &Map<String, Value>,
        known: &[&str],
    ) -> Result<(), SettingsMistake> {
        let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let (shown, place) = (unknown.escape_debug(), self.place());
        let message = match nearest(unknown, known) {
            Some(meant) => format!("unknown key `{shown}`{place}: did you mean `{meant}`?"),
            None if known.is_empty() => {
                format!("unknown key `{shown}`{place}: there are none here")
            }
            None => format!(
                "unknown key `{shown}`{place}: known here are {}",
                known.join(", ")
            ),
        };
        let mut mistake = self.mistake_here(message);
        mistake.path.push(unknown.clone());
        Err(mistake)
    }

    fn items(
        &mut self,
        schema: &'a Map<String, Value>,
        items: &[Value],
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        self.bounds(
            schema,
            items.len() as f64,
            ("minItems", "maxItems"),
            "items",
        )?;
        let Some(of_each) = schema.get("items") else {
            return Ok(());
        };
        for (number, item) in items.iter().enumerate() {
            self.path.push(number.to_string());
            self.value(of_each, item, depth + 1)?;
            self.path.pop();
        }
        Ok(())
    }

    /// Collects the keys that the schemas have for an object.
    pub(crate) fn collect(
        &mut self,
        schema: &'a Value,
        found: &mut Properties<'a>,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        self.step(1, depth)?;
        let Some(schema) = schema.as_object() else {
            return Ok(());
        };
        let says_others = [
            "additionalProperties",
            "unevaluatedProperties",
            "patternProperties",
            "not",
            "if",
        ];
        found.says_others |= says_others.iter().any(|key| schema.contains_key(*key));
        found.known.extend(
            schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten(),
        );
        found
            .required
            .extend(list(schema, "required").iter().filter_map(Value::as_str));
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.resolve(reference)?;
            self.collect(target, found, depth + 1)?;
        }
        for part in COMBINED.iter().flat_map(|key| list(schema, key)) {
            self.collect(part, found, depth + 1)?;
        }
        Ok(())
    }

    fn resolve(&mut self, reference: &str) -> Result<&'a Value, SettingsMistake> {
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer));
        target.ok_or_else(|| {
            let shown: String = reference.chars().take(100).flat_map(char::escape_debug).collect();
            self.mistake_here(format!(
                "the settings schema of the component refers to `{shown}`: only parts of itself can be used, such as \
                 `#/$defs/NAME`"
            ))
        })
    }

    /// What a schema accepts, as text; empty if it does not say.
    pub(crate) fn takes(&self, schema: &Value, depth: usize) -> String {
        if depth > DEPTH_MAX {
            return String::new();
        }
        if let Some(target) = schema["$ref"]
            .as_str()
            .and_then(|reference| self.root.pointer(reference.strip_prefix('#')?))
        {
            return self.takes(target, depth + 1);
        }
        settings_text::takes(schema)
    }

    pub(crate) fn step(&mut self, steps: u32, depth: usize) -> Result<(), SettingsMistake> {
        self.steps += steps;
        if self.steps > STEPS_MAX || depth > DEPTH_MAX {
            return Err(self.mistake_here(TOO_MUCH.into()));
        }

        Ok(())
    }

    /// The path of the value, as ` in targets[0]`; empty for the whole table.
    fn place(&self) -> String {
        if self.path.is_empty() {
            return String::new();
        }

        format!(" in {}", settings_text::shown(&self.path))
    }

    /// A mistake about the value itself.
    pub(crate) fn mistake(&self, message: impl std::fmt::Display) -> SettingsMistake {
        self.mistake_here(format!("`{}` {message}", settings_text::shown(&self.path)))
    }

    fn mistake_here(&self, message: String) -> SettingsMistake {
        SettingsMistake {
            path: self.path.clone(),
            message,
            is_type: false,
        }
    }

    pub(crate) fn wrong(&self, message: impl std::fmt::Display) -> Result<(), SettingsMistake> {
        Err(self.mistake(message))
    }
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
