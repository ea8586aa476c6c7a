//! Dialogflow ES and CX: what an agent asks of its webhook, and what it wants to hear.
//! Sources: `WebhookRequest` and `WebhookResponse` of the Dialogflow API, v2 (ES) and v3 (CX).

use crate::{Failure, FromEvent, IntoReply, Reply};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Either kind of agent; it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "this is no fulfillment request of Dialogflow")]
pub enum Request {
    /// A CX agent's.
    Cx(CxRequest),
    /// An ES agent's.
    Es(EsRequest),
}

/// What an ES agent asks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EsRequest {
    /// `projects/…/agent/sessions/…`: one conversation.
    #[serde(default)]
    pub session: String,
    /// Of this request.
    #[serde(default)]
    pub response_id: String,
    /// What was understood.
    pub query_result: QueryResult,
    /// What the integration (a chat, a telephone) sent along; its `payload` and `source`.
    #[serde(default)]
    pub original_detect_intent_request: Value,
}

/// What an ES agent understood.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueryResult {
    /// What was said.
    pub query_text: String,
    /// `en`, …
    pub language_code: String,
    /// The intent's action.
    pub action: String,
    /// The intent's parameters, as far as they are known.
    pub parameters: Map<String, Value>,
    /// Whether all that are needed are known.
    pub all_required_params_present: bool,
    /// What would be answered without a webhook.
    pub fulfillment_text: String,
    /// What was matched.
    pub intent: Intent,
    /// 0 to 1.
    pub intent_detection_confidence: f64,
}

/// An intent.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Intent {
    /// `projects/…/agent/intents/…`.
    pub name: String,
    /// As the agent's author called it.
    pub display_name: String,
}

/// What a CX agent asks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CxRequest {
    /// Which webhook is meant.
    pub fulfillment_info: FulfillmentInfo,
    /// The conversation.
    #[serde(default)]
    pub session_info: SessionInfo,
    /// What was said, if it was text.
    pub text: Option<String>,
    /// `en`, …
    #[serde(default)]
    pub language_code: String,
    /// The intent that was matched last, with `displayName`, `parameters`, `confidence`; null where
    /// there was none.
    #[serde(default)]
    pub intent_info: Value,
}

/// Which webhook is meant.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct FulfillmentInfo {
    /// As the agent's author called it.
    pub tag: String,
}

/// A conversation with a CX agent.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct SessionInfo {
    /// `projects/…/locations/…/agents/…/sessions/…`.
    pub session: String,
    /// What is known so far.
    pub parameters: Map<String, Value>,
}

/// What an ES agent hears. A handler may return it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EsResponse {
    /// What is said; none: what the intent has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fulfillment_text: Option<String>,
    /// Contexts to set: tables with `name`, `lifespanCount` and `parameters`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_contexts: Vec<Value>,
    /// For the integration, as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// What a CX agent hears. A handler may return it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CxResponse {
    /// What is said; none: what the agent has.
    pub text: Option<String>,
    /// Session parameters to set; null clears one.
    pub parameters: Map<String, Value>,
    /// For the integration, as it is.
    pub payload: Option<Value>,
}

impl EsResponse {
    /// Says so.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            fulfillment_text: Some(text.into()),
            ..Self::default()
        }
    }
}

impl CxResponse {
    /// Says so.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::default()
        }
    }

    /// In the agent's form.
    fn body(self) -> Value {
        let mut body = Map::new();
        if let Some(text) = self.text {
            let messages = serde_json::json!([{ "text": { "text": [text] } }]);
            body.insert(
                "fulfillmentResponse".into(),
                serde_json::json!({ "messages": messages }),
            );
        }
        if !self.parameters.is_empty() {
            body.insert(
                "sessionInfo".into(),
                serde_json::json!({ "parameters": self.parameters }),
            );
        }
        body.extend(self.payload.map(|payload| ("payload".into(), payload)));
        body.into()
    }
}

impl FromEvent for Request {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.json()
    }
}

impl FromEvent for EsRequest {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.json()
    }
}

impl FromEvent for CxRequest {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.json()
    }
}

impl IntoReply for EsResponse {
    fn into_reply(self) -> Option<Reply> {
        Some(Reply::json(200, &self))
    }
}

impl IntoReply for CxResponse {
    fn into_reply(self) -> Option<Reply> {
        Some(Reply::json(200, &self.body()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn the_form_decides_the_agent() {
        let typed = |body: Value| Request::from_event(testing::event(body));
        let es = json!({ "responseId": "r", "session": "projects/p/agent/sessions/s", "queryResult": {
            "queryText": "where is my order", "parameters": { "n": 5 }, "allRequiredParamsPresent": true,
            "intent": { "name": "projects/p/agent/intents/i", "displayName": "order.status" },
            "intentDetectionConfidence": 0.9, "languageCode": "en", "outputContexts": [] } });
        assert!(
            matches!(typed(es), Ok(Request::Es(es)) if es.query_result.intent.display_name == "order.status")
        );
        let cx = json!({ "detectIntentResponseId": "d", "fulfillmentInfo": { "tag": "stock" }, "text": "screws",
            "sessionInfo": { "session": "projects/p/…", "parameters": { "n": 5 } } });
        assert!(matches!(typed(cx), Ok(Request::Cx(cx)) if cx.fulfillment_info.tag == "stock"));
        assert!(
            matches!(typed(json!({ "hello": 1 })), Err(Failure::Reject { reason, .. }) if reason.contains("no fulfillment request"))
        );
    }

    #[test]
    fn empty_fields_are_left_out() {
        assert_eq!(
            EsResponse::text("hi").into_reply(),
            Some(Reply::json(200, &json!({ "fulfillmentText": "hi" })))
        );
        assert_eq!(
            EsResponse::default().into_reply(),
            Some(Reply::json(200, &json!({})))
        );
        let parameters = Map::from_iter([("seen".to_owned(), Value::from(true))]);
        let answer = CxResponse {
            parameters,
            ..CxResponse::text("hi")
        };
        let messages = json!({ "messages": [{ "text": { "text": ["hi"] } }] });
        let expected = json!({ "fulfillmentResponse": messages, "sessionInfo": { "parameters": { "seen": true } } });
        assert_eq!(answer.into_reply(), Some(Reply::json(200, &expected)));
    }
}
