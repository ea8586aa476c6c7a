//! The templates of bodies, in Jinja's language, and what they see of an event.

use landfall_sdk::serde_json::{Map, Value, from_str, json};
use landfall_sdk::{Event, Failure};
use minijinja::{Environment, value::Serde};

/// The text that `template` makes of `event`.
///
/// A template that cannot be read is the operator's mistake and may be mended, so it is a retry; one that fails on
/// this event is a reject.
pub fn render(template: &str, event: &Event) -> Result<String, Failure> {
    let environment = Environment::new();
    let template = environment
        .template_from_str(template)
        .map_err(|error| Failure::retry(format!("[settings] of the hook's file: body is not a template: {error}")))?;
    template
        .render(Serde(json!({ "event": seen(event) })))
        .map_err(|error| Failure::reject(format!("the body's template fails on this event: {error}")))
}

/// The JSON that `template` makes of `event`. What is no JSON shows here, not at whoever gets it.
pub fn rendered_json(template: &str, event: &Event) -> Result<Value, Failure> {
    let text = "what a template makes of this event is not JSON (put values in with `| tojson`)";
    from_str(&render(template, event)?).map_err(|error| Failure::reject(format!("{text}: {error}")))
}

fn seen(event: &Event) -> Value {
    json!({
        "id": event.id,
        "hook": event.hook,
        "received_at": event.received_at,
        "method": event.method,
        "path": event.path,
        "query": event.query,
        "headers": map(&event.headers),
        "attributes": map(&event.attributes),
        "json": event.json::<Value>().ok(),
        "text": event.text(),
    })
}

/// Of a repeated name the first counts, as in `Event::header`.
fn map(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().rev().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::testing;

    #[test]
    fn a_template_sees_the_event() {
        let event = testing::post(json!({ "who": "Ada \"A\"", "list": [1, 2] }))
            .header("X-Kind", "first")
            .header("X-Kind", "second")
            .attribute("event-type", "push")
            .build();
        let cases = [
            ("{{ event.json.who }}", "Ada \"A\""),
            ("{{ event.json.who | tojson }}", "\"Ada \\\"A\\\"\""),
            ("{{ event.headers['x-kind'] }} {{ event.attributes['event-type'] }}", "first push"),
            ("{% for n in event.json.list %}<{{ n }}>{% endfor %}", "<1><2>"),
            ("{% if event.json.missing %}yes{% else %}no{% endif %}", "no"),
            ("{{ event.hook | upper }}", "TEST"),
        ];
        for (template, text) in cases {
            assert_eq!(render(template, &event).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn a_mistake_in_the_template_waits_and_one_with_this_event_does_not() {
        let event = testing::event(json!({}));
        assert!(matches!(render("{{ event.", &event), Err(Failure::Retry { .. })));
        assert!(matches!(render("{{ event.json.a.b }}", &event), Err(Failure::Reject(_))));
    }
}
