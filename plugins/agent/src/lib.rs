//! Sends each event to a language model or an agent with a prompt, and its answer to hooks or to a
//! URL.
//!
//! The answer always leaves as an event that is emitted: to the hooks, or to this hook itself,
//! whose second event calls the URL. The host queues an emission in the transaction that ends the
//! attempt, so a call of the URL that fails is retried without another answer of the model.

mod model;

use landfall_calls::emission::{copy, send};
use landfall_calls::{Condition, Target, mistake, skipped};
use landfall_sdk::serde_json::{self, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use model::Api;
use serde::Deserialize;
use std::collections::BTreeMap;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// The form of request and response. Default: `openai`.
    #[serde(default)]
    api: Api,
    /// Of the model. Default: that of the service.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: Option<String>,
    model: Option<String>,
    /// Instructions: a text, not a template, so that no event can change them.
    system: Option<String>,
    /// A template: the message of the user.
    prompt: Option<Template>,
    /// More keys of the request, such as `temperature`.
    #[serde(default)]
    options: BTreeMap<String, Value>,
    /// A template that makes the whole request as JSON, instead of `model`, `system`, `prompt` and `options`.
    body: Option<Template>,
    /// Added to the request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A JSON pointer to the answer in the response. Default: that of the service.
    #[schemars(extend("format" = "json-pointer"))]
    answer: Option<String>,
    /// Whether the answer is JSON.
    #[serde(default)]
    json: bool,
    /// The largest request, in bytes. Default: 65536.
    max_request: Option<u32>,
    /// Seconds that the model has. Default: 120.
    timeout_s: Option<u32>,
    /// Receive the answer as an event.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "x-landfall": "hook" }))]
    hooks: Vec<String>,
    /// Receives the answer by a call. This hook must be allowed to emit to itself.
    target: Option<Target>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn agent(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    settings.check(&event)?;
    // The host writes this attribute. No sender can.
    if event.attribute("emitted-by") == Some(event.hook.as_str()) {
        return settings.deliver(&event);
    }
    if skipped(&settings.when, &event, "asked") {
        return Ok(());
    }

    let text = model::ask(&settings, &event)?;
    let answer = match settings.json {
        true => parsed(&text)?,
        false => Value::from(text),
    };
    let document = document(&event, &answer);

    let itself = settings.target.is_some().then_some(&event.hook);
    for hook in settings.hooks.iter().chain(itself) {
        let emission = copy(hook, &event).body("").json(&document);
        send(emission)?;
        log::info(format!("the answer goes to {hook}"));
    }
    Ok(())
}

impl Settings {
    fn check(&self, event: &Event) -> Result<(), Failure> {
        if self.hooks.is_empty() && self.target.is_none() {
            return Err(mistake("the answer goes nowhere: name hooks or a target"));
        }
        if self.hooks.contains(&event.hook) {
            return Err(mistake(
                "the answer would go to this hook itself: name another one",
            ));
        }
        match (&self.body, &self.prompt) {
            (Some(_), Some(_)) | (None, None) => Err(mistake("name either a prompt or a body")),
            (Some(_), None) if self.url.is_none() || self.answer.is_none() => Err(mistake(
                "with `body`, name the `url` and the pointer of the `answer`",
            )),
            (None, Some(_)) if self.model.is_none() => Err(mistake("name a model")),
            _ => Ok(()),
        }
    }

    /// The second event: the call of the target.
    fn deliver(&self, event: &Event) -> Result<(), Failure> {
        match &self.target {
            Some(target) if target.wants(event) => target.call(event).map(drop),
            Some(_) => {
                log::info("the answer is not for the target");
                Ok(())
            }
            None => Err(Failure::reject(
                "there is no target in the settings any more",
            )),
        }
    }
}

/// What the hooks and the target receive.
fn document(event: &Event, answer: &Value) -> Value {
    let body = event.json::<Value>();
    json!({
        "answer": answer,
        "event": {
            "id": event.id,
            "hook": event.hook,
            "provider": event.provider,
            "event_type": event.event_type,
            "delivery_id": event.delivery_id,
            "received_at": event.received_at,
            "body": body.unwrap_or_else(|_| event.text().into()),
        },
    })
}

/// The JSON of an answer. Models like to put a fence around it.
fn parsed(text: &str) -> Result<Value, Failure> {
    let text = text.trim();
    let fenced = text
        .strip_prefix("```json")
        .or_else(|| text.strip_prefix("```"));
    let text = fenced.map_or(text, |text| text.trim_end_matches('`'));
    // Another attempt may give JSON.
    serde_json::from_str(text)
        .map_err(|error| Failure::retry(format!("the answer is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::testing::{self, Host};

    const OPENAI: &str = "https://api.openai.com/v1/chat/completions";

    fn host() -> Host {
        testing::host()
            .setting("model", "m")
            .setting("prompt", "Summarise: {{ event.json.text }}")
            .setting("hooks", ["slack-notify"])
    }

    fn answered(host: Host, text: &str) -> Host {
        let answer = json!({ "choices": [{ "message": { "content": text } }] });
        host.answer(OPENAI, 200, answer.to_string())
    }

    fn event() -> Event {
        testing::post(json!({ "text": "hello" }))
            .event_type("note")
            .build()
    }

    /// The event that an emission to the hook itself becomes.
    fn second(host: &Host) -> Event {
        let emission = host.emissions().pop().unwrap();
        let event = testing::post_raw(emission.body).attribute("emitted-by", "test");
        event.header("content-type", "application/json").build()
    }

    #[test]
    fn answers_go_to_hooks() {
        let host = answered(host(), "in short");
        agent(event()).unwrap();
        let emission = host.emissions().remove(0);
        assert_eq!(emission.hook, "slack-notify");
        assert_eq!(emission.event_type.as_deref(), Some("note"));
        let document: Value = emission.body.json().unwrap();
        assert_eq!(document["answer"], "in short");
        assert_eq!(document["event"]["body"], json!({ "text": "hello" }));
        assert_eq!(host.logs(), ["info: the answer goes to slack-notify"]);
    }

    #[test]
    fn a_second_event_calls_targets() {
        let target =
            json!({ "url": "https://a.example/in", "body": "{\"say\": {{ event.json.answer }}}" });
        let host = answered(host(), "in short").setting("target", target);
        let host = host.answer("https://a.example/", 503, "");
        agent(event()).unwrap();
        assert_eq!(host.calls().len(), 1, "the target is not called yet");
        let hooks: Vec<_> = host.emissions().into_iter().map(|one| one.hook).collect();
        assert_eq!(hooks, ["slack-notify", "test"]);

        // Another try calls the target again, and not the model.
        for _ in 0..2 {
            assert!(matches!(agent(second(&host)), Err(Failure::Retry { .. })));
        }
        let urls: Vec<_> = host.calls().into_iter().map(|call| call.url).collect();
        assert_eq!(
            urls,
            [OPENAI, "https://a.example/in", "https://a.example/in"]
        );
        let body = host.calls().pop().unwrap().body;
        assert_eq!(body, Some("{\"say\": \"in short\"}".into()));
    }

    #[test]
    fn json_answers_are_parsed() {
        for text in [
            "{\"n\": 1}",
            "```json\n{\"n\": 1}\n```",
            "```\n{\"n\": 1}\n```\n",
        ] {
            let host = answered(host(), text).setting("json", true);
            agent(event()).unwrap();
            let document: Value = host.emissions().remove(0).body.json().unwrap();
            assert_eq!(document["answer"], json!({ "n": 1 }));
        }
        let host = answered(host(), "no JSON").setting("json", true);
        assert!(matches!(agent(event()), Err(Failure::Retry { .. })));
        assert!(host.emissions().is_empty());
    }

    #[test]
    fn conditions_keep_events_from_the_model() {
        let host = host().setting("when", [json!({ "json": "/text", "equals": "other" })]);
        agent(event()).unwrap();
        assert!(host.calls().is_empty());
        assert_eq!(host.logs(), ["info: not asked: json /text is \"hello\""]);
    }

    #[test]
    fn useless_settings_are_refused() {
        for (key, value) in [
            ("hooks", json!([])),
            ("hooks", json!(["test"])),
            ("body", json!("{}")),
            ("model", json!(null)),
            ("prompt", json!(null)),
        ] {
            let host = answered(host(), "x").setting(key, &value);
            let outcome = agent(event());
            assert!(
                matches!(outcome, Err(Failure::Retry { .. })),
                "{key} {value}"
            );
            assert!(host.calls().is_empty());
        }
    }

    #[test]
    fn removed_targets_are_named() {
        let host = answered(host(), "x").setting("target", "https://a.example/");
        agent(event()).unwrap();
        let second = second(&host);
        let _host = self::host();
        assert!(matches!(agent(second), Err(Failure::Reject { .. })));
    }
}
