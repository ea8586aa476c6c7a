//! `[transform]`: the body that a template makes of an event.

use std::io;

use bytes::Bytes;
use http::HeaderValue;
use landfall_model::{Event, TransformSpec};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::mistake::FlowMistake;
use super::seen::Seen;

/// The most instructions of the template language in one rendering.
const FUEL: u64 = 500_000;
const KEY: [&str; 2] = ["transform", "body"];

/// A template, and how much it may make.
#[derive(Debug, Clone)]
pub(crate) struct Transform {
    template: String,
    content_type: HeaderValue,
    bytes_max: usize,
}

/// What a template writes, up to a limit.
struct Bounded {
    text: Vec<u8>,
    bytes_max: usize,
    is_over: bool,
}

// === impl Transform ===

impl Transform {
    pub(crate) fn new(spec: &TransformSpec, bytes_max: usize) -> Transform {
        Transform {
            template: spec.body.clone(),
            content_type: spec.content_type.clone(),
            bytes_max,
        }
    }

    pub(crate) fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// Whether the template can be read, and names only filters, tests and functions that exist. The
    /// names in a branch that a sample does not take are found when it is taken.
    pub(crate) fn check(&self) -> Result<(), FlowMistake> {
        let environment = self.environment();
        let template = environment
            .template_from_str(&self.template)
            .map_err(|error| FlowMistake::new(KEY, format!("this is not a template: {error}")))?;
        // A sample has no values, so that other errors say nothing.
        match template.render(Serde(sample())) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
                ) =>
            {
                Err(FlowMistake::new(KEY, error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The body that the template makes of the event, or why it fails: a sentence for the operator.
    pub(crate) fn render(&self, event: &Event) -> Result<Bytes, String> {
        let environment = self.environment();
        let template = environment
            .template_from_str(&self.template)
            .map_err(|error| format!("[transform] body is not a template: {error}"))?;
        let mut made = Bounded {
            text: Vec::new(),
            bytes_max: self.bytes_max,
            is_over: false,
        };
        let rendered = template
            .render_captured_to(Serde(Seen::new(event).for_template()), &mut made)
            .map(drop);
        if made.is_over {
            let most = bytesize::ByteSize(self.bytes_max as u64).display().iec();
            return Err(format!("[transform] makes a body of more than {most}"));
        }
        rendered.map_err(|error| format!("[transform] fails on this event: {error}"))?;

        if self.is_json()
            && let Err(error) = serde_json::from_slice::<IgnoredAny>(&made.text)
        {
            return Err(format!(
                "what [transform] makes of this event is not JSON (values stand without quotes of your own): {error}"
            ));
        }
        Ok(made.text.into())
    }

    /// In a template of JSON, each value is written as JSON, so that a sender cannot add anything
    /// around it.
    fn environment(&self) -> Environment<'_> {
        let escape = if self.is_json() {
            AutoEscape::Json
        } else {
            AutoEscape::None
        };
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(move |_| escape.clone());
        environment.set_fuel(Some(FUEL));
        environment
    }

    fn is_json(&self) -> bool {
        let text = self.content_type.to_str().unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    }
}

/// An event without values.
fn sample() -> Value {
    json!({
        "event": {
            "id": "", "hook": "", "received_at": "", "provider": null, "event_type": null, "delivery_id": null,
            "method": "POST", "path": "/", "query": null, "headers": {}, "attributes": {}, "json": {}, "form": {},
            "text": "",
        }
    })
}

// === impl Bounded ===

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.bytes_max {
            self.is_over = true;
            return Err(io::Error::other("the body is too large"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    fn transform(body: &str, content_type: &'static str) -> Transform {
        let spec = TransformSpec {
            body: body.to_owned(),
            content_type: HeaderValue::from_static(content_type),
        };
        Transform::new(&spec, 1000)
    }

    fn rendered(body: &str, event: &Event) -> Result<String, String> {
        let made = transform(body, "application/json").render(event)?;
        Ok(String::from_utf8(made.to_vec()).unwrap())
    }

    #[test]
    fn a_template_makes_the_body() {
        let ada = event(r#"{"who":"Ada \"A\"","n":3}"#);
        assert_eq!(
            rendered(
                r#"{"name": {{ event.json.who }}, "n": {{ event.json.n }}}"#,
                &ada
            )
            .unwrap(),
            r#"{"name": "Ada \"A\"", "n": 3}"#
        );
        let text = transform("{{ event.provider }}: {{ event.json.who }}", "text/plain");
        assert_eq!(&text.render(&ada).unwrap()[..], b"github: Ada \"A\"");
    }

    #[test]
    fn senders_write_values_only() {
        let evil = event(r#"{"t":"x\",\"admin\":\"1"}"#);
        assert!(rendered(r#"{"a": "{{ event.json.t }}"}"#, &evil).is_err());
        assert_eq!(
            rendered(r#"{"a": {{ event.json.t }}}"#, &evil).unwrap(),
            r#"{"a": "x\",\"admin\":\"1"}"#
        );
        let proof = rendered("{{ event.attributes.proof }}", &evil);
        assert_ne!(proof.as_deref(), Ok("\"{}\""));
    }

    #[test]
    fn renderings_are_bounded() {
        let any = event("{}");
        let large = transform("{% for n in range(2000) %}x{% endfor %}", "text/plain");
        let why = large.render(&any).unwrap_err();
        assert!(why.contains("more than 1000 B"), "{why}");
        let slow = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
        let why = transform(slow, "text/plain").render(&any).unwrap_err();
        assert!(why.contains("fails on this event"), "{why}");
    }

    #[test]
    fn mistakes_are_found_before_events() {
        for (body, word) in [
            ("{{ event.", "not a template"),
            ("{{ event.id | nope }}", "nope"),
            ("{{ nope() }}", "nope"),
        ] {
            let error = transform(body, "application/json").check().unwrap_err();
            assert!(error.message.contains(word), "{error}");
        }
        let deep = "{{ event.json.a.b }}";
        assert_eq!(transform(deep, "application/json").check(), Ok(()));
    }
}
