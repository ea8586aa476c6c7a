//! Sends a notification through Firebase Cloud Messaging, HTTP v1.
//! Source: firebase.google.com/docs/reference/fcm/rest/v1/projects.messages.

use landfall_calls::{Condition, google, mistake, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Neither the token nor the message becomes better by another try.
const REJECTS: [&str; 4] = [
    "UNREGISTERED",
    "INVALID_ARGUMENT",
    "SENDER_ID_MISMATCH",
    "NOT_FOUND",
];
const ENDPOINT: &str = "https://fcm.googleapis.com";

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    project: String,
    /// One of these three, each a template.
    token: Option<Template>,
    topic: Option<Template>,
    condition: Option<Template>,
    /// Templates of `title` and `body`, and of `image`.
    #[serde(default)]
    notification: BTreeMap<String, Template>,
    /// Templates by key: values are text.
    #[serde(default)]
    data: BTreeMap<String, Template>,
    /// As Firebase wants them: `android`, `apns`, `webpush`, `fcm_options`.
    #[serde(default)]
    options: Map<String, Value>,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
    #[serde(default)]
    validate_only: bool,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn fcm(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "sent") {
        return Ok(());
    }
    let endpoint = settings.endpoint.as_deref().unwrap_or(ENDPOINT);
    let url = format!(
        "{}/v1/projects/{}/messages:send",
        endpoint.trim_end_matches('/'),
        settings.project
    );
    let body =
        json!({ "message": settings.message(&event)?, "validateOnly": settings.validate_only });
    let response = google::checked(send(Request::post(url).json(&body))?, &REJECTS)?;
    let answer: Value = response.json().unwrap_or_default();
    log::info(format!("sent: {}", answer["name"]));
    Ok(())
}

impl Settings {
    fn message(&self, event: &Event) -> Result<Map<String, Value>, Failure> {
        let mut message = self.options.clone();
        let (to, template) = self.target()?;
        message.insert(to.into(), filled(to, template.render(event)?)?.into());
        for (name, templates) in [("notification", &self.notification), ("data", &self.data)] {
            if !templates.is_empty() {
                message.insert(name.into(), rendered(templates, event)?.into());
            }
        }
        Ok(message)
    }

    fn target(&self) -> Result<(&'static str, &Template), Failure> {
        match (&self.token, &self.topic, &self.condition) {
            (Some(token), None, None) => Ok(("token", token)),
            (None, Some(topic), None) => Ok(("topic", topic)),
            (None, None, Some(condition)) => Ok(("condition", condition)),
            _ => Err(mistake("name one of token, topic and condition")),
        }
    }
}

/// An event without its addressee is rejected.
fn filled(name: &str, text: String) -> Result<String, Failure> {
    match text.trim() {
        "" => Err(Failure::reject(format!("this event makes an empty {name}"))),
        trimmed => Ok(trimmed.to_owned()),
    }
}

fn rendered(
    templates: &BTreeMap<String, Template>,
    event: &Event,
) -> Result<Map<String, Value>, Failure> {
    templates
        .iter()
        .map(|(key, template)| Ok((key.clone(), template.render(event)?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::http::Response;
    use landfall_sdk::testing::{self, Host};

    fn host() -> Host {
        testing::host()
            .setting("project", "demo")
            .setting("token", "{{ event.json.device }}")
            .setting(
                "notification",
                json!({ "title": "Order {{ event.json.id }}", "body": "on its way" }),
            )
            .setting("data", json!({ "order": "{{ event.json.id }}" }))
            .setting("options", json!({ "android": { "priority": "HIGH" } }))
    }

    fn order() -> Event {
        testing::event(json!({ "device": "abc", "id": 7 }))
    }

    #[test]
    fn a_message_is_made_of_templates() {
        let host = host().answer(
            "https://fcm.googleapis.com/",
            200,
            "{\"name\": \"projects/demo/messages/1\"}",
        );
        fcm(order()).unwrap();
        assert_eq!(host.logs(), ["info: sent: \"projects/demo/messages/1\""]);
        let call = host.calls().remove(0);
        assert_eq!(
            call.url,
            "https://fcm.googleapis.com/v1/projects/demo/messages:send"
        );
        let message = json!({
            "token": "abc", "notification": { "title": "Order 7", "body": "on its way" }, "data": { "order": "7" },
            "android": { "priority": "HIGH" },
        });
        let sent: Value = call.body.unwrap().json().unwrap();
        assert_eq!(sent, json!({ "message": message, "validateOnly": false }));
    }

    #[test]
    fn stale_tokens_reject_quotas_retry() {
        let answer = |status: u16, code: &str| {
            let error = json!({ "error": { "message": "m", "details": [{ "errorCode": code }] } });
            let headers = vec![("retry-after".to_owned(), "30".to_owned())];
            let response = Response {
                status,
                headers,
                body: error.to_string().into(),
            };
            let _host = host().answer_with("https://fcm.googleapis.com/", response);
            fcm(order()).unwrap_err()
        };
        for (status, code) in [
            (404, "UNREGISTERED"),
            (400, "INVALID_ARGUMENT"),
            (403, "SENDER_ID_MISMATCH"),
        ] {
            assert!(
                matches!(answer(status, code), Failure::Reject { .. }),
                "{code}"
            );
        }
        for (status, code) in [
            (429, "QUOTA_EXCEEDED"),
            (503, "UNAVAILABLE"),
            (401, "THIRD_PARTY_AUTH_ERROR"),
        ] {
            assert!(
                matches!(answer(status, code), Failure::Retry { after: Some(_), .. }),
                "{code}"
            );
        }
    }

    #[test]
    fn an_event_needs_one_addressee() {
        let _host = host();
        assert!(matches!(
            fcm(testing::event(json!({}))),
            Err(Failure::Reject { .. })
        ));
        let _host = host().setting("topic", "news");
        assert!(matches!(fcm(order()), Err(Failure::Retry { .. })));
    }
}
