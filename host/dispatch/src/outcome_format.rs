//! The encoding of an outcome for the node that holds the caller's connection: JSON, with the reply
//! as in `reply_format`.

use serde_json::{Value, json};

use super::reply_format;
use landfall_model::{EventId, Outcome};

/// An outcome that ends what the caller waits for; `None` for others, after which the caller is
/// told that its event was accepted.
pub(crate) fn encode(event: EventId, outcome: &Outcome) -> Option<Vec<u8>> {
    let (is_rejected, reply) = match outcome {
        Outcome::Done(reply) => (false, reply),
        Outcome::Reject { reply, .. } => (true, reply),
        _ => return None,
    };
    let reply = reply.as_ref().map(reply_format::to_json);
    let encoded = json!({ "event": event.to_string(), "rejected": is_rejected, "reply": reply });
    Some(encoded.to_string().into())
}

/// The event and its outcome; `None` if the bytes are not an encoded outcome. The reason of a
/// rejection is not sent.
pub(crate) fn decode(bytes: &[u8]) -> Option<(EventId, Outcome)> {
    let encoded: Value = serde_json::from_slice(bytes).ok()?;
    let event = encoded["event"].as_str()?.parse().ok()?;
    let reply = match &encoded["reply"] {
        Value::Null => None,
        reply => Some(reply_format::from_json(reply)?),
    };
    let outcome = if encoded["rejected"].as_bool()? {
        Outcome::Reject {
            reason: String::new(),
            reply,
        }
    } else {
        Outcome::Done(reply)
    };
    Some((event, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::Reply;

    #[test]
    fn outcomes_survive_encoding() {
        let id = EventId::from_bytes([7; 16]);
        let reply = Reply {
            status: 409,
            headers: Default::default(),
            body: "twice".into(),
        };
        for outcome in [
            Outcome::Done(None),
            Outcome::Done(Some(reply.clone())),
            Outcome::reject(""),
            Outcome::Reject {
                reason: String::new(),
                reply: Some(reply),
            },
        ] {
            let encoded = encode(id, &outcome).unwrap();
            assert_eq!(decode(&encoded), Some((id, outcome)));
        }
        assert_eq!(encode(id, &Outcome::Timeout), None);
        assert_eq!(decode(b"{\"event\":\"x\"}"), None);
    }
}
