//! Words and checks for single values of `[settings]`: types as TOML has them, templates, places.

use serde_json::{Map, Value};

/// What a text is beside being a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the component calls.
    Url,
    /// What the component puts paths behind.
    BaseUrl,
    /// Jinja, as the SDK renders it.
    Template,
}

/// The keyword of a schema for what JSON Schema has no word for: `url`, `base-url` or `template`.
const KEYWORD: &str = "x-landfall";
/// Of the text of a template in an error.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// What the schema says of a text.
pub(super) fn kind_of_text(schema: &Map<String, Value>) -> Option<Kind> {
    let said = |key: &str| schema.get(key).and_then(Value::as_str);
    match (said(KEYWORD), said("format")) {
        (Some("template"), _) => Some(Kind::Template),
        (Some("base-url"), _) => Some(Kind::BaseUrl),
        (Some("url"), _) | (None, Some("uri" | "url")) => Some(Kind::Url),
        _ => None,
    }
}

/// Whether there is something in it that a template replaces.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Whether it can be read as a template. What it makes of an event shows only then.
pub(super) fn check_template(text: &str) -> Result<(), String> {
    let environment = minijinja::Environment::new();
    let shown: String = text
        .chars()
        .take(SHOWN_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    let read = environment.template_from_str(text).map(drop);
    read.map_err(|error| {
        format!(
            "is not a template: {} in `{shown}`",
            error.detail().unwrap_or("a mistake")
        )
    })
}

/// `targets[0].url`
pub(super) fn shown(path: &[String]) -> String {
    let mut shown = String::new();
    for part in path {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit()) && !shown.is_empty();
        match is_number {
            true => shown.push_str(&format!("[{part}]")),
            false if shown.is_empty() => shown.push_str(part),
            false => shown.push_str(&format!(".{part}")),
        }
    }
    shown.escape_debug().to_string()
}

/// Whether a value is of a type of JSON Schema.
pub(super) fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// The type of a value, for people.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// Types of JSON Schema, for people. TOML has no null.
pub(super) fn kinds(kinds: &[&str]) -> String {
    let word = |kind: &&str| match *kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "",
    };
    let words: Vec<&str> = kinds
        .iter()
        .map(word)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" or ")
}

/// What a schema accepts, for people; empty if it says nothing.
pub(super) fn takes(schema: &Value) -> String {
    let Some(table) = schema.as_object() else {
        return String::new();
    };
    match kind_of_text(table) {
        Some(Kind::Url | Kind::BaseUrl) => return "a URL".into(),
        Some(Kind::Template) => return "a template".into(),
        None => {}
    }
    if let Some(Value::Array(values)) = table.get("enum") {
        return values
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(" or ");
    }
    match table.get("type") {
        Some(Value::String(kind)) => kinds(&[kind.as_str()]),
        Some(Value::Array(all)) => kinds(&all.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
        _ => String::new(),
    }
}
