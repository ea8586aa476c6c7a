//! Ownership checks: a body that asks to be answered instead of handled. What is sent back is a JSON string, capped.

use bytes::Bytes;

use super::request::Unverified;
use crate::model::Challenge;

/// The most bytes of a value that is sent back.
const ECHO_BYTES_MAX: usize = 1024;
/// The largest body that can be a challenge.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// What to send back instead of running the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// JSON: `{"challenge": "…"}`.
    pub json: Bytes,
}

/// The answer, if the request is one of these challenges.
pub fn answer<'a>(rules: impl Iterator<Item = &'a Challenge>, request: &Unverified) -> Option<Answer> {
    let mut rules = rules.peekable();
    rules.peek()?;
    if request.body.len() > BODY_BYTES_MAX || request.body.first() != Some(&b'{') {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
    rules.find_map(|rule| apply(rule, &body))
}

fn apply(rule: &Challenge, body: &serde_json::Value) -> Option<Answer> {
    let object = body.as_object()?;
    if !rule.only_keys.is_empty() && !object.keys().all(|key| rule.only_keys.contains(key)) {
        return None;
    }
    let holds =
        |(pointer, expected): &(String, String)| body.pointer(pointer).and_then(|v| v.as_str()) == Some(expected);
    if !rule.equals.iter().all(holds) {
        return None;
    }
    let value = body.pointer(&rule.echo)?.as_str().filter(|text| text.len() <= ECHO_BYTES_MAX)?;
    let key = rule.echo.rsplit('/').next().expect("a split has a last part");
    Some(Answer { json: serde_json::json!({ key: value }).to_string().into() })
}
