//! Finds deliveries.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tool::{Effect, Needs, Tool};
use crate::answer::{
    Answer, PAGE_DEFAULT, PAGE_MAX, ToolError, picked, picked_in_part, with_untrusted,
};
use crate::api::Node;
use crate::cursor::{cursor, position};

/// The word of cursors.
const BEFORE: &str = "before";
/// The most pages of the API that a call asks for: each takes about 30 ms if little matches.
const ROUNDS_MAX: usize = 20;
const FACTS: [&str; 19] = [
    "delivery",
    "event",
    "hook",
    "received_at",
    "state",
    "attempt",
    "deferrals",
    "due_in_ms",
    "waits_for",
    "replay_of",
    "resolved_by",
    "discarded",
    "body_bytes",
    "duplicates",
    "conflicts",
    "superseded_by",
    "batch",
    "batch_size",
    "erased_at",
];

pub(super) struct Search;

/// The arguments of `search`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    /// Only deliveries of this hook.
    hook: Option<String>,
    /// Only deliveries in this state: `waiting`, `pending`, `running`, `done`, `dead`, `resolved`,
    /// `discarded`, `filtered` or `superseded`.
    state: Option<String>,
    /// Only events received at this time or later: `2026-01-31T08:15:30Z`, or `1h` for an hour ago.
    since: Option<String>,
    /// Only events received before this time.
    until: Option<String>,
    /// Only events of this type of the provider.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only the delivery with this id of the provider.
    delivery_id: Option<String>,
    /// Only requests with this header: `NAME: VALUE`. Headers that may carry secrets are not
    /// searched.
    header: Option<String>,
    /// Only events with this value in the JSON body: `/POINTER=VALUE`.
    value: Option<String>,
    /// Only events with this text in the body.
    text: Option<String>,
    /// Only deliveries with this text in the reason of a retry or death.
    reason: Option<String>,
    /// Only deliveries with an attempt of this outcome, such as `done`, `retry`, `trap` or
    /// `timeout`.
    outcome: Option<String>,
    /// Only deliveries with an attempt that took at least this long, such as `2s`.
    slower: Option<String>,
    /// The most deliveries of the answer, 1 to 100. Default: 20.
    limit: Option<usize>,
    /// `next_cursor` of the last answer, with the same filters.
    cursor: Option<String>,
}

#[async_trait]
impl Tool for Search {
    type Input = Input;
    const NAME: &'static str = "search";
    const TITLE: &'static str = "Search deliveries";
    const DESCRIPTION: &'static str = "Finds deliveries, newest first, by hook, state, time, type, header, body, reason, \
        outcome or duration. A delivery is the obligation to handle one event; `show` takes the id of its event. \
        The answer may have few deliveries, or none, and a `next_cursor`: then older ones were not searched yet.";
    const NEEDS: Needs = Needs::Read;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let limit = input.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let filters = input.filters();
        let mut next: Option<i64> = match &input.cursor {
            Some(cursor) => Some(position(BEFORE, cursor)?),
            None => None,
        };

        let (mut found, mut examined, mut back_to) = (Vec::new(), 0, Value::Null);
        for _ in 0..ROUNDS_MAX {
            let mut parameters = filters.clone();
            parameters.push(("limit", (limit - found.len()).to_string()));
            parameters.extend(next.map(|before| ("before", before.to_string())));
            let page = node.get("/api/v1/events", &parameters).await?;

            found.extend(page["events"].as_array().into_iter().flatten().map(item));
            examined += page["scanned"].as_u64().unwrap_or(0);
            back_to = page["back_to"].clone();
            next = page["next"].as_i64();
            if next.is_none() || found.len() >= limit {
                break;
            }
        }
        Ok(Answer(json!({
            "deliveries": found,
            "examined": examined,
            "searched_back_to": back_to,
            "next_cursor": next.map(|next| cursor(BEFORE, next)),
        })))
    }
}

// === impl Input ===

impl Input {
    /// The parameters of the API, without the page.
    fn filters(&self) -> Vec<(&'static str, String)> {
        let filters = [
            ("hook", &self.hook),
            ("state", &self.state),
            ("since", &self.since),
            ("until", &self.until),
            ("type", &self.event_type),
            ("delivery_id", &self.delivery_id),
            ("header", &self.header),
            ("value", &self.value),
            ("text", &self.text),
            ("reason", &self.reason),
            ("outcome", &self.outcome),
            ("slower", &self.slower),
        ];
        let given = filters.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

/// A delivery in a list. The reason is by the handler.
pub(super) fn item(delivery: &Value) -> Value {
    with_untrusted(
        picked(delivery, &FACTS),
        picked_in_part(delivery, &["reason"]),
    )
}
