//! Turns a stored event into a case: what the admin API of a node shows of it becomes a request,
//! answers and expectations.

use std::path::{Path, PathBuf};

use serde_json::Value;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table};

use crate::secrets::PLACEHOLDER;
use crate::update::{inline, list, table_item};
use landfall_model::CALL_ERROR_WORDS;

/// The header that follows from the body.
const CONTENT_LENGTH: &str = "content-length";
/// Attributes that are keys of `[event]`.
const OWN_KEYS: [&str; 4] = ["provider", "event-type", "delivery-id", "client-address"];
/// Headers that are keys of `[event]`.
const HEADER_KEYS: [&str; 2] = ["host", "user-agent"];
/// What the node shows of a header whose value it hides.
const MASKED: &str = "(masked)";
/// What the node shows in place of a secret.
const REDACTED: &str = "[redacted]";
/// Outcomes that say more about the node than about the handler.
const NOT_REPEATABLE: [&str; 3] = ["host-fault", "unread", "unfinished"];
/// Errors that may come from the policy, which refuses such a call again.
const OF_POLICY: [&str; 4] = ["denied", "invalid", "unavailable", "limit"];

/// The files of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCase {
    /// `cases/NAME.toml`, relative to the handler's folder.
    pub case: PathBuf,
    /// The text of the case.
    pub text: String,
    /// `samples/NAME.json`, relative to the handler's folder.
    pub sample: PathBuf,
    /// The body of the event.
    pub body: Vec<u8>,
}

/// Why an event cannot become a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SaveError {
    #[error("`{0}` cannot name a case: use letters, digits, `-` and `_`")]
    Name(String),
    #[error("the event has no body any more: {0}")]
    NoBody(String),
    #[error("the node does not answer as expected: no `{0}` of the event")]
    NoField(&'static str),
}

// === impl SavedCase ===

impl SavedCase {
    /// The case of an event. `shown` is the answer of `GET /api/v1/events/ID?whole=true`.
    pub fn new(name: &str, shown: &Value) -> Result<SavedCase, SaveError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(SaveError::Name(name.to_owned()));
        }
        let event = &shown["event"];
        if let Some(problem) = event["problem"].as_str() {
            return Err(SaveError::NoBody(problem.to_owned()));
        }

        let body = body(event)?;
        let ending = match (
            serde_json::from_slice::<Value>(&body),
            std::str::from_utf8(&body),
        ) {
            (Ok(_), _) => "json",
            (Err(_), Ok(_)) => "txt",
            (Err(_), Err(_)) => "bin",
        };
        let sample = Path::new("samples").join(format!("{name}.{ending}"));
        Ok(SavedCase {
            case: Path::new("cases").join(format!("{name}.toml")),
            text: text(shown, &sample)?,
            sample,
            body,
        })
    }
}

fn body(event: &Value) -> Result<Vec<u8>, SaveError> {
    let body = &event["body"];
    if let Some(text) = body["text"].as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    body["hex"]
        .as_str()
        .and_then(|text| hex::decode(text).ok())
        .ok_or(SaveError::NoField("body"))
}

fn text(shown: &Value, sample: &Path) -> Result<String, SaveError> {
    let event = &shown["event"];
    let hook = event["hook"].as_str().ok_or(SaveError::NoField("hook"))?;
    let received_at = event["received_at"]
        .as_str()
        .ok_or(SaveError::NoField("received_at"))?;
    let attempt = last_attempt(shown);

    let mut document = DocumentMut::new();
    if let Some(number) = attempt.and_then(|attempt| attempt["number"].as_i64()) {
        document.insert("attempt", toml_edit::value(number));
    }
    document.insert("now", toml_edit::value(received_at));
    document.insert("event", Item::Table(event_table(event, sample)));
    let calls = attempt.and_then(|attempt| attempt["record"]["calls"].as_array());
    let calls = calls.map_or(&[][..], Vec::as_slice);
    if !calls.is_empty() {
        let mut answers = ArrayOfTables::new();
        calls.iter().for_each(|call| answers.push(answer(call)));
        document.insert("http", Item::ArrayOfTables(answers));
    }
    let id = shown["id"].as_str().unwrap_or_default();
    document.insert("expect", Item::Table(expect(attempt, calls, id)));

    let mut text = format!("# Event {id} of the hook {hook}.\n");
    if event["masked_because"].is_string() {
        text.push_str(
            "# The node shows nothing that looks like a credential: it does not know where the token or signature was.\n",
        );
    } else if event["body_masked"] == true {
        text.push_str("# The node does not show the token or signature in the body.\n");
    }
    let masked = masked_headers(event);
    if !masked.is_empty() {
        let names = masked.join(", ");
        text.push_str(&format!(
            "# Headers that the node does not show: {names}.\n"
        ));
    }
    Ok(text + &document.to_string())
}

