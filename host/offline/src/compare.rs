//! Compares a run with `[expect]`: only what the case names.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::case::{Case, Expect};
use crate::content::{Content, header_map};
use crate::difference::Difference;
use crate::run::Run;

/// A reply, a call, a row or an emitted event of a run, with everything that a case can name.
struct Message {
    fields: Vec<(&'static str, Value)>,
    headers: Map<String, Value>,
    /// `row` for rows, otherwise `json`.
    json_key: &'static str,
    body: Content,
}

/// The results of a run in the form of `[expect]`, as far as the expectations name them.
pub(crate) struct Actual<'a> {
    run: &'a Run,
    form: Form,
}

/// The form of a file in which results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// TOML has no null, and no integers of more than 64 bits: a body with one is written as text.
    Toml,
}

/// Everything in which a run differs from its case.
pub(crate) fn compare(case: &Case, run: &Run) -> Vec<Difference> {
    let expect = case.expect.clone().unwrap_or_default();
    let actual = Actual::new(run, Form::Json);

    let mut differences = unanswered(case, run);
    differences.extend(outcome(&expect, run));
    for (key, expected, actual) in actual.parts(&expect) {
        if expected != actual {
            let difference = Difference::between(key, &expected, &actual);
            differences.push(with_reason(key, difference, run));
        }
    }
    differences
}

/// A call without an answer fails the case, whatever the handler makes of it.
fn unanswered(case: &Case, run: &Run) -> Vec<Difference> {
    let calls = run.calls.iter().filter(|call| call.is_unanswered);
    calls
        .map(|call| {
            let (method, url) = (&call.method, &call.url);
            let body = Content::new(call.body.clone()).into_text();
            let shown: String = body.chars().take(300).collect();
            let body = match shown.is_empty() {
                true => String::new(),
                false => format!("{shown}\n"),
            };
            let prefix = url.split(['?', '#']).next().unwrap_or(url);
            let answer = if case.source.is_json {
                format!(
                    "\"http\": [{}]",
                    json!({ "method": method, "url": prefix, "status": 200, "json": {} })
                )
            } else {
                format!(
                    "[[http]]\nmethod = {}\nurl = {}\nstatus = 200\njson = {{}}",
                    json!(method),
                    json!(prefix)
                )
            };
            let text = format!(
                "{method} {url}\n{body}no answer of the case fits this call, so the component saw the error `unreachable`; add one to {}:\n\n{answer}",
                case.source.shown
            );
            Difference::message("call without an answer", text)
        })
        .collect()
}

fn outcome(expect: &Expect, run: &Run) -> Option<Difference> {
    let expected = expect.outcome.as_deref().unwrap_or("done");
    let (word, reason) = (run.word(), run.reason());
    if expected == word {
        return None;
    }
    let happened = match reason {
        "" => word.to_owned(),
        reason => format!("{word}: {reason}"),
    };
    let difference = Difference::between("outcome", &expected.into(), &happened.into());
    let failed: Vec<String> = run.failed_calls().collect();
    Some(match failed.is_empty() {
        true => difference,
        false => difference.with_hint(&format!("failed calls:\n  {}", failed.join("\n  "))),
    })
}

/// Says why effects or calls are missing.
fn with_reason(key: &str, difference: Difference, run: &Run) -> Difference {
    let failed: Vec<String> = run.failed_calls().collect();
    match key {
        "rows" | "emitted" | "kv" if run.is_discarded => difference.with_hint(&format!(
            "the attempt ended with `{}`, so a node applies none of its effects",
            run.word()
        )),
        "calls" if !failed.is_empty() => {
            difference.with_hint(&format!("failed calls:\n  {}", failed.join("\n  ")))
        }
        _ => difference,
    }
}

// === impl Actual ===

