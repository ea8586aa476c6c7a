//! Names of types, paths and templates in messages about `[settings]`.

use serde_json::{Map, Value};

/// The meaning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A URL that the component calls.
    Url,
    /// The beginning of URLs that the component calls.
    BaseUrl,
    /// A Jinja template, which the SDK renders.
    Template,
    /// A table that the component appends rows to.
    Table,
    /// A hook that the component emits events to.
    Hook,
    /// The place of a value in a JSON document.
    JsonPointer,
}

/// The keyword of a schema for the meanings that JSON Schema does not have: `url`, `base-url`,
/// `template`, `table` or `hook`.
const KEYWORD: &str = "x-landfall";
/// The keyword for the method of the calls of a URL, unless the same table has the key `method`.
const METHOD_KEYWORD: &str = "x-landfall-method";
/// The most characters of a template in an error.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// The meaning of a text by its schema.
pub(crate) fn kind_of_text(schema: &Map<String, Value>) -> Option<Kind> {
    let said = |key: &str| schema.get(key).and_then(Value::as_str);
    match (said(KEYWORD), said("format")) {
        (Some("template"), _) => Some(Kind::Template),
        (Some("base-url"), _) => Some(Kind::BaseUrl),
        (Some("url"), _) | (None, Some("uri" | "url")) => Some(Kind::Url),
        (Some("table"), _) => Some(Kind::Table),
        (Some("hook"), _) => Some(Kind::Hook),
        (None, Some("json-pointer")) => Some(Kind::JsonPointer),
        _ => None,
    }
}

/// The method of the calls of a URL, if the schema names one.
pub(crate) fn method_of_calls(schema: &Map<String, Value>) -> Option<&str> {
    schema.get(METHOD_KEYWORD).and_then(Value::as_str)
}

/// Whether a text contains an expression of a template.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// A text that cannot be parsed as a template.
#[derive(Debug, thiserror::Error)]
#[error("is not a template: {detail} in `{shown}`")]
pub(crate) struct TemplateError {
    detail: String,
    shown: String,
}

/// Checks that a text can be parsed as a template.
pub(crate) fn check_template(text: &str) -> Result<(), TemplateError> {
    let environment = minijinja::Environment::new();
    let Err(error) = environment.template_from_str(text) else {
        return Ok(());
    };

    let shown = text.chars().take(SHOWN_CHARACTERS_MAX);
    Err(TemplateError {
        detail: error.detail().unwrap_or("a mistake").to_owned(),
        shown: shown.flat_map(char::escape_debug).collect(),
    })
}

/// A path as text: `targets[0].url`.
pub(crate) fn shown(path: &[String]) -> String {
    let mut shown = String::new();
    for part in path {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        if shown.is_empty() {
            shown.push_str(part);
        } else if is_number {
            shown.push_str(&format!("[{part}]"));
        } else {
            shown.push_str(&format!(".{part}"));
        }
    }
    shown.escape_debug().to_string()
}

/// Whether a value has this type of JSON Schema.
pub(crate) fn is_kind(value: &Value, kind: &str) -> bool {
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

/// The name of a value's type in messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// The names of types of JSON Schema in messages. TOML has no null.
pub(crate) fn kinds(kinds: &[&str]) -> String {
    let words: Vec<&str> = kinds.iter().filter_map(|kind| kind_word(kind)).collect();
    words.join(" or ")
}

fn kind_word(kind: &str) -> Option<&'static str> {
    match kind {
        "string" => Some("a text"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "boolean" => Some("true or false"),
        "array" => Some("a list"),
        "object" => Some("a table"),
        _ => None,
    }
}

/// What a schema accepts, in messages; empty if it does not say.
pub(crate) fn takes(schema: &Value) -> String {
    let Some(table) = schema.as_object() else {
        return String::new();
    };
    match kind_of_text(table) {
        Some(Kind::Url | Kind::BaseUrl) => return "a URL".into(),
        Some(Kind::Template) => return "a template".into(),
        Some(Kind::Table) => return "the name of a table".into(),
        Some(Kind::Hook) => return "the name of a hook".into(),
        Some(Kind::JsonPointer) => return "a JSON pointer".into(),
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
