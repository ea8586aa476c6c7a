//! Asks an agent what a text means: `sessions.detectIntent`, v2 for ES and v3 for CX.

use landfall_calls::{google, send};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Template, json, settings};
use serde::Deserialize;

/// Whom to ask, and what.
#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    project: String,
    /// Of a CX agent, as `agent`.
    location: Option<String>,
    agent: Option<String>,
    /// A template.
    session: Template,
    /// A template.
    text: Template,
    #[serde(default = "english")]
    language: String,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

fn english() -> String {
    "en".into()
}

impl Detect {
    /// The intent, the answer's text and the parameters.
    pub fn ask(&self, event: &Event) -> Result<Value, Failure> {
        let session = session(&self.session.render(event)?)?;
        let (text, language) = (self.text.render(event)?, &self.language);
        let (url, body) = match (&self.location, &self.agent) {
            (Some(location), Some(agent)) => {
                let default = format!("https://{location}-dialogflow.googleapis.com");
                let path = format!(
                    "v3/projects/{}/locations/{location}/agents/{agent}/sessions/{session}",
                    self.project
                );
                let body =
                    json!({ "queryInput": { "text": { "text": text }, "languageCode": language } });
                (self.url(&default, &path), body)
            }
            (None, None) => {
                let path = format!("v2/projects/{}/agent/sessions/{session}", self.project);
                let body =
                    json!({ "queryInput": { "text": { "text": text, "languageCode": language } } });
                (self.url("https://dialogflow.googleapis.com", &path), body)
            }
            _ => {
                return Err(Failure::retry(
                    "[settings.detect] of the hook's file: location and agent belong together",
                ));
            }
        };
        let answer: Value =
            google::checked(send(Request::post(url).json(&body))?, &["INVALID_ARGUMENT"])?
                .json()?;
        Ok(meaning(&answer["queryResult"]))
    }

    fn url(&self, default: &str, path: &str) -> String {
        format!(
            "{}/{path}:detectIntent",
            self.endpoint
                .as_deref()
                .unwrap_or(default)
                .trim_end_matches('/')
        )
    }
}

/// ES says it in one place, CX in another.
fn meaning(result: &Value) -> Value {
    let intent = [
        &result["intent"]["displayName"],
        &result["match"]["intent"]["displayName"],
    ];
    let first = |places: &[&Value]| {
        places
            .iter()
            .find(|place| !place.is_null())
            .map_or(Value::Null, |place| (*place).clone())
    };
    let messages = result["responseMessages"].as_array().into_iter().flatten();
    let texts: Vec<&str> = messages
        .filter_map(|message| message["text"]["text"][0].as_str())
        .collect();
    let text = match result["fulfillmentText"].as_str() {
        Some(text) => text.to_owned(),
        None => texts.join("\n"),
    };
    json!({ "intent": first(&intent), "text": text, "parameters": result["parameters"] })
}

/// A session is part of a path.
fn session(text: &str) -> Result<String, Failure> {
    let plain: String = text
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .take(36)
        .collect();
    match plain.is_empty() {
        true => Err(Failure::reject("this event makes an empty session")),
        false => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use crate::dialogflow;
    use landfall_sdk::serde_json::Value;
    use landfall_sdk::{Reply, json, testing};

    fn asked(detect: Value, url: &str, answer: Value) -> (Reply, Value, String) {
        let host = testing::host()
            .setting("detect", detect)
            .answer(url, 200, answer.to_string());
        let event = testing::event(json!({ "user": "U/1", "text": "when?" }));
        let reply = dialogflow(event).unwrap().unwrap();
        let call = host.calls().remove(0);
        (reply, call.body.unwrap().json().unwrap(), call.url)
    }

    #[test]
    fn an_es_agent_is_asked() {
        let detect = json!({ "project": "p", "session": "{{ event.json.user }}", "text": "{{ event.json.text }}" });
        let result = json!({ "intent": { "displayName": "hours" }, "fulfillmentText": "At nine", "parameters": { "day": "today" } });
        let (reply, body, url) = asked(
            detect,
            "https://dialogflow.googleapis.com/",
            json!({ "queryResult": result }),
        );
        assert_eq!(
            url,
            "https://dialogflow.googleapis.com/v2/projects/p/agent/sessions/U1:detectIntent"
        );
        assert_eq!(
            body,
            json!({ "queryInput": { "text": { "text": "when?", "languageCode": "en" } } })
        );
        assert_eq!(
            reply,
            Reply::json(
                200,
                &json!({ "intent": "hours", "text": "At nine", "parameters": { "day": "today" } })
            )
        );
    }

    #[test]
    fn cx_agents_are_asked_regionally() {
        let detect = json!({ "project": "p", "location": "eu", "agent": "a", "session": "s", "text": "hi", "language": "de" });
        let messages = json!([{ "text": { "text": ["Guten Tag"] } }, { "payload": {} }]);
        let result = json!({ "match": { "intent": { "displayName": "hello" } }, "responseMessages": messages, "parameters": {} });
        let (reply, body, url) = asked(
            detect,
            "https://eu-dialogflow.googleapis.com/",
            json!({ "queryResult": result }),
        );
        assert_eq!(
            url,
            "https://eu-dialogflow.googleapis.com/v3/projects/p/locations/eu/agents/a/sessions/s:detectIntent"
        );
        assert_eq!(
            body,
            json!({ "queryInput": { "text": { "text": "hi" }, "languageCode": "de" } })
        );
        assert_eq!(
            reply,
            Reply::json(
                200,
                &json!({ "intent": "hello", "text": "Guten Tag", "parameters": {} })
            )
        );
    }
}
