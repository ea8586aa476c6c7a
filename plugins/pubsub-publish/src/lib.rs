//! Publishes each event to a Google Pub/Sub topic.
//! Source: cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_calls::{Condition, google, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

const ENDPOINT: &str = "https://pubsub.googleapis.com";

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    project: String,
    topic: String,
    /// A template; without it the body is published as it came.
    data: Option<Template>,
    /// Templates by name.
    #[serde(default)]
    attributes: BTreeMap<String, Template>,
    /// A template.
    ordering_key: Option<Template>,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn pubsub_publish(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "published") {
        return Ok(());
    }
    let Settings {
        project,
        topic,
        endpoint,
        ..
    } = &settings;
    let endpoint = endpoint
        .as_deref()
        .unwrap_or(ENDPOINT)
        .trim_end_matches('/');
    let url = format!("{endpoint}/v1/projects/{project}/topics/{topic}:publish");
    let body = json!({ "messages": [settings.message(&event)?] });
    let answer: Value =
        google::checked(send(Request::post(url).json(&body))?, &["INVALID_ARGUMENT"])?.json()?;
    log::info(format!("published: message {}", answer["messageIds"][0]));
    Ok(())
}

impl Settings {
    fn message(&self, event: &Event) -> Result<Map<String, Value>, Failure> {
        let data = match &self.data {
            Some(template) => template.render(event)?.into_bytes(),
            None => event.bytes().to_vec(),
        };
        let known = [
            ("event-id", Some(event.id.as_str())),
            ("hook", Some(&event.hook)),
            ("event-type", event.event_type.as_deref()),
        ];
        let mut attributes: Map<String, Value> = known
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
            .collect();
        for (name, template) in &self.attributes {
            attributes.insert(name.clone(), template.render(event)?.into());
        }
        let mut message = Map::new();
        message.insert("data".into(), STANDARD.encode(data).into());
        message.insert("attributes".into(), attributes.into());
        if let Some(template) = &self.ordering_key {
            message.insert("orderingKey".into(), template.render(event)?.into());
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::testing::{self, Host};

    fn host() -> Host {
        testing::host()
            .setting("project", "p")
            .setting("topic", "t")
    }

    #[test]
    fn messages_have_body_and_attributes() {
        let host = host().setting("ordering_key", "{{ event.json.id }}");
        let host = host.answer(
            "https://pubsub.googleapis.com/v1/projects/p/topics/t:publish",
            200,
            "{\"messageIds\": [\"9\"]}",
        );
        pubsub_publish(testing::event(json!({ "id": 5 }))).unwrap();
        assert_eq!(host.logs(), ["info: published: message \"9\""]);
        let sent = sent(&host);
        let attributes =
            json!({ "event-id": "019c1234-5678-7abc-8def-0123456789ab", "hook": "test" });
        let message =
            json!({ "data": "eyJpZCI6NX0=", "attributes": attributes, "orderingKey": "5" });
        assert_eq!(sent, json!({ "messages": [message] }));
    }

    #[test]
    fn missing_topics_retry_bad_messages_reject() {
        for (status, code, waits) in [
            (404, "NOT_FOUND", true),
            (429, "RESOURCE_EXHAUSTED", true),
            (400, "INVALID_ARGUMENT", false),
        ] {
            let error = json!({ "error": { "status": code, "message": "m" } });
            let _host = host().answer("https://pubsub.googleapis.com/", status, error.to_string());
            let failure = pubsub_publish(testing::event(json!({}))).unwrap_err();
            assert_eq!(matches!(failure, Failure::Retry { .. }), waits, "{failure}");
        }
    }
}
