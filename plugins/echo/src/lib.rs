//! Answers with what came: the smallest useful handler, and the component that benchmarks run.
//!
//! The JSON is checked, but neither built up nor copied before it is written into the reply.

use landfall_sdk::{Event, Failure, Reply, handler};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Answer<'a, T> {
    hook: &'a str,
    event_id: &'a str,
    received: T,
}

/// The one function of this component.
#[handler(manifest = "manifest.toml")]
pub fn echo(event: Event) -> Result<Reply, Failure> {
    let (hook, event_id) = (&*event.hook, &*event.id);
    Ok(match event.text().map(|text| (text, serde_json::from_str::<&RawValue>(text))) {
        Some((_, Ok(received))) => Reply::json(200, &Answer { hook, event_id, received }),
        // A form, XML, or no body.
        Some((received, Err(_))) => Reply::json(200, &Answer { hook, event_id, received }),
        None => Reply::json(200, &Answer { hook, event_id, received: () }),
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
    fn other_bodies_are_accepted_too() {
        let received = |body: Payload| {
            let reply = echo(testing::post_raw(body).build()).unwrap();
            assert_eq!(reply.status, 200);
            let answer: serde_json::Value = serde_json::from_str(reply.body.as_text().unwrap()).unwrap();
            answer["received"].clone()
        };
        assert_eq!(received(Payload::from("MessageSid=SM1&Body=hello")), "MessageSid=SM1&Body=hello");
        assert_eq!(received(Payload::from("")), "");
        assert_eq!(received(Payload::from(vec![0xff])), serde_json::Value::Null);
    }
}
