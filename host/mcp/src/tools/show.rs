//! Shows one event: in short, its body, or what its attempts did.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::search::item;
use super::tool::{Effect, Needs, Tool};
use crate::answer::{
    Answer, LISTED_MAX, PAGE_DEFAULT, PAGE_MAX, ToolError, in_part, picked, picked_in_part,
    with_untrusted,
};
use crate::api::{Node, encoded};
use crate::cursor::{cursor, position};
use crate::text::cut;

/// The words of cursors.
const BODY: &str = "body";
const STEPS: &str = "attempts";
/// The bytes of a body in one answer.
const BODY_BYTES: usize = 4096;
/// The most headers and attributes.
const HEADERS_MAX: usize = 40;
/// The most characters of a line of a log.
const LINE_MAX: usize = 2_000;
const ATTEMPT: [&str; 6] = [
    "delivery",
    "number",
    "started_at",
    "duration_ms",
    "outcome",
    "status",
];
const CALL: [&str; 5] = ["ms", "status", "answer_bytes", "error", "repeated"];

pub(super) struct Show;

/// The arguments of `show`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The id of the event, or the beginning of it.
    event: String,
    /// What to show. Default: `summary`.
    part: Option<Part>,
    /// The most steps of the attempts in the answer, 1 to 100. Default: 20.
    limit: Option<usize>,
    /// `next_cursor` of the last answer, with the same `part`.
    cursor: Option<String>,
}

/// A part of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// The request with the first 4 KiB of its body, deliveries, and attempts in short.
    Summary,
    /// The body, 4 KiB at a time.
    Body,
    /// The attempts in full, with the lines of their logs and their outbound calls.
    Attempts,
}

#[async_trait]
impl Tool for Show {
    type Input = Input;
    const NAME: &'static str = "show";
    const TITLE: &'static str = "Show an event";
    const DESCRIPTION: &'static str = "Shows one event: the request as it was received, how its sender was verified, its \
        deliveries and attempts. Tokens and signatures are masked. `part` = `body` shows the body 4 KiB at a \
        time, and goes on at the `body_cursor` of the summary; `part` = `attempts` shows the logs and outbound \
        calls of all attempts.";
    const NEEDS: Needs = Needs::Read;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let is_in_id = |c: char| c.is_ascii_hexdigit() || c == '-';
        if !input.event.chars().all(is_in_id) {
            return Err(ToolError::new(
                "`event` is no id: ids have hexadecimal digits and `-`; write what `search` lists as `event`",
            ));
        }

        match input.part.unwrap_or(Part::Summary) {
            Part::Summary if input.cursor.is_some() => Err(ToolError::new(
                "the summary has no further page: write `part` = `body` with a cursor that begins with `body:`, or \
                 `part` = `attempts`",
            )),
            Part::Summary => summary(node, &input.event).await,
            Part::Body => body(node, &input).await,
            Part::Attempts => steps(node, &input).await,
        }
    }
}

async fn event(node: &Node, id: &str, body_from: usize) -> Result<Value, ToolError> {
    let parameters = [
        ("body_from", body_from.to_string()),
        ("body_max", BODY_BYTES.to_string()),
    ];
    let path = format!("/api/v1/events/{}", encoded(id));
    node.get(&path, &parameters).await
}

async fn summary(node: &Node, id: &str) -> Result<Answer, ToolError> {
    let shown = event(node, id, 0).await?;
    let request = &shown["event"];

    let mut facts = picked_in_part(&shown, &["id", "parent", "children", "repeats", "timing"]);
    facts.extend(picked(
        request,
        &[
            "hook",
            "received_at",
            "body_bytes",
            "body_masked",
            "problem",
        ],
    ));
    facts.insert("verdict".into(), in_part(shown["verdict"].clone()));
    facts.insert("deliveries".into(), newest(&shown["deliveries"], item));
    let mut attempts = shown["attempts"].clone();
    if let Some(attempts) = attempts.as_array_mut() {
        attempts.reverse();
    }
    facts.insert("attempts".into(), newest(&attempts, attempt));
    let next = request["body_next"].as_u64();
    facts.insert(
        "body_cursor".into(),
        json!(next.map(|next| cursor(BODY, next))),
    );

    let mut untrusted = picked_in_part(request, &["method", "path", "query"]);
    untrusted.extend(body_shown(request));
    for key in ["headers", "attributes"] {
        let pairs = request[key].as_array().into_iter().flatten();
        let more = pairs.clone().count().saturating_sub(HEADERS_MAX);
        let first: Value = pairs.take(HEADERS_MAX).cloned().map(in_part).collect();
        untrusted.insert(key.to_owned(), first);
        if more > 0 {
            untrusted.insert(format!("more_{key}"), more.into());
        }
    }
    Ok(Answer(with_untrusted(facts, untrusted)))
}

