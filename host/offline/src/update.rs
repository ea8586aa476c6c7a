//! `--update`: writes what happened into `[expect]` of a case. The rest of the file stays as it is,
//! with its line ends.

use serde_json::{Map, Value};
use toml_edit::visit_mut::{self, VisitMut};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table};

use crate::case::Case;
use crate::compare::{Actual, Form};
use crate::error::OfflineError;
use crate::line_ends::LineEnds;
use crate::run::Run;

/// The longest table that is written in one line.
const INLINE_CHARACTERS_MAX: usize = 90;

/// The keys of a message in the order in which people read them. Others follow.
const ORDER: [&str; 10] = [
    "table",
    "hook",
    "event-type",
    "key",
    "method",
    "url",
    "status",
    "headers",
    "json",
    "row",
];

/// Writes the results of a run into the file of its case.
pub(crate) fn update(case: &Case, run: &Run) -> Result<(), OfflineError> {
    let parts = changed_parts(case, run);
    let text = if case.source.is_json {
        in_json(case, parts)
    } else {
        in_toml(case, parts)
    };
    let text = LineEnds::of(&case.source.text).restored(&text);
    let path = &case.source.path;
    std::fs::write(path, text).map_err(|error| OfflineError::Unwritable {
        path: path.clone(),
        error,
    })
}

/// The parts that differ; all parts for a case that names none.
fn changed_parts(case: &Case, run: &Run) -> Vec<(&'static str, Value)> {
    let form = if case.source.is_json {
        Form::Json
    } else {
        Form::Toml
    };
    let actual = Actual::new(run, form);
    let Some(expect) = case.expect.as_ref().filter(|expect| !expect.is_empty()) else {
        return actual.whole();
    };

    let mut parts = Vec::new();
    let word = run.word();
    if expect.outcome.as_deref().unwrap_or("done") != word {
        parts.push(("outcome", word.into()));
    }
    for (key, expected, actual) in actual.parts(expect) {
        if expected != actual {
            parts.push((key, actual));
        }
    }
    parts
}

fn in_json(case: &Case, parts: Vec<(&'static str, Value)>) -> String {
    let mut whole: Map<String, Value> =
        serde_json::from_str(&case.source.text).expect("the case was read");
    let expect = whole
        .entry("expect")
        .or_insert_with(|| Value::Object(Map::new()));
    for (key, value) in parts {
        expect[key] = value;
    }
    let text = serde_json::to_string_pretty(&whole).expect("JSON can be written");
    text + "\n"
}

fn in_toml(case: &Case, parts: Vec<(&'static str, Value)>) -> String {
    let mut document: DocumentMut = case.source.text.parse().expect("the case was read");
    let expect = document
        .remove("expect")
        .and_then(|item| item.into_table().ok());
    let mut expect = expect.unwrap_or_else(|| {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        table
    });

    // A table that has no header of its own would print none.
    expect.set_implicit(false);
    expect.set_dotted(false);
    let on_one_line = LineEnds::of(&case.source.text).is_crlf();
    for (key, value) in parts {
        let mut item = item(key, &value);
        if on_one_line {
            OnOneLine.visit_item_mut(&mut item);
        }
        expect.insert(key, item);
    }
    document.insert("expect", Item::Table(expect));
    document.to_string()
}

/// Writes texts of several lines on one line: between CRLF line ends, they would get CRLF
/// themselves, which TOML keeps.
struct OnOneLine;

// === impl OnOneLine ===

impl VisitMut for OnOneLine {
    fn visit_value_mut(&mut self, value: &mut toml_edit::Value) {
        let Some(text) = value.as_str().filter(|text| text.contains('\n')) else {
            return visit_mut::visit_value_mut(self, value);
        };
        // A text in JSON is a text in TOML, but for this character.
        let json = Value::from(text).to_string().replace('\u{7f}', "\\u007f");
        if let Ok(mut escaped) = json.parse::<toml_edit::Value>() {
            *escaped.decor_mut() = value.decor().clone();
            *value = escaped;
        }
    }
}

/// The value of a key of `[expect]`.
fn item(key: &str, value: &Value) -> Item {
    match (key, value) {
        ("calls" | "rows" | "emitted", Value::Array(list)) if !list.is_empty() => {
            let mut tables = ArrayOfTables::new();
            for object in list.iter().filter_map(Value::as_object) {
                tables.push(table(object));
            }
            Item::ArrayOfTables(tables)
        }
        ("reply" | "kv", Value::Object(object)) => Item::Table(table(object)),
        ("log", Value::Array(lines)) => Item::Value(list(lines, lines.len() > 1).into()),
        _ => Item::Value(inline(value)),
    }
}

/// A JSON object as a table in one line; `None` if TOML cannot have all of its values.
pub(crate) fn table_item(object: &Map<String, Value>) -> Option<Item> {
    let value = Value::Object(object.clone());
    Form::Toml.has(&value).then(|| Item::Value(inline(&value)))
}

/// A table with a header. Long tables in it get headers too.
fn table(object: &Map<String, Value>) -> Table {
    let mut table = Table::new();
    for (key, value) in ordered(object) {
        let item = match value {
            Value::Object(inner) if value.to_string().len() > INLINE_CHARACTERS_MAX => {
                Item::Table(self::table(inner))
            }
            Value::Array(items) => {
                let is_long = value.to_string().len() > INLINE_CHARACTERS_MAX;
                Item::Value(list(items, is_long).into())
            }
            value => Item::Value(inline(value)),
        };
        table.insert(key, item);
    }
    table
}

fn ordered(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = object.iter().collect();
    let place = |key: &str| ORDER.iter().position(|known| *known == key);
    entries.sort_by_key(|(key, _)| place(key).unwrap_or(ORDER.len()));
    entries
}

pub(crate) fn list(items: &[Value], is_long: bool) -> Array {
    let mut array: Array = items.iter().map(inline).collect();
    if is_long {
        for value in array.iter_mut() {
            value.decor_mut().set_prefix("\n    ");
        }
        array.set_trailing_comma(true);
        array.set_trailing("\n");
    }
    array
}

/// A value in one line. `null` cannot occur: see `Form`.
pub(crate) fn inline(value: &Value) -> toml_edit::Value {
    match value {
        Value::Null => toml_edit::Value::from("null"),
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.to_string().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => list(items, false).into(),
        Value::Object(object) => {
            let mut table = InlineTable::new();
            for (key, value) in object {
                table.insert(key, inline(value));
            }
            table.into()
        }
    }
}
