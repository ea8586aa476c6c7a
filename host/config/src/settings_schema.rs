//! The JSON Schema of `[settings]` that a component may carry in its manifest, and what is wrong with settings by it.
//!
//! The schema is its author's: the work for one table is bounded, and nothing outside the schema is ever read.

use serde_json::{Map, Value};
use url::Url;

use super::error::nearest;
use super::settings_text::{self, Kind};
use landfall_model::HttpGrant;

/// The schema of one component.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsSchema(Value);

/// What is wrong with a table of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsMistake {
    /// Keys and numbers of list items, from `[settings]` on.
    pub path: Vec<String>,
    /// A sentence with the way out.
    pub message: String,
    /// The value has another type than this part of the schema is for.
    is_type: bool,
}

/// Of the work for one table: schemas that are looked at.
const STEPS_MAX: u32 = 200_000;
/// A regular expression is compiled each time.
const STEPS_OF_PATTERN: u32 = 2_000;
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Of schemas within schemas, references included.
const DEPTH_MAX: usize = 64;
const TOO_MUCH: &str =
    "the settings schema of the component takes too much work to check, or refers to itself";

// === impl SettingsSchema ===

impl SettingsSchema {
    /// From JSON, or from the same as TOML.
    pub fn parse(typed: &toml::Value) -> Result<SettingsSchema, String> {
        let schema: Value = match typed {
            toml::Value::String(text) => {
                serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?
            }
            table => {
                serde_json::to_value(table).map_err(|error| format!("cannot be read: {error}"))?
            }
        };
        match schema.is_object() {
            true => Ok(SettingsSchema(schema)),
            false => Err("is not a JSON Schema: an object is expected".into()),
        }
    }

    /// As JSON.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The first thing that is wrong. URLs have to be among those that may be called.
    pub fn check(
        &self,
        settings: &Map<String, Value>,
        http: &[HttpGrant],
    ) -> Result<(), SettingsMistake> {
        let mut check = Check {
            root: &self.0,
            http,
            steps: 0,
            path: Vec::new(),
        };
        check.value(&self.0, &Value::Object(settings.clone()), 0)
    }

    /// The top-level settings: name, what it takes, whether it must be there, and what it is for.
    pub fn listed(&self) -> Vec<(String, String, bool, String)> {
        let mut check = Check {
            root: &self.0,
            http: &[],
            steps: 0,
            path: Vec::new(),
        };
        let mut found = Properties::default();
        check.collect(&self.0, &mut found, 0).ok();
        let described = |(name, schema): (&&String, &&Value)| {
            let text = schema["description"]
                .as_str()
                .unwrap_or_default()
                .lines()
                .next()
                .unwrap_or_default();
            let takes = check.takes(schema, 0);
            let is_required = found.required.contains(&name.as_str());
            ((*name).clone(), takes, is_required, text.to_owned())
        };
        found.known.iter().map(described).collect()
    }
}

/// The keys that a schema has for an object, together with those of the schemas that apply to the same object.
#[derive(Default)]
struct Properties<'a> {
    known: std::collections::BTreeMap<&'a String, &'a Value>,
    required: Vec<&'a str>,
    /// The schema says itself which other keys there may be.
    says_others: bool,
}

/// One check of one table.
struct Check<'a> {
    root: &'a Value,
    http: &'a [HttpGrant],
    steps: u32,
    path: Vec<String>,
}

/// Schemas in a list that apply to the same value.
const COMBINED: [&str; 3] = ["allOf", "anyOf", "oneOf"];

// === impl Check ===