/// At most 4 KiB of the body. Together, the pages are the whole body.
async fn body(node: &Node, input: &Input) -> Result<Answer, ToolError> {
    let from = match &input.cursor {
        Some(cursor) => position(BODY, cursor)?,
        None => 0,
    };
    let shown = event(node, &input.event, from).await?;
    let request = &shown["event"];
    if let Some(problem) = request["problem"].as_str() {
        return Err(ToolError::new(format!(
            "the body cannot be shown, it is {problem}"
        )));
    }

    let next = request["body_next"].as_u64();
    let facts = Map::from_iter([
        ("id".to_owned(), shown["id"].clone()),
        ("body_bytes".to_owned(), request["body_bytes"].clone()),
        ("body_masked".to_owned(), request["body_masked"].clone()),
        ("from".to_owned(), from.into()),
        (
            "next_cursor".to_owned(),
            json!(next.map(|next| cursor(BODY, next))),
        ),
    ]);
    Ok(Answer(with_untrusted(facts, body_shown(request))))
}

/// `body` as text, or `body_hex`.
fn body_shown(request: &Value) -> Map<String, Value> {
    let body = &request["body"];
    let shown = [("text", "body"), ("hex", "body_hex")];
    let shown = shown
        .into_iter()
        .filter_map(|(key, name)| Some((name.to_owned(), body.get(key)?.clone())));
    shown.collect()
}

/// The steps of all attempts, in ascending order. Further ones are added at the end.
async fn steps(node: &Node, input: &Input) -> Result<Answer, ToolError> {
    let limit = input.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let from: usize = match &input.cursor {
        Some(cursor) => position(STEPS, cursor)?,
        None => 0,
    };
    let path = format!("/api/v1/events/{}/attempts", encoded(&input.event));
    let attempts = node.get(&path, &[]).await?;

    let attempts = attempts.as_array().into_iter().flatten();
    let all: Vec<Value> = attempts.flat_map(steps_of).collect();
    let count = all.len();
    let page: Vec<Value> = all.into_iter().skip(from).take(limit).collect();
    let next = from.saturating_add(page.len());
    let is_more = !page.is_empty() && next < count;
    Ok(Answer(json!({
        "count": count,
        "steps": page,
        "next_cursor": is_more.then(|| cursor(STEPS, next)),
    })))
}

/// The attempt, then the lines of its log, then its outbound calls.
fn steps_of(shown: &Value) -> Vec<Value> {
    let record = &shown["record"];
    let mut steps = vec![attempt(shown)];
    for line in record["log"].as_array().into_iter().flatten() {
        let text = cut(line[1].as_str().unwrap_or_default(), LINE_MAX);
        let untrusted = Map::from_iter([("log".to_owned(), text.into())]);
        let mut facts = place(shown);
        facts.insert("level".to_owned(), line[0].clone());
        steps.push(with_untrusted(facts, untrusted));
    }
    for call in record["calls"].as_array().into_iter().flatten() {
        let mut facts = place(shown);
        facts.insert(
            "call".to_owned(),
            Value::Object(picked_in_part(call, &CALL)),
        );
        // The handler has chosen the method and the URL, and the receiver the answer.
        let untrusted = picked_in_part(call, &["method", "url", "answer", "reason"]);
        steps.push(with_untrusted(facts, untrusted));
    }
    steps
}

/// Which attempt a step belongs to.
fn place(attempt: &Value) -> Map<String, Value> {
    picked(attempt, &["delivery", "number"])
}

/// An attempt in short.
fn attempt(shown: &Value) -> Value {
    let record = &shown["record"];
    let mut facts = picked(shown, &ATTEMPT);
    facts.extend(picked(
        record,
        &[
            "memory_bytes",
            "http_calls",
            "rows",
            "kv_writes",
            "emitted",
            "component",
            "log_truncated",
        ],
    ));
    let lines = record["log"].as_array().map_or(0, Vec::len);
    if lines > 0 {
        facts.insert("log_lines".to_owned(), lines.into());
    }
    with_untrusted(facts, picked_in_part(shown, &["reason"]))
}

/// The first elements of a list, and the number of the others.
fn newest(list: &Value, item: impl Fn(&Value) -> Value) -> Value {
    let list = list.as_array().into_iter().flatten();
    let more = list.clone().count().saturating_sub(LISTED_MAX);
    let mut shown: Vec<Value> = list.take(LISTED_MAX).map(item).collect();
    if more > 0 {
        shown.push(json!({ "more": more }));
    }
    Value::Array(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::UNTRUSTED;

    #[test]
    fn steps_keep_texts_apart() {
        let shown = json!({
            "delivery": 1, "number": 2, "outcome": "retry", "reason": "told",
            "record": {
                "log": [["info", "said"]],
                "calls": [{ "method": "GET", "url": "https://a.example/", "ms": 1.5, "answer": "heard" }],
            },
        });
        let steps = steps_of(&shown);
        let untrusted: Vec<&Value> = steps.iter().map(|step| &step[UNTRUSTED]).collect();
        assert_eq!(untrusted[0]["reason"], "told");
        assert_eq!(untrusted[1]["log"], "said");
        assert_eq!(untrusted[2]["answer"], "heard");
        assert_eq!(untrusted[2]["method"], "GET");
        for step in &steps {
            assert_eq!((&step["delivery"], &step["number"]), (&json!(1), &json!(2)));
        }
    }
}