impl<'a> Actual<'a> {
    pub(crate) fn new(run: &'a Run, form: Form) -> Actual<'a> {
        Actual { run, form }
    }

    /// Each part that is named: its key, what was expected, what happened.
    pub(crate) fn parts(&self, expect: &Expect) -> Vec<(&'static str, Value, Value)> {
        let mut parts = Vec::new();
        if let Some(reason) = &expect.reason {
            let actual = self.run.reason();
            let is_part = actual.contains(reason);
            let actual = if is_part { reason } else { actual };
            parts.push(("reason", reason.clone().into(), actual.into()));
        }
        if let Some(reply) = &expect.reply {
            parts.push(("reply", reply.clone(), self.reply(Some(reply))));
        }
        for (key, expected, messages) in [
            ("calls", &expect.calls, self.calls()),
            ("rows", &expect.rows, self.rows()),
            ("emitted", &expect.emitted, self.emitted()),
        ] {
            if let Some(expected) = expected {
                let actual = projected(messages, expected, self.form);
                parts.push((key, expected.clone().into(), actual));
            }
        }
        if let Some(kv) = &expect.kv {
            let after = kv.keys().map(|key| (key.clone(), self.stored(key)));
            let actual = Value::Object(after.collect());
            parts.push(("kv", kv.clone().into(), actual));
        }
        if let Some(lines) = &expect.log {
            let actual = self.run.log_lines();
            let actual = if occur_in_order(lines, &actual) {
                lines.clone()
            } else {
                actual
            };
            parts.push(("log", lines.clone().into(), actual.into()));
        }
        parts
    }

    /// Everything, for a case that names nothing yet.
    pub(crate) fn whole(&self) -> Vec<(&'static str, Value)> {
        let run = self.run;
        let mut parts = vec![("outcome", Value::from(run.word()))];
        if !run.reason().is_empty() {
            parts.push(("reason", run.reason().into()));
        }
        if !run.log.is_empty() {
            parts.push(("log", run.log_lines().into()));
        }
        parts.push(("reply", self.reply(None)));
        parts.push(("calls", projected(self.calls(), &[], self.form)));
        parts.push(("rows", projected(self.rows(), &[], self.form)));
        parts.push(("emitted", projected(self.emitted(), &[], self.form)));
        if !run.written.is_empty() {
            let written = run.written.keys();
            let written = written.map(|key| (key.clone(), self.stored(key)));
            parts.push(("kv", Value::Object(written.collect())));
        }
        parts
    }

    fn stored(&self, key: &str) -> Value {
        match self.run.value(key) {
            Some(text) => text.clone().into(),
            None => Value::Bool(false),
        }
    }

    /// The reply with the keys that `expected` has, or with all.
    fn reply(&self, expected: Option<&Value>) -> Value {
        let Some(reply) = self.run.outcome.reply() else {
            return Value::Bool(false);
        };
        let message = Message {
            fields: vec![("status", reply.status.into())],
            headers: header_map(&reply.headers),
            json_key: "json",
            body: Content::new(reply.body.clone()),
        };
        match expected.and_then(Value::as_object) {
            Some(expected) => message.project(expected, self.form),
            None => message.whole(self.form),
        }
    }

    fn calls(&self) -> Vec<Message> {
        let calls = self.run.calls.iter();
        calls
            .map(|call| Message {
                fields: vec![
                    ("method", call.method.clone().into()),
                    ("url", call.url.clone().into()),
                ],
                headers: call
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone().into()))
                    .collect(),
                json_key: "json",
                body: Content::new(call.body.clone()),
            })
            .collect()
    }

    fn rows(&self) -> Vec<Message> {
        let rows = self.run.rows.iter();
        rows.map(|row| Message {
            fields: vec![("table", row.table.clone().into())],
            headers: Map::new(),
            json_key: "row",
            body: Content::new(Bytes::copy_from_slice(row.text.as_bytes())),
        })
        .collect()
    }

    fn emitted(&self) -> Vec<Message> {
        let emitted = self.run.emitted.iter();
        emitted
            .map(|emission| {
                let mut fields = vec![("hook", Value::from(emission.hook.to_string()))];
                if let Some(event_type) = &emission.event_type {
                    fields.push(("event-type", event_type.clone().into()));
                }
                if let Some(key) = &emission.key {
                    fields.push(("key", key.clone().into()));
                }
                Message {
                    fields,
                    headers: header_map(&emission.headers),
                    json_key: "json",
                    body: Content::new(emission.body.clone()),
                }
            })
            .collect()
    }
}

