//! The call of the model.
//!
//! Sources: <https://platform.openai.com/docs/api-reference/chat/create>,
//! <https://platform.openai.com/docs/guides/error-codes/api-errors>,
//! <https://platform.claude.com/docs/en/api/messages>,
//! <https://platform.claude.com/docs/en/api/errors>.

use crate::Settings;
use landfall_calls::answer::Errors;
use landfall_calls::send;
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, json, log, settings};
use serde::Deserialize;
use std::time::Duration;

/// Bytes of a request, without a setting of its own. Senders choose how long events are, and models
/// are paid by length.
const REQUEST_BYTES_MAX: u32 = 65_536;
/// Seconds of a call, without a setting of its own.
const TIMEOUT_S: u32 = 120;
/// The version of Anthropic's API.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// Anthropic requires a limit of the answer.
const ANTHROPIC_TOKENS: u32 = 1024;

const ERRORS: Errors = Errors {
    codes: &["/error/code", "/error/type"],
    messages: &["/error/message", "/message", "/error"],
    retries: &[],
    rejects: &[],
};

/// The form of request and response.
#[settings]
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Chat completions, which many servers offer.
    #[default]
    Openai,
    /// Messages.
    Anthropic,
}

/// The text of the answer.
pub fn ask(settings: &Settings, event: &Event) -> Result<String, Failure> {
    let url = settings.url.as_deref().unwrap_or(settings.api.url());
    let body = body(settings, event)?.to_string();
    let max = settings.max_request.unwrap_or(REQUEST_BYTES_MAX);
    if body.len() > max as usize {
        return Err(Failure::reject(format!(
            "the request would have {} bytes, and `max_request` is {max}",
            body.len()
        )));
    }
    let timeout = settings.timeout_s.unwrap_or(TIMEOUT_S);
    let mut request = Request::post(url)
        .header("content-type", "application/json")
        .timeout(Duration::from_secs(timeout.into()))
        .body(body);
    if settings.api == Api::Anthropic {
        request = request.header("anthropic-version", ANTHROPIC_VERSION);
    }
    for (name, value) in &settings.headers {
        request = request.header(name, value);
    }

    let response = ERRORS.checked(send(request)?)?;
    let response: Value = response.json()?;
    let text = match &settings.answer {
        Some(pointer) => at(&response, pointer),
        None => settings.api.answer(&response)?,
    };
    match text {
        Some(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(Failure::retry("the response has no answer")),
    }
}

fn body(settings: &Settings, event: &Event) -> Result<Value, Failure> {
    if let Some(template) = &settings.body {
        return template.render_json(event);
    }
    let prompt = settings.prompt.as_ref().map(|prompt| prompt.render(event));
    let prompt = json!({ "role": "user", "content": prompt.transpose()? });
    let system = settings.system.as_deref();
    let mut body = Map::from_iter([("model".to_owned(), json!(settings.model))]);
    match settings.api {
        Api::Openai => {
            let system = system.map(|text| json!({ "role": "system", "content": text }));
            let messages: Vec<Value> = system.into_iter().chain([prompt]).collect();
            body.insert("messages".into(), messages.into());
        }
        Api::Anthropic => {
            body.insert("max_tokens".into(), ANTHROPIC_TOKENS.into());
            body.insert("messages".into(), json!([prompt]));
            body.extend(system.map(|text| ("system".to_owned(), text.into())));
        }
    }
    body.extend(settings.options.clone());
    Ok(body.into())
}

/// A text, or another value as JSON.
fn at(response: &Value, pointer: &str) -> Option<String> {
    match response.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl Api {
    fn url(self) -> &'static str {
        match self {
            Self::Openai => "https://api.openai.com/v1/chat/completions",
            Self::Anthropic => "https://api.anthropic.com/v1/messages",
        }
    }

    /// A refusal is a reject: the same event would be refused again.
    fn answer(self, response: &Value) -> Result<Option<String>, Failure> {
        let (reason, refusals, cut, text) = match self {
            Self::Openai => {
                let choice = &response["choices"][0];
                if let Some(refusal) = choice["message"]["refusal"].as_str() {
                    return Err(Failure::reject(format!("the model refused: {refusal}")));
                }
                let text = choice["message"]["content"].as_str().map(str::to_owned);
                (&choice["finish_reason"], "content_filter", "length", text)
            }
            Self::Anthropic => {
                let blocks = response["content"].as_array().into_iter().flatten();
                let texts = blocks
                    .filter(|block| block["type"] == "text")
                    .filter_map(|block| block["text"].as_str());
                let text = Some(texts.collect::<String>());
                (&response["stop_reason"], "refusal", "max_tokens", text)
            }
        };
        if *reason == refusals {
            return Err(Failure::reject(format!("the model refused: {refusals}")));
        }
        if *reason == cut {
            log::warn(format!("the answer is cut: {cut}"));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use crate::agent;
    use landfall_calls::testing::sent;
    use landfall_sdk::serde_json::Value;
    use landfall_sdk::testing::{self, Host};
    use landfall_sdk::{Event, Failure, json};
    use std::time::Duration;

    const OPENAI: &str = "https://api.openai.com/v1/chat/completions";
    const ANTHROPIC: &str = "https://api.anthropic.com/v1/messages";

    fn host() -> Host {
        testing::host()
            .setting("model", "m")
            .setting("system", "Be brief. {{ event.json.text }}")
            .setting("prompt", "Summarise: {{ event.json.text }}")
            .setting("hooks", ["next"])
    }

    fn event() -> Event {
        testing::event(json!({ "text": "say \"hi\"" }))
    }

    fn answer(host: &Host) -> Value {
        let document: Value = host.emissions().remove(0).body.json().unwrap();
        document["answer"].clone()
    }

    #[test]
    fn chat_completions_are_asked() {
        let response = json!({ "choices": [{ "message": { "content": "in short" }, "finish_reason": "length" }] });
        let host = host()
            .setting("options", json!({ "temperature": 0 }))
            .answer(OPENAI, 200, response.to_string());
        agent(event()).unwrap();
        // The instructions are no template.
        let expected = json!({ "model": "m", "temperature": 0, "messages": [
            { "role": "system", "content": "Be brief. {{ event.json.text }}" },
            { "role": "user", "content": "Summarise: say \"hi\"" }] });
        assert_eq!(sent(&host), expected);
        assert_eq!(host.calls()[0].timeout, Some(Duration::from_secs(120)));
        assert_eq!(answer(&host), "in short");
        assert_eq!(host.logs()[0], "warn: the answer is cut: length");
    }

    #[test]
    fn messages_are_asked() {
        let response = json!({ "stop_reason": "end_turn", "content": [
            { "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "in " }, { "type": "text", "text": "short" }] });
        let host = host()
            .setting("api", "anthropic")
            .setting("options", json!({ "max_tokens": 50 }))
            .answer(ANTHROPIC, 200, response.to_string());
        agent(event()).unwrap();
        let expected = json!({ "model": "m", "max_tokens": 50, "system": "Be brief. {{ event.json.text }}",
            "messages": [{ "role": "user", "content": "Summarise: say \"hi\"" }] });
        assert_eq!(sent(&host), expected);
        let version = ("anthropic-version".to_owned(), "2023-06-01".to_owned());
        assert!(host.calls()[0].headers.contains(&version));
        assert_eq!(answer(&host), "in short");
    }

    #[test]
    fn any_endpoint_can_be_asked() {
        let host = testing::host()
            .setting("url", "https://agent.example/run")
            .setting("body", "{\"input\": {{ event.json.text }}}")
            .setting("answer", "/output/text")
            .setting("headers", json!({ "x-tenant": "t" }))
            .setting("hooks", ["next"])
            .answer(
                "https://agent.example/",
                200,
                "{\"output\": {\"text\": \"done\"}}",
            );
        agent(event()).unwrap();
        assert_eq!(sent(&host), json!({ "input": "say \"hi\"" }));
        let header = ("x-tenant".to_owned(), "t".to_owned());
        assert!(host.calls()[0].headers.contains(&header));
        assert_eq!(answer(&host), "done");
    }

    #[test]
    fn refusals_are_rejected() {
        for (api, url, response) in [
            (
                "openai",
                OPENAI,
                json!({ "choices": [{ "message": { "content": null, "refusal": "no" } }] }),
            ),
            (
                "openai",
                OPENAI,
                json!({ "choices": [{ "message": { "content": "" }, "finish_reason": "content_filter" }] }),
            ),
            (
                "anthropic",
                ANTHROPIC,
                json!({ "stop_reason": "refusal", "content": [] }),
            ),
        ] {
            let host = host()
                .setting("api", api)
                .answer(url, 200, response.to_string());
            assert!(
                matches!(agent(event()), Err(Failure::Reject { .. })),
                "{response}"
            );
            assert!(host.emissions().is_empty());
        }
    }

    #[test]
    fn answers_decide_about_retries() {
        let error = json!({ "error": { "type": "invalid_request_error", "message": "too long" } });
        let outcome = |status| {
            let _host = host().answer(OPENAI, status, error.to_string());
            agent(event()).unwrap_err()
        };
        assert_eq!(
            outcome(400),
            Failure::reject("answered 400 invalid_request_error: too long")
        );
        for status in [401, 403, 404, 429, 500, 529] {
            assert!(matches!(outcome(status), Failure::Retry { .. }), "{status}");
        }
        for response in ["{}", "no JSON"] {
            let _host = host().answer(OPENAI, 200, response);
            assert!(
                matches!(agent(event()), Err(Failure::Retry { .. })),
                "{response}"
            );
        }
    }

    #[test]
    fn long_requests_are_not_sent() {
        let host = host().setting("max_request", 50);
        assert!(matches!(agent(event()), Err(Failure::Reject { .. })));
        assert!(host.calls().is_empty());
    }
}
