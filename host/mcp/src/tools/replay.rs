//! Runs events again.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::order::{Selection, result};
use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError};
use crate::api::Node;

pub(super) struct Replay;

/// The arguments of `replay`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    /// Ids of events, or the beginnings of ids; up to 500. Either these or `hook`.
    events: Vec<String>,
    /// Deliveries of this hook instead, oldest first.
    hook: Option<String>,
    /// With `hook`: only deliveries in this state. Default: `dead`.
    state: Option<String>,
    /// With `hook`: only events received at this time or later: `2026-01-31T08:15:30Z`, or `1h` for
    /// an hour ago.
    since: Option<String>,
    /// With `hook`: only events received before this time.
    until: Option<String>,
    /// With `hook`: the most deliveries that this call takes, 1 to 500. Default: 20.
    limit: Option<usize>,
    /// Also run events again that a later replay has handled, and discarded ones.
    again: bool,
    /// How many replays start in a second. Default: 100.
    per_second: Option<f64>,
    /// Change nothing: say how many events would run again, and list the first of them.
    dry_run: bool,
    /// With `hook`: `next_cursor` of the last answer, with the same other arguments.
    cursor: Option<String>,
}

#[async_trait]
impl Tool for Replay {
    type Input = Input;
    const NAME: &'static str = "replay";
    const TITLE: &'static str = "Replay events";
    const DESCRIPTION: &'static str = "Runs stored events again: their handlers act on the world outside once more. Takes \
        the ids of events, or a page of a hook's deliveries, dead ones by default. Call it with `dry_run` first.";
    const NEEDS: Needs = Needs::Operate;
    const EFFECT: Effect = Effect::Disruptive;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let selection = Selection {
            events: &input.events,
            hook: input.hook.as_deref(),
            since: input.since.as_deref(),
            until: input.until.as_deref(),
            limit: input.limit,
            dry_run: input.dry_run,
            cursor: input.cursor.as_deref(),
        };
        let mut order = selection.order()?;
        order.insert("again".to_owned(), input.again.into());
        if let Some(state) = input.state {
            order.insert("state".to_owned(), state.into());
        }
        if let Some(per_second) = input.per_second {
            order.insert("per_second".to_owned(), per_second.into());
        }

        let done = node.post("/api/v1/replay", &Value::Object(order)).await?;
        let counts = [
            "events",
            "waiting",
            "repeated",
            "undecodable",
            "orphaned",
            "discarded",
        ];
        Ok(Answer(result(&done, &counts)))
    }
}
