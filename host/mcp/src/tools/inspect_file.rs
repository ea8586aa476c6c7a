//! Loads a component of the operator's folder, as a node would.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError, picked_in_part, with_untrusted};
use crate::api::Node;
use crate::components::ComponentProblem;

pub(super) struct InspectFile;

/// The arguments of `inspect_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The name of a .wasm file in the folder that the operator named with `--components`.
    file: String,
}

#[async_trait]
impl Tool for InspectFile {
    type Input = Input;
    const NAME: &'static str = "inspect_file";
    const TITLE: &'static str = "Inspect a component before it is added";
    const DESCRIPTION: &'static str = "Loads a component as a node would, without adding it: what it exports and imports, \
        the grants that it needs, its settings, or why a node would refuse it. Takes a few seconds.";
    const NEEDS: Needs = Needs::Components;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let Some(components) = &node.components else {
            return Err(ToolError::new(
                "this MCP server reads no files: start `landfall mcp` with --components DIR, or add the component to \
                 the plugins directory and use `inspect`",
            ));
        };

        let inspected = components.inspect(&input.file).await;
        let receipt = inspected.map_err(|ComponentProblem(why)| ToolError::new(why))?;
        let facts = [
            "digest",
            "bytes",
            "memory_bytes",
            "exports",
            "imports",
            "responder",
            "needs",
            "warnings",
        ];
        let said = [
            "name",
            "version",
            "description",
            "event_types",
            "settings_schema",
        ];
        Ok(Answer(with_untrusted(
            picked_in_part(&receipt, &facts),
            picked_in_part(&receipt, &said),
        )))
    }
}
