//! `[expect]`: what a case compares. It is kept as JSON, in the form of the file.

use serde_json::{Map, Value};

use super::table::{Read, Table};
use crate::run::FILTERED;
use landfall_model::OUTCOME_WORDS;

/// The expectations of a case. What is `None` is not compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expect {
    pub(crate) outcome: Option<String>,
    /// A part of the reason.
    pub(crate) reason: Option<String>,
    /// Lines that must occur in this order.
    pub(crate) log: Option<Vec<String>>,
    /// `false`, or the keys of the reply that are compared.
    pub(crate) reply: Option<Value>,
    pub(crate) calls: Option<Vec<Value>>,
    pub(crate) rows: Option<Vec<Value>>,
    pub(crate) emitted: Option<Vec<Value>>,
    /// Keys and their values after the attempt; `false`: none.
    pub(crate) kv: Option<Map<String, Value>>,
}

// === impl Expect ===

impl Expect {
    pub(super) fn read(mut table: Table<'_>) -> Read<Expect> {
        let outcome = table.text("outcome")?;
        if let Some(word) = &outcome
            && word != FILTERED
            && !OUTCOME_WORDS.contains(&word.as_str())
        {
            let known = OUTCOME_WORDS.join(", ");
            let why = format!("`{word}` is not an outcome: {known}, {FILTERED}");
            return Err(table.error(&["outcome"], why));
        }

        let expect = Expect {
            outcome,
            reason: table.text("reason")?,
            log: table.texts("log")?,
            reply: reply(&mut table)?,
            calls: list(&mut table, "calls", &["method", "url"], &["json", "body"])?,
            rows: list(&mut table, "rows", &["table"], &["row"])?,
            emitted: list(
                &mut table,
                "emitted",
                &["hook", "event-type", "key"],
                &["json", "body"],
            )?,
            kv: kv(&mut table)?,
        };
        table.finish()?;
        Ok(expect)
    }

    /// Whether nothing is named: the file has an empty `[expect]`.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Expect::default()
    }
}

fn reply(table: &mut Table<'_>) -> Read<Option<Value>> {
    match table.take("reply") {
        None => Ok(None),
        Some(Value::Bool(false)) => Ok(Some(Value::Bool(false))),
        Some(Value::Object(values)) => {
            let mut reply = table.within("reply", values);
            let mut read = Map::new();
            if let Some(status) = reply.number("status", 599)? {
                read.insert("status".into(), status.into());
            }
            read_rest(&mut reply, &mut read, &["json", "body"])?;
            reply.finish()?;
            Ok(Some(Value::Object(read)))
        }
        Some(other) => Err(table.wrong_kind("reply", &other, "a table, or false for no reply")),
    }
}

/// A list of tables with texts, headers and a body.
fn list(
    table: &mut Table<'_>,
    key: &'static str,
    texts: &[&'static str],
    bodies: &[&'static str],
) -> Read<Option<Vec<Value>>> {
    let Some(tables) = table.tables(key)? else {
        return Ok(None);
    };
    let mut list = Vec::new();
    for mut one in tables {
        let mut read = Map::new();
        for name in texts {
            if let Some(text) = one.text(name)? {
                read.insert((*name).into(), text.into());
            }
        }
        read_rest(&mut one, &mut read, bodies)?;
        one.finish()?;
        list.push(Value::Object(read));
    }
    Ok(Some(list))
}

/// Headers and body. A body is compared in one form.
fn read_rest(
    table: &mut Table<'_>,
    read: &mut Map<String, Value>,
    bodies: &[&'static str],
) -> Read<()> {
    // Rows have no headers.
    if bodies.contains(&"body")
        && let Some(headers) = table.object("headers")?
    {
        let mut wanted = Map::new();
        for (name, value) in headers {
            if !value.is_string() && value != Value::Bool(false) {
                let what = "a text, or false for a header that must be absent";
                return Err(table.wrong_part(&["headers", &name], &value, what));
            }
            wanted.insert(name.to_ascii_lowercase(), value);
        }
        read.insert("headers".into(), Value::Object(wanted));
    }

    let mut found = Vec::new();
    for name in bodies {
        let value = if *name == "body" {
            table.text(name)?.map(Value::String)
        } else {
            table.take(name)
        };
        if let Some(value) = value {
            found.push(*name);
            read.insert((*name).into(), value);
        }
    }
    if found.len() > 1 {
        return Err(table.error(
            &[found[1]],
            "compare one form of the body: keep `json` or `body`",
        ));
    }
    Ok(())
}

fn kv(table: &mut Table<'_>) -> Read<Option<Map<String, Value>>> {
    let Some(values) = table.object("kv")? else {
        return Ok(None);
    };
    let mut wanted = Map::new();
    for (key, value) in values {
        let value = match value {
            Value::Number(number) => Value::String(number.to_string()),
            Value::String(_) | Value::Bool(false) => value,
            other => {
                let what = "a text, a number, or false for a key without a value";
                return Err(table.wrong_part(&["kv", &key], &other, what));
            }
        };
        wanted.insert(key, value);
    }
    Ok(Some(wanted))
}
