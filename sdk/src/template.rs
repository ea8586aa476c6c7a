//! Templates that operators write in `[settings]`, in Jinja's language, and what they see of an
//! event. The language: <https://docs.rs/minijinja/latest/minijinja/syntax>.

use crate::{Event, Failure};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A template that an operator wrote.
///
/// It has one name, `event`, with these fields:
///
/// - `id`, `hook`, `received_at`, `method`, `path`, and `query` (none if there is none);
/// - `provider`, `event_type` and `delivery_id`, each none if the event has none;
/// - `headers` and `attributes`: maps; of a repeated header, the first value;
/// - `json`: the body if it is JSON, or the JSON document in a field of a form; `form`: the fields
///   of a form; `text`: the body if it is UTF-8. Otherwise none.
///
/// Senders choose the values. Write a value into JSON without quotes around it: `{{
/// event.json.title | tojson }}`. In a template whose whole text is JSON
/// ([`render_json`](Self::render_json)), every value is written as JSON, also without `tojson`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Template(String);

#[cfg(not(target_arch = "wasm32"))]
impl schemars::JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "x-landfall": "template" })
    }
}

impl Template {
    /// A template that is not taken from settings.
    pub fn new(template: impl Into<String>) -> Self {
        Self(template.into())
    }

    /// The text that the template makes of `event`.
    ///
    /// A template that cannot be read is a [`Failure::Retry`], because the operator can correct it.
    /// A template that fails on this event is a [`Failure::Reject`].
    pub fn render(&self, event: &Event) -> Result<String, Failure> {
        self.rendered(AutoEscape::None, event)
    }

    /// The HTML that the template makes of `event`. Every value is escaped, so that a sender cannot
    /// add markup.
    pub fn render_html(&self, event: &Event) -> Result<String, Failure> {
        self.rendered(AutoEscape::Html, event)
    }

    fn rendered(&self, escape: AutoEscape, event: &Event) -> Result<String, Failure> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(move |_| escape.clone());
        let template = environment.template_from_str(&self.0).map_err(|error| {
            Failure::retry(format!(
                "[settings] of the hook's file: `{}` is not a template: {error}",
                short(&self.0)
            ))
        })?;
        template
            .render(Serde(json!({ "event": seen(event) })))
            .map_err(|error| {
                Failure::reject(format!(
                    "the template `{}` fails on this event: {error}",
                    short(&self.0)
                ))
            })
    }

    /// The JSON that it makes of `event`. Each value is written as JSON, so that a sender cannot
    /// add anything around it. Invalid JSON is an error here, not at the receiver.
    pub fn render_json(&self, event: &Event) -> Result<Value, Failure> {
        Ok(self.as_json(event)?.0)
    }

    /// The same as text, spelled as the template spells it.
    pub fn render_json_text(&self, event: &Event) -> Result<String, Failure> {
        Ok(self.as_json(event)?.1)
    }

    fn as_json(&self, event: &Event) -> Result<(Value, String), Failure> {
        let text = "what a template makes of this event is not JSON (values stand without quotes of your own)";
        let made = self.rendered(AutoEscape::Json, event)?;
        let value = serde_json::from_str(&made)
            .map_err(|error| Failure::reject(format!("{text}: {error}")))?;
        Ok((value, made))
    }
}

/// As much of a template as tells which one it is.
fn short(template: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    match template.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &template[..end]),
        None => template.to_owned(),
    }
}

fn seen(event: &Event) -> Value {
    json!({
        "id": event.id,
        "hook": event.hook,
        "received_at": event.received_at,
        "provider": event.provider,
        "event_type": event.event_type,
        "delivery_id": event.delivery_id,
        "method": event.method,
        "path": event.path,
        "query": event.query,
        "headers": map(&event.headers),
        "attributes": map(&event.attributes),
        "json": event.json::<Value>().ok(),
        "form": event.form_fields().map(|fields| map(&fields)),
        "text": event.text(),
    })
}

