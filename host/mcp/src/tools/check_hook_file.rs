//! Checks the text of a hook file.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError};
use crate::api::Node;

pub(super) struct CheckHookFile;

/// The arguments of `check_hook_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The name of the hook: that of the file without `.toml`.
    hook: String,
    /// The text of the hook file, in TOML. Secrets are references such as `env:NAME`, never values.
    text: String,
}

#[async_trait]
impl Tool for CheckHookFile {
    type Input = Input;
    const NAME: &'static str = "check_hook_file";
    const TITLE: &'static str = "Check the text of a hook file";
    const DESCRIPTION: &'static str = "Says what is wrong with the text of a hook file on this node, and what to do: \
        syntax, keys, provider, path, grants, secrets that hook files may name, and settings of the component. \
        Nothing is stored or loaded.";
    const NEEDS: Needs = Needs::Read;
    const EFFECT: Effect = Effect::None;
    const FREE_TEXTS: &'static [&'static str] = &["text"];

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let Input { hook, text } = input;
        let order = json!({ "hook": hook, "text": text });
        Ok(Answer(node.post("/api/v1/check", &order).await?))
    }
}
