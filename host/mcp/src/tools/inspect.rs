//! Shows one hook with its component.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::hooks::item;
use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, ToolError, picked, picked_in_part, with_untrusted};
use crate::api::{Node, hook_path};

pub(super) struct Inspect;

/// The arguments of `inspect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The name of the hook.
    hook: String,
}

#[async_trait]
impl Tool for Inspect {
    type Input = Input;
    const NAME: &'static str = "inspect";
    const TITLE: &'static str = "Inspect a hook and its component";
    const DESCRIPTION: &'static str = "Shows one hook: its status and queue, the component that it runs (digest, size, \
        imports, exports), what the hook file grants, and the newest dead delivery.";
    const NEEDS: Needs = Needs::Read;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let detail = node.get(&hook_path(&input.hook), &[]).await?;
        Ok(Answer(json!({
            "status": item(&detail["status"]),
            "component": component(&detail["receipt"]),
            "last_error": last_error(&detail["last_error"]),
        })))
    }
}

/// The manifest is by the author of the component.
fn component(receipt: &Value) -> Value {
    if receipt.is_null() {
        return Value::Null;
    }

    let facts = picked_in_part(
        receipt,
        &["digest", "bytes", "imports", "exports", "grants", "http"],
    );
    let said = ["name", "version", "description", "event_types"];
    with_untrusted(facts, picked_in_part(receipt, &said))
}

fn last_error(failure: &Value) -> Value {
    if failure.is_null() {
        return Value::Null;
    }

    let facts = picked(failure, &["delivery", "event", "received_at"]);
    with_untrusted(facts, picked_in_part(failure, &["reason"]))
}
