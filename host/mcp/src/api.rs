//! The admin API, as tools ask it.

use std::sync::Arc;

use async_trait::async_trait;
use landfall_admin::Caller;
use landfall_model::{HookName, NO_HOOK};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::answer::ToolError;
use crate::components::Components;

/// The admin API of one node: in the same process, or over its listener.
#[async_trait]
pub trait AdminApi: Send + Sync {
    /// Sends a GET, or a POST of JSON. Returns status and body of the answer. `caller`: who called
    /// the tool, where this process has checked it.
    async fn ask(
        &self,
        caller: Option<&Caller>,
        path: &str,
        post: Option<String>,
    ) -> Result<(u16, String), Unreachable>;
}

/// The node did not answer. A sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);

/// What one call of a tool works with.
pub(crate) struct Node {
    pub(crate) api: Arc<dyn AdminApi>,
    pub(crate) caller: Option<Caller>,
    /// Components outside the node. `None`: the tools for them are not there.
    pub(crate) components: Option<Arc<dyn Components>>,
}

// === impl Node ===

impl Node {
    /// The JSON that the API answers to a GET.
    pub(crate) async fn get(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> Result<Value, ToolError> {
        let mut url = path.to_owned();
        for (number, (name, value)) in parameters.iter().enumerate() {
            url.push(if number == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.push_str(&encoded(value));
        }
        self.ask(&url, None).await
    }

    /// The JSON that the API answers to a POST of this JSON.
    pub(crate) async fn post(&self, path: &str, order: &Value) -> Result<Value, ToolError> {
        self.ask(path, Some(order.to_string())).await
    }

    async fn ask(&self, path: &str, post: Option<String>) -> Result<Value, ToolError> {
        let asked = self.api.ask(self.caller.as_ref(), path, post).await;
        let (status, body) = asked.map_err(|Unreachable(why)| ToolError::new(why))?;
        let json: Option<Value> = serde_json::from_str(&body).ok();
        match (status, json) {
            (200, Some(json)) => Ok(json),
            (200, None) => Err(ToolError::new(
                "the answer is not one of the admin API: check the URL of the admin listener",
            )),
            (401, _) => Err(ToolError::refused(
                "the node does not accept the admin token, or got none: start `landfall mcp` with --token file:DIR/admin-token, where \
                 DIR is the data directory of the node",
            )),
            (status, json) => Err(refusal(status, &json.unwrap_or_default())),
        }
    }
}

/// What is wrong, and what to do if the API says it.
fn refusal(status: u16, body: &Value) -> ToolError {
    let error = body["error"].as_str().unwrap_or("the node gave no reason");
    let text = match body["hint"].as_str() {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_owned(),
    };
    match status {
        403 => ToolError::refused(text),
        _ => ToolError::new(text),
    }
}

/// The path of a hook. What cannot be the name of one becomes `-`, which is none.
pub(crate) fn hook_path(hook: &str) -> String {
    let is_name = hook.parse::<HookName>().is_ok();
    format!("/api/v1/hooks/{}", if is_name { hook } else { NO_HOOK })
}

/// For a segment of a path, or a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        for (status, body, text, is_refused) in [
            (
                404,
                json!({ "error": "no hook has this name", "hint": null }),
                "no hook has this name",
                false,
            ),
            (
                403,
                json!({ "error": "only reads", "hint": "send another" }),
                "only reads: send another",
                true,
            ),
            (500, Value::Null, "the node gave no reason", false),
        ] {
            let error = refusal(status, &body);
            assert_eq!((error.text.as_str(), error.is_refused), (text, is_refused));
        }
        assert_eq!(encoded("a/../b?c"), "a%2F%2E%2E%2Fb%3Fc");
    }
}