/// The columns that a case names.
fn named_columns(mut row: Value, expected: &Value) -> Value {
    if let (Some(columns), Some(named)) = (row.as_object_mut(), expected.as_object()) {
        columns.retain(|column, _| named.contains_key(column));
    }
    row
}

// === impl Message ===

impl Message {
    /// The keys that a case names. A header that is absent is `false`.
    fn project(self, expected: &Map<String, Value>, form: Form) -> Value {
        let mut shown = Map::new();
        for key in expected.keys() {
            let value = match key.as_str() {
                "headers" => {
                    let named = expected[key].as_object();
                    let headers = named.into_iter().flatten().map(|(name, _)| {
                        let value = self.headers.get(name).cloned();
                        (name.clone(), value.unwrap_or(Value::Bool(false)))
                    });
                    Some(Value::Object(headers.collect()))
                }
                // A row or body that is written as text is compared as text.
                "body" => Some(self.body.clone().into_text().into()),
                "row" if expected[key].is_string() => Some(self.body.clone().into_text().into()),
                "row" => {
                    let row = self
                        .body
                        .json()
                        .map(|row| named_columns(row, &expected[key]));
                    self.put_body(&mut shown, row, form);
                    None
                }
                "json" => {
                    self.put_body(&mut shown, self.body.json(), form);
                    None
                }
                "url" => Some(self.url(&expected[key])),
                field => self
                    .fields
                    .iter()
                    .find(|(name, _)| *name == field)
                    .map(|(_, value)| value.clone()),
            };
            if let Some(value) = value {
                shown.insert(key.clone(), value);
            }
        }
        Value::Object(shown)
    }

    /// All keys but headers, most of which a library or the host adds.
    fn whole(self, form: Form) -> Value {
        let fields = self.fields.iter();
        let mut shown: Map<String, Value> = fields
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        if let Some(content_type) = self.headers.get("content-type") {
            shown.insert("headers".into(), json!({ "content-type": content_type }));
        }
        if !self.body.is_empty() {
            self.put_body(&mut shown, self.body.structure(), form);
        }
        Value::Object(shown)
    }

    /// The URL of a call, without its query if the case names none.
    fn url(&self, expected: &Value) -> Value {
        let url = self.fields.iter().find(|(name, _)| *name == "url");
        let url = url.and_then(|(_, url)| url.as_str()).unwrap_or_default();
        let expected = expected.as_str().unwrap_or_default();
        if expected.contains('?') {
            return url.into();
        }
        if landfall_egress::shown_url(url) == expected {
            return expected.into();
        }
        url.split('?').next().unwrap_or_default().into()
    }

    /// Adds the body as JSON if the form has all of its values, otherwise as text.
    fn put_body(&self, shown: &mut Map<String, Value>, json: Option<Value>, form: Form) {
        match json.filter(|json| form.has(json)) {
            Some(json) => shown.insert(self.json_key.into(), json),
            None => {
                let key = if self.json_key == "row" {
                    "row"
                } else {
                    "body"
                };
                shown.insert(key.into(), self.body.clone().into_text().into())
            }
        };
    }
}

/// All messages, those that a case names with the keys that it names.
fn projected(messages: Vec<Message>, expected: &[Value], form: Form) -> Value {
    let mut expected = expected.iter().filter_map(Value::as_object);
    let messages = messages.into_iter();
    messages
        .map(|message| match expected.next() {
            Some(expected) => message.project(expected, form),
            None => message.whole(form),
        })
        .collect()
}

// === impl Form ===

impl Form {
    /// Whether every value in this JSON has the form's equal.
    pub(crate) fn has(self, value: &Value) -> bool {
        match value {
            _ if self == Form::Json => true,
            Value::Null => false,
            Value::Number(number) => number.is_i64() || number.is_f64(),
            Value::Array(list) => list.iter().all(|one| self.has(one)),
            Value::Object(object) => object.values().all(|one| self.has(one)),
            Value::Bool(_) | Value::String(_) => true,
        }
    }
}

fn occur_in_order(lines: &[String], all: &[String]) -> bool {
    let mut rest = all.iter();
    lines.iter().all(|line| rest.any(|one| one == line))
}
