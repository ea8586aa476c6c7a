//! Sends each event as a CloudEvent 1.0 over HTTP, in binary or structured mode.
//! Source: the HTTP protocol binding of CloudEvents 1.0.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_calls::{Condition, mistake, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Payload, Template, handler, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Where to send.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: String,
    #[serde(default)]
    mode: Mode,
    /// Templates.
    source: Option<Template>,
    r#type: Option<Template>,
    subject: Option<Template>,
    /// Further attributes, each a template.
    #[serde(default)]
    extensions: BTreeMap<String, Template>,
}

#[settings]
#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Binary,
    Structured,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn cloudevents(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "sent") {
        return Ok(());
    }
    let attributes = settings.attributes(&event)?;
    let request = match settings.mode {
        Mode::Binary => binary(&settings.url, &attributes, &event),
        Mode::Structured => structured(&settings.url, &attributes, &event),
    };
    let status = send(request)?.error_for_status()?.status;
    log::info(format!("sent: {status}"));
    Ok(())
}

impl Settings {
    /// In the order of the specification.
    fn attributes(&self, event: &Event) -> Result<Vec<(String, String)>, Failure> {
        let or = |template: &Option<Template>, default: String| match template {
            Some(template) => template.render(event),
            None => Ok(default),
        };
        let kind = format!(
            "landfall.{}.{}",
            event.provider.as_deref().unwrap_or(&event.hook),
            event.event_type.as_deref().unwrap_or("event")
        );
        let mut all = vec![
            ("specversion".to_owned(), "1.0".to_owned()),
            ("id".to_owned(), event.id.clone()),
            (
                "source".to_owned(),
                or(&self.source, format!("/hooks/{}", event.hook))?,
            ),
            ("type".to_owned(), or(&self.r#type, kind)?),
            ("time".to_owned(), event.received_at.clone()),
        ];
        if let Some(template) = &self.subject {
            all.push(("subject".to_owned(), template.render(event)?));
        }
        for (name, template) in &self.extensions {
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            {
                return Err(mistake(format_args!("extensions.{name}: a-z and 0-9 only")));
            }
            all.push((name.clone(), template.render(event)?));
        }
        all.extend(
            event
                .attribute("traceparent")
                .map(|value| ("traceparent".to_owned(), value.to_owned())),
        );
        Ok(all)
    }
}

/// The attributes are headers, the body is what came.
fn binary(url: &str, attributes: &[(String, String)], event: &Event) -> Request {
    let content_type = event
        .header("content-type")
        .unwrap_or("application/octet-stream");
    let request = Request::post(url)
        .header("content-type", content_type)
        .body(event.body.clone());
    attributes.iter().fold(request, |request, (name, value)| {
        request.header(format!("ce-{name}"), header_value(value))
    })
}

/// Everything is one JSON object.
fn structured(url: &str, attributes: &[(String, String)], event: &Event) -> Request {
    let mut envelope: Map<String, Value> = attributes
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let (name, data) = match (event.body.json::<Value>(), &event.body) {
        (Ok(json), _) => ("data", json),
        (Err(_), Payload::Text(text)) => ("data", text.as_str().into()),
        (Err(_), Payload::Binary(bytes)) => ("data_base64", STANDARD.encode(bytes).into()),
    };
    if let Some(content_type) = event.header("content-type") {
        envelope.insert("datacontenttype".into(), content_type.into());
    }
    envelope.insert(name.into(), data);
    let body = Value::from(envelope).to_string();
    Request::post(url)
        .header(
            "content-type",
            "application/cloudevents+json; charset=UTF-8",
        )
        .body(body)
}

/// Section 3.1.3.2: what is no printable ASCII, and `"` and `%`, is percent-encoded.
fn header_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' | 0..=0x20 | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            plain => out.push(plain.into()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::json;
    use landfall_sdk::testing::{self, Host};

    fn host() -> Host {
        testing::host()
            .setting("url", "https://broker.example/")
            .answer("https://broker.example/", 202, "")
    }

    #[test]
    fn binary_mode_uses_headers() {
        let host = host()
            .setting("subject", "{{ event.json.who }}")
            .setting("extensions", json!({ "tenant": "a b" }));
        let event = testing::post(json!({ "who": "Zoë \"Z\"" }))
            .provider("github")
            .event_type("push");
        let event = event.build();
        cloudevents(event.clone()).unwrap();
        let call = host.calls().remove(0);
        let header = |name: &str| {
            call.headers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(
            (header("ce-id"), header("ce-type")),
            (Some(event.id.as_str()), Some("landfall.github.push"))
        );
        assert_eq!(
            (header("ce-source"), header("ce-specversion")),
            (Some("/hooks/test"), Some("1.0"))
        );
        assert_eq!(
            (header("ce-subject"), header("ce-tenant")),
            (Some("Zo%C3%AB%20%22Z%22"), Some("a%20b"))
        );
        assert_eq!(call.body, Some(event.body));
    }

    #[test]
    fn structured_is_one_object() {
        let host = host()
            .setting("mode", "structured")
            .setting("type", "com.example.order");
        cloudevents(testing::event(json!({ "n": 1 }))).unwrap();
        cloudevents(testing::post_raw(vec![0xff, 0x00]).build()).unwrap();
        let sent = |at: usize| {
            host.calls()[at]
                .body
                .clone()
                .unwrap()
                .json::<Value>()
                .unwrap()
        };
        assert_eq!(
            (&sent(0)["type"], &sent(0)["data"]),
            (&json!("com.example.order"), &json!({ "n": 1 }))
        );
        assert_eq!(sent(1)["data_base64"], "/wA=");
    }
}