/// The attempt that ran last.
fn last_attempt(shown: &Value) -> Option<&Value> {
    let attempts = shown["attempts"].as_array()?.iter();
    attempts.max_by_key(|attempt| (attempt["delivery"].as_i64(), attempt["number"].as_i64()))
}

// === [event] ===

fn event_table(event: &Value, sample: &Path) -> Table {
    let mut table = section();
    let path = format!("../{}", sample.display());
    table.insert("body", toml_edit::value(path));

    // An emitted event came over no HTTP.
    let is_emitted = attribute(event, "emitted-by").is_some();
    let request = ["method", "path", "query"];
    for key in request.iter().filter(|_| !is_emitted) {
        if let Some(text) = event[*key].as_str() {
            table.insert(key, toml_edit::value(text));
        }
    }
    for key in OWN_KEYS {
        if let Some(text) = attribute(event, key) {
            table.insert(key, toml_edit::value(text));
        }
    }

    let headers = pairs(&event["headers"])
        .filter(|(name, value)| *value != MASKED && *name != CONTENT_LENGTH);
    let mut headers: Vec<(&str, &str)> = headers.collect();
    for key in HEADER_KEYS {
        let mut named = headers.iter().filter(|(name, _)| *name == key);
        // Of several values, all are under `headers`.
        if let (Some((_, text)), None) = (named.next(), named.next()) {
            table.insert(key, toml_edit::value(*text));
            headers.retain(|(name, _)| *name != key);
        }
    }
    insert_texts(&mut table, "headers", headers.into_iter());
    // Parameters are read from the path again.
    let attributes = pairs(&event["attributes"])
        .filter(|(name, _)| !OWN_KEYS.contains(name) && !name.starts_with("param:"));
    insert_texts(&mut table, "attributes", attributes);
    table
}

/// A name with several texts has a list of them.
fn insert_texts<'a>(table: &mut Table, key: &str, texts: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut inner = section();
    for (name, text) in texts {
        match inner.get_mut(name) {
            None => drop(inner.insert(name, toml_edit::value(text))),
            Some(Item::Value(toml_edit::Value::Array(several))) => several.push(text),
            Some(one) => {
                let before = one.as_str().unwrap_or_default();
                *one = toml_edit::value(Array::from_iter([before, text]));
            }
        }
    }
    if !inner.is_empty() {
        table.insert(key, Item::Table(inner));
    }
}

fn masked_headers(event: &Value) -> Vec<&str> {
    let masked = pairs(&event["headers"]).filter(|(_, value)| *value == MASKED);
    masked.map(|(name, _)| name).collect()
}

fn attribute<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    let mut named = pairs(&event["attributes"]).filter(|(key, _)| *key == name);
    named.next().map(|(_, value)| value)
}

/// The pairs of texts in a list of lists.
fn pairs(list: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)))
}

// === [[http]] ===

/// The answer that a call has received. Several calls of one URL have several answers.
fn answer(call: &Value) -> Table {
    let mut table = section();
    table.insert(
        "method",
        toml_edit::value(call["method"].as_str().unwrap_or_default()),
    );
    table.insert("url", toml_edit::value(url(call)));
    table.insert("times", toml_edit::value(1));
    let Some(status) = call["status"].as_i64() else {
        let error = call["error"].as_str().unwrap_or_default();
        let error = if CALL_ERROR_WORDS.contains(&error) {
            error
        } else {
            "other"
        };
        table.insert("error", toml_edit::value(error));
        return table;
    };

    table.insert("status", toml_edit::value(status));
    let beginning = call["answer"].as_str().unwrap_or_default();
    match serde_json::from_str::<Value>(beginning) {
        Ok(Value::Object(object)) if table_item(&object).is_some() => {
            table.insert("json", table_item(&object).unwrap_or_default());
        }
        json => {
            if json.is_ok() {
                let mut headers = InlineTable::new();
                headers.insert("content-type", "application/json".into());
                table.insert("headers", Item::Value(headers.into()));
            }
            table.insert("body", toml_edit::value(beginning));
        }
    }

    let bytes = call["answer_bytes"].as_u64().unwrap_or(0) as usize;
    if bytes > beginning.len() {
        let comment = format!("\n# The node has kept the beginning of {bytes} bytes.\n");
        table.decor_mut().set_prefix(comment);
    }
    table
}

