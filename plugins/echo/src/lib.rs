//! Answers with what came: the smallest useful handler, and the component that benchmarks run.
//!
//! The JSON is checked, but neither built up nor copied before it is written into the reply.

use landfall_sdk::{Event, Failure, Reply, handler, json};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Answer<'a> {
    hook: &'a str,
    event_id: &'a str,
    received: &'a RawValue,
}

/// The one function of this component.
#[handler(manifest = "manifest.toml")]
pub fn echo(event: Event) -> Result<Reply, Failure> {
    // Bytes that are not UTF-8 are no JSON either.
    let text = event.text().unwrap_or("\u{fffd}");
    Ok(match serde_json::from_str(text) {
        Ok(received) => Reply::json(200, &Answer { hook: &event.hook, event_id: &event.id, received }),
        Err(error) => Reply::json(400, &json!({ "error": format!("the body is not JSON: {error}") })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{Payload, testing};

    #[test]
    fn what_came_goes_back_as_it_was_written() {
        let event = testing::post_raw(" {\"b\":1.0, \"a\":[ ]}\n").build();
        let reply = echo(event).unwrap();
        let body = "{\"hook\":\"test\",\"event_id\":\"019c1234-5678-7abc-8def-0123456789ab\",\
                    \"received\":{\"b\":1.0, \"a\":[ ]}}";
        assert_eq!((reply.status, reply.body), (200, Payload::from(body)));
    }

    #[test]
    fn what_is_not_json_is_the_callers_mistake() {
        for body in [Payload::from("{"), Payload::from(""), Payload::from(vec![0xff])] {
            let reply = echo(testing::post_raw(body).build()).unwrap();
            assert_eq!(reply.status, 400);
            assert!(reply.body.as_text().unwrap().starts_with("{\"error\":\"the body is not JSON: "));
        }
    }
}
