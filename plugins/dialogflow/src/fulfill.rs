//! The answer to a fulfillment request, in the form of the agent that sent it.

use crate::Settings;
use landfall_sdk::providers::dialogflow::{CxResponse, EsResponse, Request};
use landfall_sdk::{Event, Failure, IntoReply, Reply};

/// The answer that the settings have for the request, in the agent's form.
pub fn answer(
    settings: &Settings,
    request: &Request,
    event: &Event,
) -> Result<Option<Reply>, Failure> {
    let name = match request {
        Request::Es(es) => &es.query_result.intent.display_name,
        Request::Cx(cx) => &cx.fulfillment_info.tag,
    };
    let template = settings.answers.get(name).or(settings.otherwise.as_ref());
    let text = template
        .map(|template| template.render(event))
        .transpose()?;
    Ok(match request {
        Request::Es(_) => EsResponse {
            fulfillment_text: text,
            ..EsResponse::default()
        }
        .into_reply(),
        Request::Cx(_) => {
            let parameters = settings.parameters.iter();
            let parameters =
                parameters.map(|(key, template)| Ok((key.clone(), template.render_json(event)?)));
            let parameters = parameters.collect::<Result<_, Failure>>()?;
            CxResponse {
                text,
                parameters,
                payload: None,
            }
            .into_reply()
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
            dialogflow(testing::event(
                json!({ "responseId": "r", "session": "s", "queryResult": result }),
            ))
        };
        assert_eq!(
            ask("order.status").unwrap(),
            Some(Reply::json(
                200,
                &json!({ "fulfillmentText": "Order 5 left" })
            ))
        );
        assert_eq!(ask("other").unwrap(), Some(Reply::json(200, &json!({}))));
    }

    #[test]
    fn cx_agents_get_messages_and_parameters() {
        let _host = host();
        let reply = dialogflow(testing::event(
            json!({ "fulfillmentInfo": { "tag": "stock" }, "text": "screws" }),
        ))
        .unwrap();
        let messages = json!({ "messages": [{ "text": { "text": ["screws: none"] } }] });
        let expected = json!({ "fulfillmentResponse": messages, "sessionInfo": { "parameters": { "seen": true } } });
        assert_eq!(reply, Some(Reply::json(200, &expected)));
    }

    #[test]
    fn unknown_requests_without_detect_are_rejected() {
        let _host = host();
        assert!(matches!(
            dialogflow(testing::event(json!({ "hello": 1 }))),
            Err(Failure::Reject { .. })
        ));
    }
}