/// Of a repeated name the first counts, as in `Event::header`.
fn map(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .rev()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_template_sees_the_event() {
        let event = testing::post(json!({ "who": "Ada \"A\"", "list": [1, 2] }))
            .header("X-Kind", "first")
            .header("X-Kind", "second")
            .provider("github")
            .event_type("push")
            .attribute("client-address", "192.0.2.1")
            .build();
        let cases = [
            ("{{ event.json.who }}", "Ada \"A\""),
            ("{{ event.json.who | tojson }}", "\"Ada \\\"A\\\"\""),
            (
                "{{ event.headers['x-kind'] }} {{ event.attributes['client-address'] }}",
                "first 192.0.2.1",
            ),
            (
                "{{ event.provider }} {{ event.event_type }} {{ event.delivery_id or 'none' }}",
                "github push none",
            ),
            (
                "{% for n in event.json.list %}<{{ n }}>{% endfor %}",
                "<1><2>",
            ),
            (
                "{% if event.json.missing %}yes{% else %}no{% endif %}",
                "no",
            ),
            ("{{ event.hook | upper }}", "TEST"),
        ];
        for (template, text) in cases {
            assert_eq!(
                Template::new(template).render(&event).as_deref(),
                Ok(text),
                "{template}"
            );
        }
    }

    #[test]
    fn forms_are_seen_by_field() {
        let urlencoded = testing::post_raw("From=%2B1&Body=a+b&From=2")
            .header("Content-Type", "application/x-www-form-urlencoded");
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let parts = [
            part("From", "+1"),
            part("Body", "a b"),
            "--b--\r\n".to_owned(),
        ]
        .concat();
        let multipart =
            testing::post_raw(parts).header("Content-Type", "multipart/form-data; boundary=b");
        for event in [urlencoded.build(), multipart.build()] {
            let made =
                Template::new("{{ event.form.From }} {{ event.form.Body }} {{ event.json }}")
                    .render(&event);
            assert_eq!(made.as_deref(), Ok("+1 a b None"));
        }
        let json = testing::post_raw("payload=%7B%22n%22%3A1%7D")
            .header("Content-Type", "application/x-www-form-urlencoded");
        let event = json.attribute("json-form-field", "payload").build();
        assert_eq!(
            Template::new("{{ event.json.n }}")
                .render(&event)
                .as_deref(),
            Ok("1")
        );
    }

    #[test]
    fn template_mistakes_retry_event_mistakes_reject() {
        let event = testing::event(json!({}));
        let broken = Template::new("{{ event.").render(&event).unwrap_err();
        assert!(
            matches!(&broken, Failure::Retry { reason, .. } if reason.contains("`{{ event.` is not a template"))
        );
        assert!(matches!(
            Template::new("{{ event.json.a.b }}").render(&event),
            Err(Failure::Reject { .. })
        ));
    }

    #[test]
    fn json_templates_must_yield_json() {
        let event = testing::event(json!({ "title": "say \"hi\"" }));
        let made = |template: &str| Template::new(template).render_json(&event);
        assert_eq!(
            made("[{{ event.json.title | tojson }}]"),
            Ok(json!(["say \"hi\""]))
        );
        assert_eq!(made("[{{ event.json.title }}]"), Ok(json!(["say \"hi\""])));
        assert!(matches!(
            made("[\"{{ event.json.title }}\"]"),
            Err(Failure::Reject { .. })
        ));
    }

    #[test]
    fn values_in_html_are_escaped() {
        let event = testing::event(json!({ "title": "<b>&" }));
        let made = Template::new("<i>{{ event.json.title }}</i>").render_html(&event);
        assert_eq!(made.as_deref(), Ok("<i>&lt;b&gt;&amp;</i>"));
    }

    #[test]
    fn senders_write_values_only() {
        let event = testing::event(json!({ "t": "x\",\"admin\":\"1" }));
        let made = |template: &str| Template::new(template).render_json(&event);
        assert!(matches!(
            made("{\"a\": \"{{ event.json.t }}\"}"),
            Err(Failure::Reject { .. })
        ));
        assert_eq!(
            made("{\"a\": {{ event.json.t }}}"),
            Ok(json!({ "a": "x\",\"admin\":\"1" }))
        );
    }
}
