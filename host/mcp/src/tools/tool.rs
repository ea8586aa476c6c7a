//! What every tool has: a name, arguments with a schema, a role, and an answer.

use std::pin::Pin;

use async_trait::async_trait;
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::arguments::{check, read};
use crate::answer::{Answer, ToolError};
use crate::api::Node;

/// What a client must have to see a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A token with any role. The tool changes nothing.
    Read,
    /// A token with the role `operate`. The admin API refuses others.
    Operate,
    /// A folder of components that the operator has named.
    Components,
}

/// What a tool does to the node, for the client's questions to its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Repeated with the same arguments, it changes nothing more, and nothing is lost by it.
    Harmless,
    /// It stops something, or makes handlers act on the world outside.
    Disruptive,
}

/// One tool.
#[async_trait]
pub(super) trait Tool: 'static {
    /// The arguments. Their comments are the descriptions in the schema.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// The name in the protocol.
    const NAME: &'static str;
    /// The name for people.
    const TITLE: &'static str;
    /// What the tool does, for the agent.
    const DESCRIPTION: &'static str;
    const NEEDS: Needs;
    const EFFECT: Effect;
    /// Arguments whose text may be empty, and as long as the request.
    const FREE_TEXTS: &'static [&'static str] = &[];

    async fn run(node: &Node, input: Self::Input) -> Result<Answer, ToolError>;
}

/// The future of a call.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<Answer, ToolError>> + Send + 'a>>;

/// A tool in the list.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    /// See `Tool::FREE_TEXTS`.
    pub(super) free_texts: &'static [&'static str],
    /// As `tools/list` shows it.
    pub(crate) described: rmcp::model::Tool,
    pub(crate) run: for<'a> fn(&'a Node, JsonObject) -> Running<'a>,
}

// === impl Entry ===

impl Entry {
    /// Refuses arguments that are not what their schema means.
    pub(crate) fn check(&self, arguments: &JsonObject) -> Result<(), ToolError> {
        check(&self.described.input_schema, self.free_texts, arguments)
    }
}

/// The tool, for the list.
pub(super) fn entry<T: Tool>() -> Entry {
    let annotations = ToolAnnotations::with_title(T::TITLE)
        .read_only(T::EFFECT == Effect::None)
        .open_world(T::EFFECT == Effect::Disruptive);
    let annotations = match T::EFFECT {
        Effect::None => annotations,
        Effect::Harmless => annotations.destructive(false).idempotent(true),
        Effect::Disruptive => annotations.destructive(true).idempotent(false),
    };
    let described = rmcp::model::Tool::new(T::NAME, T::DESCRIPTION, JsonObject::new());
    Entry {
        name: T::NAME,
        needs: T::NEEDS,
        free_texts: T::FREE_TEXTS,
        described: described
            .with_title(T::TITLE)
            .with_input_schema::<T::Input>()
            .with_annotations(annotations),
        run: run::<T>,
    }
}

fn run<'a, T: Tool>(node: &'a Node, arguments: JsonObject) -> Running<'a> {
    Box::pin(async move {
        let input = read(T::NAME, arguments)?;
        T::run(node, input).await
    })
}
