//! Pauses and resumes a hook.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::hooks::item;
use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError};
use crate::api::{Node, hook_path};

pub(super) struct Pause;
pub(super) struct Resume;

/// The arguments of `pause` and `resume`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The name of the hook.
    hook: String,
}

#[async_trait]
impl Tool for Pause {
    type Input = Input;
    const NAME: &'static str = "pause";
    const TITLE: &'static str = "Pause a hook";
    const DESCRIPTION: &'static str = "Stops running the events of a hook until `resume`. In modes async and auto, events \
        are still accepted and wait.";
    const NEEDS: Needs = Needs::Operate;
    const EFFECT: Effect = Effect::Disruptive;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        order(node, &input.hook, "pause").await
    }
}

#[async_trait]
impl Tool for Resume {
    type Input = Input;
    const NAME: &'static str = "resume";
    const TITLE: &'static str = "Resume a paused hook";
    const DESCRIPTION: &'static str =
        "Runs the events of a paused hook again, beginning with those that waited.";
    const NEEDS: Needs = Needs::Operate;
    const EFFECT: Effect = Effect::Harmless;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        order(node, &input.hook, "resume").await
    }
}

async fn order(node: &Node, hook: &str, command: &str) -> Result<Answer, ToolError> {
    let path = format!("{}/{command}", hook_path(hook));
    let status = node.post(&path, &json!({})).await?;
    Ok(Answer(json!({ "status": item(&status) })))
}
