//! One target: what the operator wrote about it, and the call that is made of it for an event.

use crate::condition::{Condition, unmet};
use landfall_sdk::http::{HttpError, Request, Response};
#[cfg(not(target_arch = "wasm32"))]
use landfall_sdk::schemars::{JsonSchema, Schema, SchemaGenerator};
use landfall_sdk::{Event, Failure, Template, log, settings};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// Where to call, and with what: a table, or just the URL.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// All must hold; none at all means every event. The caller asks [`Target::wants`] first.
    pub when: Vec<Condition>,
    /// Absolute; the operator must allow it.
    pub url: String,
    /// `POST` where nothing is said.
    pub method: String,
    /// Added to the request.
    pub headers: BTreeMap<String, String>,
    /// A template; without it the event's own body is passed on, with its content type.
    pub body: Option<Template>,
}

/// Reads a target without the copy that an untagged enum needs.
struct TargetVisitor;

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL, or a table with url, when, method, headers and body")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<Target, E> {
        Ok(Typed::Url(url.to_owned()).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Target, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Typed::Table(table).into())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Typed::json_schema(generator)
    }
}

/// The two ways to write a target down.
// `Deserialize` is only for the schema.
#[settings]
#[derive(Deserialize)]
#[serde(untagged)]
enum Typed {
    Url(#[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))] String),
    Table(Table),
}

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    when: Vec<Condition>,
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Template>,
}

impl From<Typed> for Target {
    fn from(typed: Typed) -> Self {
        match typed {
            Typed::Url(url) => Self::new(url, None, BTreeMap::new(), None),
            Typed::Table(Table {
                when,
                url,
                method,
                headers,
                body,
            }) => Self {
                when,
                ..Self::new(url, method, headers, body)
            },
        }
    }
}

impl Target {
    /// A target; without a method it is a `POST`.
    pub fn new(
        url: String,
        method: Option<String>,
        headers: BTreeMap<String, String>,
        body: Option<Template>,
    ) -> Self {
        let method = method.map_or_else(|| "POST".to_owned(), |method| method.to_ascii_uppercase());
        Self {
            when: Vec::new(),
            url,
            method,
            headers,
            body,
        }
    }

    /// Whether this event is for it.
    pub fn wants(&self, event: &Event) -> bool {
        unmet(&self.when, event).is_none()
    }

    /// Makes the call for `event` and returns the 2xx status of the answer.
    pub fn call(&self, event: &Event) -> Result<u16, Failure> {
        let result = self
            .request(event)
            .and_then(send)
            .and_then(|response| Ok(response.error_for_status()?.status));
        match &result {
            Ok(status) => log::info(format!("{} {}: {status}", self.method, self.url)),
            Err(failure) => log::warn(format!("{} {}: {failure}", self.method, self.url)),
        }
        result
    }

    fn request(&self, event: &Event) -> Result<Request, Failure> {
        let mut request = Request::new(&self.method, &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match &self.body {
            Some(template) => self.with_rendered(request, template, event),
            None if matches!(self.method.as_str(), "GET" | "HEAD") => Ok(request),
            None => Ok(self.with_original(request, event)),
        }
    }

    fn with_original(&self, request: Request, event: &Event) -> Request {
        let request = match event.header("content-type") {
            Some(content_type) if self.content_type().is_none() => {
                request.header("content-type", content_type)
            }
            _ => request,
        };
        request.body(event.body.clone())
    }

    /// What is called JSON has to be JSON, and each value in it no more than a value: that shows
    /// here, not at the target.
    fn with_rendered(
        &self,
        request: Request,
        template: &Template,
        event: &Event,
    ) -> Result<Request, Failure> {
        let request = match self.content_type() {
            Some(content_type) if !is_json(content_type) => {
                return Ok(request.body(template.render(event)?));
            }
            Some(_) => request,
            None => request.header("content-type", "application/json"),
        };
        Ok(request.body(template.render_json_text(event)?))
    }

    fn content_type(&self) -> Option<&str> {
        self.headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.as_str())
    }
}

/// `application/json`, and what ends so: `application/vnd.api+json`.
fn is_json(content_type: &str) -> bool {
    content_type
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().to_ascii_lowercase().ends_with("json"))
}

/// The response, with any status. A request over a limit is rejected, because it would be over it
/// again. Every other failure is retried: it may pass, or the operator can fix it.
pub fn send(request: Request) -> Result<Response, Failure> {
    match request.send() {
        Ok(response) => Ok(response),
        Err(error @ HttpError::Limit(_)) => Err(Failure::reject(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::serde_json::Value;
    use landfall_sdk::{Payload, json, serde_json, testing};

    fn target(value: Value) -> Target {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn without_template_the_body_passes() {
        let host = testing::host().answer("https://a.example/", 204, "");
        let event = testing::post_raw("a=b")
            .header("Content-Type", "text/x")
            .build();
        assert_eq!(target(json!("https://a.example/in")).call(&event), Ok(204));
        let call = host.calls().remove(0);
        assert_eq!(
            (call.method.as_str(), call.body),
            ("POST", Some(Payload::from("a=b")))
        );
        assert_eq!(call.headers, [("content-type".into(), "text/x".into())]);
        assert_eq!(host.logs(), ["info: POST https://a.example/in: 204"]);
    }

    #[test]
    fn a_get_has_no_body() {
        let host = testing::host().answer("https://a.example/", 200, "");
        target(json!({ "url": "https://a.example/", "method": "get" }))
            .call(&testing::event(json!({})))
            .unwrap();
        assert_eq!(
            (host.calls()[0].method.as_str(), &host.calls()[0].body),
            ("GET", &None)
        );
    }

    #[test]
    fn templates_make_the_body() {
        let host = testing::host().answer("https://a.example/", 200, "");
        let event = testing::event(json!({ "title": "say \"hi\"" }));
        let with =
            |body: &str| target(json!({ "url": "https://a.example/", "body": body })).call(&event);
        assert_eq!(with("{\"text\": {{ event.json.title | tojson }}}"), Ok(200));
        assert_eq!(
            host.calls()[0].body,
            Some("{\"text\": \"say \\\"hi\\\"\"}".into())
        );
        assert!(matches!(
            with("{\"text\": \"{{ event.json.title }}\"}"),
            Err(Failure::Reject { .. })
        ));
    }

    #[test]
    fn denied_calls_are_retried() {
        let _host = testing::host();
        let result = target(json!("https://a.example/")).call(&testing::event(json!({})));
        assert!(matches!(result, Err(Failure::Retry { .. })));
    }
}
