//! The event of a batch: its body lists the events that run together.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use landfall_model::{Event, PROOF_ATTRIBUTE};
use serde_json::{Map, Value, json};

/// The attribute of the event of a batch: the number of its events.
const BATCH: &str = "batch";
/// The event type of a batch.
const EVENT_TYPE: &str = "batch";
/// The most levels of JSON in the body of a member. A deeper body is a text: with the levels of the
/// batch, most parsers would refuse it, and with it the other members.
const LEVELS_MAX: usize = 100;
/// Attributes that a batch has from its first event.
const OF_THE_FIRST: [&str; 6] = [
    "provider",
    "verified-by",
    "verified-by-scheme",
    "order-key",
    "traceparent",
    "replayed",
];
/// Attributes that a member has as fields, or that are for the host alone.
const LEFT_OUT: [&str; 4] = ["provider", "event-type", "delivery-id", PROOF_ATTRIBUTE];

/// Whether this is the event of a batch.
pub fn is_batch(event: &Event) -> bool {
    event.attribute(BATCH).is_some()
}

/// The bytes of an event in a batch.
pub(crate) fn bytes_of(event: &Event) -> usize {
    member(event).len() + 1
}

/// The event of a batch. `members` has at least one event, in the order of their arrival. A batch of
/// one has the id of its event; a larger one always the same id of its own.
pub fn compose(members: &[Arc<Event>]) -> Event {
    let first = &members[0];
    let list: Vec<String> = members.iter().map(|event| member(event)).collect();
    let body = format!("{{\"batch\":[{}]}}", list.join(","));

    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let id = if members.len() == 1 {
        first.id
    } else {
        first.id.of_batch()
    };
    Event {
        id,
        hook: first.hook.clone(),
        received_at: first.received_at,
        method: http::Method::POST,
        path: first.path.clone(),
        query: None,
        headers,
        body: Bytes::from(body),
        attributes: attributes(members),
    }
}

fn attributes(members: &[Arc<Event>]) -> Vec<(String, String)> {
    let first = &members[0];
    let mut attributes: Vec<(String, String)> = first
        .attributes
        .iter()
        .filter(|(name, _)| OF_THE_FIRST.contains(&name.as_str()) || name.starts_with("param:"))
        .cloned()
        .collect();

    // Events that emit events in a circle are found by their hops, also through a batch.
    let hops = members
        .iter()
        .filter_map(|event| event.attribute("hops")?.parse::<u32>().ok());
    attributes.extend(hops.max().map(|hops| ("hops".to_owned(), hops.to_string())));
    let emitted_by = first.attribute("emitted-by").filter(|hook| {
        members
            .iter()
            .all(|event| event.attribute("emitted-by") == Some(*hook))
    });
    attributes.extend(emitted_by.map(|hook| ("emitted-by".to_owned(), hook.to_owned())));

    attributes.push(("event-type".to_owned(), EVENT_TYPE.to_owned()));
    attributes.push((BATCH.to_owned(), members.len().to_string()));
    attributes
}

/// One event of a batch, as JSON. A JSON body is part of it byte for byte.
fn member(event: &Event) -> String {
    let mut text = json!({
        "id": event.id.to_string(),
        "received_at": humantime::format_rfc3339_millis(event.received_at).to_string(),
        "provider": event.attribute("provider"),
        "event_type": event.attribute("event-type"),
        "delivery_id": event.attribute("delivery-id"),
        "method": event.method.as_str(),
        "path": event.path,
        "query": event.query,
        "headers": headers(event),
        "attributes": shown_attributes(event),
    })
    .to_string();

    // The body is the last field of the object.
    text.pop();
    match (as_json(&event.body), std::str::from_utf8(&event.body)) {
        (Some(json), _) => {
            text.push_str(",\"json\":");
            text.push_str(json);
        }
        (None, Ok(body)) => {
            text.push_str(",\"text\":");
            text.push_str(&Value::from(body).to_string());
        }
        (None, Err(_)) => {
            text.push_str(",\"base64\":\"");
            STANDARD.encode_string(&event.body, &mut text);
            text.push('"');
        }
    }
    text.push('}');
    text
}

