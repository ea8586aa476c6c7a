//! Lists the hooks.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, PAGE_DEFAULT, PAGE_MAX, ToolError, in_part, picked, picked_in_part};
use crate::api::{Node, encoded};
use crate::cursor::{cursor, position};

/// The word of cursors.
const AFTER: &str = "after";
/// Facts that are whole.
const FACTS: [&str; 9] = [
    "name",
    "path",
    "state",
    "since",
    "component",
    "paused",
    "failing",
    "queue",
    "reconcile",
];
/// Sentences, which are cut.
const SENTENCES: [&str; 3] = ["problem", "wants", "warnings"];

pub(super) struct Hooks;

/// The arguments of `hooks`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The most hooks of the answer, 1 to 100. Default: 20.
    limit: Option<usize>,
    /// `next_cursor` of the last answer.
    cursor: Option<String>,
}

#[async_trait]
impl Tool for Hooks {
    type Input = Input;
    const NAME: &'static str = "hooks";
    const TITLE: &'static str = "List hooks";
    const DESCRIPTION: &'static str = "Lists the hooks: name, path, state (serving, stale, closed or unavailable), what \
        is wrong and what to do, whether an operator has paused it, and its queue. `inspect` shows one of them.";
    const NEEDS: Needs = Needs::Read;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let limit = input.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let after: Option<String> = match &input.cursor {
            Some(cursor) => Some(position(AFTER, cursor)?),
            None => None,
        };

        let all = node
            .get("/api/v1/hooks", &[("queue", "true".into())])
            .await?;
        let mut hooks: Vec<&Value> = all.as_array().into_iter().flatten().collect();
        let count = hooks.len();
        hooks.sort_by_cached_key(|hook| place(hook));
        if let Some(after) = after {
            hooks.retain(|hook| place(hook) > after);
        }
        let is_more = hooks.len() > limit;
        hooks.truncate(limit);

        let last = hooks.last().filter(|_| is_more);
        let next_cursor = last.map(|last| cursor(AFTER, place(last)));
        Ok(Answer(json!({
            "count": count,
            "next_cursor": next_cursor,
            "hooks": hooks.into_iter().map(item).collect::<Vec<_>>(),
        })))
    }
}

/// A hook in a list. A sentence of the node may quote a component or a file; it says what to do.
pub(super) fn item(hook: &Value) -> Value {
    let mut item = picked(hook, &FACTS);
    if let Some(queue) = item.get_mut("queue") {
        let keys = [
            "waiting",
            "pending",
            "running",
            "dead",
            "oldest_age_seconds",
            "last_seen",
        ];
        *queue = Value::Object(picked(queue, &keys));
    }
    if let Some(reconcile) = item.get_mut("reconcile") {
        *reconcile = in_part(reconcile.take());
    }
    item.extend(picked_in_part(hook, &SENTENCES));
    Value::Object(item)
}

/// The name, encoded: files that cannot be hooks can have any name.
fn place(hook: &Value) -> String {
    encoded(hook["name"].as_str().unwrap_or_default())
}
