//! What an agent asks of its webhook, and the answer in the agent's own form.

use crate::Settings;
use landfall_calls::{render, rendered_json};
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, json};

/// Which agent asks, and about what.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// The display name of the intent.
    Es(String),
    /// The tag of the webhook.
    Cx(String),
}

/// None: this is no fulfillment request.
pub fn kind(body: &Value) -> Option<Kind> {
    if body["fulfillmentInfo"].is_object() {
        return Some(Kind::Cx(body["fulfillmentInfo"]["tag"].as_str().unwrap_or_default().to_owned()));
    }
    let intent = &body["queryResult"];
    intent.is_object().then(|| Kind::Es(intent["intent"]["displayName"].as_str().unwrap_or_default().to_owned()))
}

/// The agent's form of the answer that the operator wrote down.
pub fn answer(settings: &Settings, kind: &Kind, event: &Event) -> Result<Value, Failure> {
    let (Kind::Es(name) | Kind::Cx(name)) = kind;
    let template = settings.answers.get(name).or(settings.otherwise.as_ref());
    let text = template.map(|template| render(template, event)).transpose()?;
    Ok(match kind {
        Kind::Es(_) => text.map_or_else(|| json!({}), |text| json!({ "fulfillmentText": text })),
        Kind::Cx(_) => {
            let mut answer = Map::new();
            if let Some(text) = text {
                answer.insert("fulfillmentResponse".into(), json!({ "messages": [{ "text": { "text": [text] } }] }));
            }
            let parameters =
                settings.parameters.iter().map(|(key, template)| Ok((key.clone(), rendered_json(template, event)?)));
            let parameters: Map<String, Value> = parameters.collect::<Result<_, Failure>>()?;
            if !parameters.is_empty() {
                answer.insert("sessionInfo".into(), json!({ "parameters": parameters }));
            }
            answer.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::dialogflow;
    use landfall_sdk::{Failure, Reply, json, testing};

    fn host() -> testing::Host {
        testing::host()
            .setting("answers", json!({ "order.status": "Order {{ event.json.queryResult.parameters.n }} left", "stock": "{{ event.json.text }}: none" }))
            .setting("parameters", json!({ "seen": "true" }))
    }

    #[test]
    fn an_es_agent_gets_a_text() {
        let _host = host();
        let ask = |intent: &str| {
            let result = json!({ "intent": { "displayName": intent }, "parameters": { "n": 5 } });
            dialogflow(testing::event(json!({ "responseId": "r", "session": "s", "queryResult": result })))
        };
        assert_eq!(ask("order.status").unwrap(), Reply::json(200, &json!({ "fulfillmentText": "Order 5 left" })));
        assert_eq!(ask("other").unwrap(), Reply::json(200, &json!({})));
    }

    #[test]
    fn a_cx_agent_gets_messages_and_parameters() {
        let _host = host();
        let reply =
            dialogflow(testing::event(json!({ "fulfillmentInfo": { "tag": "stock" }, "text": "screws" }))).unwrap();
        let messages = json!({ "messages": [{ "text": { "text": ["screws: none"] } }] });
        let expected = json!({ "fulfillmentResponse": messages, "sessionInfo": { "parameters": { "seen": true } } });
        assert_eq!(reply, Reply::json(200, &expected));
    }

    #[test]
    fn anything_else_is_rejected_where_nobody_is_to_be_asked() {
        let _host = host();
        assert!(matches!(dialogflow(testing::event(json!({ "hello": 1 }))), Err(Failure::Reject(_))));
    }
}
