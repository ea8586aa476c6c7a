//! Sends a signed sample to a hook.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError};
use crate::api::{Node, hook_path};

pub(super) struct SendSample;

/// The arguments of `send_sample`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The name of the hook.
    hook: String,
    /// The type of the event, if the provider has types. Default: that of the provider's sample.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// The body before it is signed, at most 256 KiB. Default: that of the provider's sample.
    body: Option<String>,
}

#[async_trait]
impl Tool for SendSample {
    type Input = Input;
    const NAME: &'static str = "send_sample";
    const TITLE: &'static str = "Send a signed sample to a hook";
    const DESCRIPTION: &'static str = "Signs a request as the provider of the hook signs it, and sends it to this node. \
        The hook handles it like a real one: its handler acts on the world outside. Returns the status of the \
        answer and the id of the event, for `show`. The request, its signature and the body of the answer are not \
        shown, because they may contain the secret. If the status is 401, `explain` says why.";
    const NEEDS: Needs = Needs::Operate;
    const EFFECT: Effect = Effect::Disruptive;
    const FREE_TEXTS: &'static [&'static str] = &["body"];

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let Input {
            hook,
            event_type,
            body,
        } = input;
        let path = format!("{}/send", hook_path(&hook));
        let order = json!({ "type": event_type, "body": body });
        Ok(Answer(node.post(&path, &order).await?))
    }
}
