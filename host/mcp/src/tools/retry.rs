//! Makes retries due now.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::order::{Selection, result};
use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError};
use crate::api::Node;

pub(super) struct Retry;

/// The arguments of `retry`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    /// Ids of events, or the beginnings of ids; up to 500. Either these or `hook`.
    events: Vec<String>,
    /// Pending deliveries of this hook instead, oldest first.
    hook: Option<String>,
    /// With `hook`: only events received at this time or later: `2026-01-31T08:15:30Z`, or `1h` for
    /// an hour ago.
    since: Option<String>,
    /// With `hook`: only events received before this time.
    until: Option<String>,
    /// With `hook`: the most deliveries that this call takes, 1 to 500. Default: 20.
    limit: Option<usize>,
    /// Change nothing: say how many deliveries would be due, and list the first of them.
    dry_run: bool,
    /// With `hook`: `next_cursor` of the last answer, with the same other arguments.
    cursor: Option<String>,
}

#[async_trait]
impl Tool for Retry {
    type Input = Input;
    const NAME: &'static str = "retry";
    const TITLE: &'static str = "Retry pending deliveries now";
    const DESCRIPTION: &'static str = "Makes pending deliveries due now, which wait for a later attempt. Dead ones need \
        `replay`.";
    const NEEDS: Needs = Needs::Operate;
    const EFFECT: Effect = Effect::Harmless;

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
        let order = Value::Object(selection.order()?);
        let done = node.post("/api/v1/retry-now", &order).await?;
        Ok(Answer(result(&done, &["deliveries", "skipped"])))
    }
}