impl<'a> Check<'a> {
    /// A value on its own. Keys that the schema does not know are mistakes unless it says otherwise.
    fn value(
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

    /// A schema applied to a value, perhaps one of several.
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

    /// `anyOf` and `oneOf`. Of several failures the one that got furthest is told.
    fn one_of_several(
        &mut self,
        schema: &'a Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), SettingsMistake> {
        for key in ["anyOf", "oneOf"] {
            let parts = list(schema, key);
            let mut worst: Option<SettingsMistake> = None;
            let mut is_met = parts.is_empty();
            for part in parts {
                match self.applied(part, value, depth + 1) {
                    Ok(()) => {
                        is_met = true;
                        break;
                    }
                    Err(mistake) if mistake.message == TOO_MUCH => return Err(mistake),
                    Err(mistake) => {
                        let rank =
                            |mistake: &SettingsMistake| (mistake.path.len(), !mistake.is_type);
                        if worst
                            .as_ref()
                            .is_none_or(|worst| rank(&mistake) > rank(worst))
                        {
                            worst = Some(mistake);
                        }
                    }
                }
            }
            if let (false, Some(mistake)) = (is_met, worst) {
                return Err(mistake);
            }
        }
        Ok(())
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

    fn number(&mut self, schema: &Map<String, Value>, number: f64) -> Result<(), SettingsMistake> {
        self.bounds(schema, number, ("minimum", "maximum"), "")?;
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        match (bound("exclusiveMinimum"), bound("exclusiveMaximum")) {
            (Some(low), _) if number <= low => self.wrong(format!("is not more than {low}")),
            (_, Some(high)) if number >= high => self.wrong(format!("is not less than {high}")),
            _ => Ok(()),
        }
    }

    fn bounds(
        &mut self,
        schema: &Map<String, Value>,
        is: f64,
        (low, high): (&str, &str),
        unit: &str,
    ) -> Result<(), SettingsMistake> {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" {unit}")
        };
        match (bound(low), bound(high)) {
            (Some(low), _) if is < low => self.wrong(format!("has to be at least {low}{unit}")),
            (_, Some(high)) if is > high => self.wrong(format!("may be at most {high}{unit}")),
            _ => Ok(()),
        }
    }

    fn text(&mut self, schema: &Map<String, Value>, text: &str) -> Result<(), SettingsMistake> {
        self.bounds(
            schema,
            text.chars().count() as f64,
            ("minLength", "maxLength"),
            "characters",
        )?;
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            self.step(STEPS_OF_PATTERN, 0)?;
            let built = regex::RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build();
            match built {
                Ok(pattern) if pattern.is_match(text) => {}
                Ok(_) => {
                    return self.wrong(format!(
                        "does not have the form `{}`",
                        pattern.escape_debug()
                    ));
                }
                Err(_) => {
                    return self
                        .wrong("is checked by a pattern of the component that cannot be used");
                }
            }
        }
        match settings_text::kind_of_text(schema) {
            Some(Kind::Template) => {
                settings_text::check_template(text).or_else(|why| self.wrong(why))
            }
            Some(Kind::Url) if settings_text::is_template(text) => {
                settings_text::check_template(text).or_else(|why| self.wrong(why))
            }
            Some(Kind::Url) => {
                let url = self.whole_url(text)?;
                let is_granted = self.http.iter().any(|grant| grant.covers_url(&url));
                is_granted
                    .then_some(())
                    .ok_or_else(|| self.not_granted(url))
            }
            Some(Kind::BaseUrl) => {
                let url = self.whole_url(text)?;
                let is_granted = self.http.iter().any(|grant| grant.covers_some_below(&url));
                is_granted
                    .then_some(())
                    .ok_or_else(|| self.not_granted(url))
            }
            None => Ok(()),
        }
    }

    fn whole_url(&self, text: &str) -> Result<Url, SettingsMistake> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        url.ok_or_else(|| self.mistake("is not a whole URL: write \"https://…\""))
    }

    fn not_granted(&self, mut url: Url) -> SettingsMistake {
        url.set_query(None);
        url.set_fragment(None);
        url.set_username("").ok();
        url.set_password(None).ok();
        self.mistake(format!(
            "is not in [allow] http, so no call to it would be made: write [allow] http = [\"{url}\"]"
        ))
    }

    /// Finds every key of an object.
    fn collect(
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

    /// What a schema is for; empty if it says nothing.
    fn takes(&self, schema: &Value, depth: usize) -> String {
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

    fn step(&mut self, steps: u32, depth: usize) -> Result<(), SettingsMistake> {
        self.steps += steps;
        match self.steps > STEPS_MAX || depth > DEPTH_MAX {
            true => Err(self.mistake_here(TOO_MUCH.into())),
            false => Ok(()),
        }
    }

    /// ` in targets[0]`, where that is not the whole table.
    fn place(&self) -> String {
        match self.path.is_empty() {
            true => String::new(),
            false => format!(" in {}", settings_text::shown(&self.path)),
        }
    }

    /// A mistake about the value itself.
    fn mistake(&self, message: impl std::fmt::Display) -> SettingsMistake {
        self.mistake_here(format!("`{}` {message}", settings_text::shown(&self.path)))
    }

    fn mistake_here(&self, message: String) -> SettingsMistake {
        SettingsMistake {
            path: self.path.clone(),
            message,
            is_type: false,
        }
    }

    fn wrong(&self, message: impl std::fmt::Display) -> Result<(), SettingsMistake> {
        Err(self.mistake(message))
    }
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[path = "settings_schema_tests.rs"]
mod tests;