/// The values of a repeated header are joined, as HTTP allows.
fn headers(event: &Event) -> Map<String, Value> {
    let joined = event.headers.keys().map(|name| {
        let values = event.headers.get_all(name).iter();
        let texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (name.as_str().to_owned(), texts.join(", ").into())
    });
    joined.collect()
}

/// Of a repeated name, the first value.
fn shown_attributes(event: &Event) -> Map<String, Value> {
    let shown = event
        .attributes
        .iter()
        .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    shown
        .rev()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}

/// The body, if it is JSON that a batch can contain. It is read as a handler reads it: half of a
/// surrogate pair or a number of 400 digits would make the whole batch unreadable.
fn as_json(body: &[u8]) -> Option<&str> {
    serde_json::from_slice::<Value>(body).ok()?;
    let text = std::str::from_utf8(body).ok()?.trim();
    (levels(text) <= LEVELS_MAX).then_some(text)
}

/// The levels of arrays and objects in a JSON text.
fn levels(text: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !in_string => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    fn parsed(batch: &Event) -> Value {
        serde_json::from_slice(&batch.body).unwrap()
    }

    #[test]
    fn a_batch_lists_its_events() {
        let mut first = event("{\"n\": 12345678901234567890123}");
        first.headers.append("x", "1".parse().unwrap());
        first.headers.append("x", "2".parse().unwrap());
        first.attributes.push(("hops".into(), "2".into()));
        let mut second = event("plain \"text\"");
        second.id = first.id.of_batch();
        let mut third = event("");
        third.body = Bytes::from_static(b"\xff\x00");
        let members = [first, second, third].map(Arc::new);
        let batch = compose(&members);

        assert_eq!(batch.id, members[0].id.of_batch());
        assert!(is_batch(&batch) && !is_batch(&members[0]));
        assert_eq!(batch.attribute("event-type"), Some("batch"));
        assert_eq!(batch.attribute("batch"), Some("3"));
        assert_eq!(batch.attribute("hops"), Some("2"));
        assert_eq!(batch.attribute("proof"), None);
        // Numbers are not rounded.
        let text = std::str::from_utf8(&batch.body).unwrap();
        assert!(text.contains("\"json\":{\"n\": 12345678901234567890123}}"));
        assert!(!text.contains("proof"));
        let list = parsed(&batch);
        let list = list["batch"].as_array().unwrap();
        assert_eq!(list[0]["headers"]["x"], "1, 2");
        assert_eq!(list[0]["provider"], "github");
        assert_eq!(list[0]["attributes"]["verified-by"], "signature#1");
        assert_eq!(list[1]["text"], "plain \"text\"");
        assert_eq!(list[2]["base64"], "/wA=");
    }

    #[test]
    fn a_batch_of_one_keeps_its_id() {
        let members = [Arc::new(event("{}"))];
        let batch = compose(&members);
        assert_eq!(batch.id, members[0].id);
        assert_eq!(batch.attribute("batch"), Some("1"));
        assert_eq!(
            batch.body.len(),
            bytes_of(&members[0]) - 1 + "{\"batch\":[]}".len()
        );
    }

    #[test]
    fn unreadable_values_do_not_harm_others() {
        for body in [r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#] {
            let batch = compose(&[Arc::new(event(body)), Arc::new(event("{}"))]);
            assert_eq!(parsed(&batch)["batch"][0]["text"], body);
        }
    }

    #[test]
    fn deep_bodies_do_not_harm_others() {
        let deep = format!("{}{}", "[".repeat(110), "]".repeat(110));
        let batch = compose(&[Arc::new(event(&deep)), Arc::new(event("\"[[\\\"[\""))]);
        let list = parsed(&batch);
        assert_eq!(list["batch"][0]["text"], deep);
        assert_eq!(list["batch"][1]["json"], "[[\"[");
    }
}
