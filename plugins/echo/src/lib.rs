//! Answers with the body of the event: the smallest useful handler, and the component that the
//! benchmarks run.
//!
//! JSON is checked and written into the reply unchanged. A form becomes an object of its fields,
//! other text stays text, and an empty body becomes null. Of a binary or very large body, the reply
//! has only the number of bytes.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Reply, handler, json};
use serde::Serialize;
use serde_json::value::RawValue;

/// The host takes no reply above 8 MiB.
const ECHOED_BYTES_MAX: usize = 4 << 20;

#[derive(Serialize)]
struct Answer<'a> {
    hook: &'a str,
    event_id: &'a str,
    received: &'a RawValue,
}

/// The one function of this component.
#[handler(manifest = "manifest.toml")]
pub fn echo(event: Event) -> Result<Reply, Failure> {
    let bytes = event.bytes().len();
    let text = event.text().filter(|_| bytes <= ECHOED_BYTES_MAX);
    if let Some(received) = text.and_then(|text| serde_json::from_str(text).ok()) {
        return Ok(Reply::json(
            200,
            &Answer {
                hook: &event.hook,
                event_id: &event.id,
                received,
            },
        ));
    }
    let received = match (
        event.form_fields().filter(|_| bytes <= ECHOED_BYTES_MAX),
        text,
    ) {
        (Some(fields), _) => fields
            .into_iter()
            .map(|(name, value)| (name, Value::from(value)))
            .collect(),
        (None, Some("")) => Value::Null,
        (None, Some(text)) => text.into(),
        (None, None) => json!({ "bytes": bytes }),
    };
    Ok(Reply::json(
        200,
        &json!({ "hook": event.hook, "event_id": event.id, "received": received }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{Payload, testing};

    #[test]
    fn bodies_return_unchanged() {
        let event = testing::post_raw(" {\"b\":1.0, \"a\":[ ]}\n").build();
        let reply = echo(event).unwrap();
        let body = "{\"hook\":\"test\",\"event_id\":\"019c1234-5678-7abc-8def-0123456789ab\",\
                    \"received\":{\"b\":1.0, \"a\":[ ]}}";
        assert_eq!((reply.status, reply.body), (200, Payload::from(body)));
    }

    #[test]
    fn every_body_is_taken() {
        for (content_type, body, received) in [
            (
                "application/x-www-form-urlencoded",
                Payload::from("a=1&b=x+y"),
                json!({ "a": "1", "b": "x y" }),
            ),
            ("text/plain", Payload::from("{"), json!("{")),
            ("application/json", Payload::from(""), json!(null)),
            (
                "image/png",
                Payload::from(vec![0xff, 0]),
                json!({ "bytes": 2 }),
            ),
            (
                "text/plain",
                Payload::from("x".repeat(5 << 20)),
                json!({ "bytes": 5 << 20 }),
            ),
        ] {
            let reply = echo(
                testing::post_raw(body)
                    .header("Content-Type", content_type)
                    .build(),
            )
            .unwrap();
            let body: Value = reply.body.json().unwrap();
            assert_eq!(
                (reply.status, &body["received"]),
                (200, &received),
                "{content_type}"
            );
        }
    }
}