// === [expect] ===

fn expect(attempt: Option<&Value>, calls: &[Value], id: &str) -> Table {
    let mut table = section();
    let Some(attempt) = attempt else {
        return table;
    };
    let outcome = attempt["outcome"].as_str().unwrap_or_default();
    if outcome.is_empty() || NOT_REPEATABLE.contains(&outcome) {
        return table;
    }

    table.insert("outcome", toml_edit::value(outcome));
    let reason = attempt["reason"]
        .as_str()
        .and_then(|text| text.lines().next());
    if let Some(line) = reason.filter(|line| !line.is_empty()) {
        table.insert("reason", toml_edit::value(line));
    }

    // The event has another id in a test.
    let lines = pairs(&attempt["record"]["log"]);
    let lines: Vec<Value> = lines
        .map(|(level, text)| format!("{level}: {text}"))
        .filter(|line| id.is_empty() || !line.contains(id))
        .map(Value::from)
        .collect();
    if !lines.is_empty() {
        table.insert("log", Item::Value(list(&lines, lines.len() > 1).into()));
    }

    match attempt["status"].as_i64() {
        Some(status) => {
            let mut reply = section();
            reply.insert("status", toml_edit::value(status));
            table.insert("reply", Item::Table(reply));
        }
        None => drop(table.insert("reply", toml_edit::value(false))),
    }
    let is_of_policy = |call: &Value| OF_POLICY.iter().any(|error| call["error"] == **error);
    if !calls.iter().any(is_of_policy) {
        table.insert("calls", expected_calls(calls));
    }
    table
}

/// The URL of a call. Where a node has removed a secret of `[environment]`, a test has its
/// placeholder.
fn url(call: &Value) -> String {
    let shown = call["url"].as_str().unwrap_or_default();
    shown.replace(REDACTED, PLACEHOLDER)
}

fn expected_calls(calls: &[Value]) -> Item {
    if calls.is_empty() {
        return Item::Value(list(&[], false).into());
    }
    let mut tables = ArrayOfTables::new();
    for call in calls {
        let mut table = section();
        table.insert("method", Item::Value(inline(&call["method"])));
        table.insert("url", toml_edit::value(url(call)));
        tables.push(table);
    }
    Item::ArrayOfTables(tables)
}

/// A table with an empty line before its header.
fn section() -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["", "../x", "a b", "a.b"] {
            let error = SavedCase::new(name, &json!({})).unwrap_err();
            assert!(error.to_string().contains("cannot name a case"), "{error}");
        }
    }

    #[test]
    fn pruned_events_cannot_be_saved() {
        let shown = json!({ "event": { "problem": "pruned: the body is no longer kept" } });
        let error = SavedCase::new("a", &shown).unwrap_err().to_string();
        assert_eq!(
            error,
            "the event has no body any more: pruned: the body is no longer kept"
        );
    }

    #[test]
    fn events_become_cases() {
        let shown = json!({
            "id": "0197-id",
            "event": {
                "hook": "h", "received_at": "2026-01-31T08:15:30.000Z", "method": "POST", "path": "/h", "query": null,
                "headers": [
                    ["content-type", "application/json"], ["content-length", "2"], ["x-sign", "(masked)"],
                    ["x-hop", "a"], ["user-agent", "Jörg"], ["x-hop", "b"], ["x-hop", "c"], ["host", "hooks.example.com"],
                ],
                "attributes": [["provider", "github"], ["event-type", "push"], ["verified-by", "signature#1"], ["param:a", "b"], ["client-address", "203.0.113.7"]],
                "body": { "text": "{}" },
            },
            "attempts": [
                { "delivery": 1, "number": 1, "outcome": "retry", "reason": "no", "record": {} },
                { "delivery": 1, "number": 2, "outcome": "done", "reason": "", "status": 201, "record": {
                    "log": [["info", "event 0197-id"], ["info", "done"]],
                    "calls": [
                        { "method": "POST", "url": "https://a.example/x", "status": 200, "answer": "{\"ok\":true}", "answer_bytes": 11 },
                        { "method": "GET", "url": "https://a.example/[redacted]/y", "status": 404, "answer": "not", "answer_bytes": 9 },
                        { "method": "GET", "url": "https://b.example/", "error": "timeout", "reason": "slow" },
                    ],
                } },
            ],
        });
        let saved = SavedCase::new("push", &shown).unwrap();
        assert_eq!(saved.sample, Path::new("samples/push.json"));
        assert_eq!(saved.body, b"{}");
        assert_eq!(saved.text, include_str!("saved_case.toml"));
    }
}
