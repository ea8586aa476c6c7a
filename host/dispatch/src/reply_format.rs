//! The encoding of a handler's reply, which duplicates get again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use landfall_model::{EventId, Reply};

/// The reply to an event as JSON.
pub(crate) fn encode(event: EventId, reply: &Reply) -> Vec<u8> {
    let mut encoded = to_json(reply);
    encoded["event"] = event.to_string().into();
    encoded.to_string().into()
}

/// Status, headers and body, the last two in Base64 where they may be no text.
pub(crate) fn to_json(reply: &Reply) -> Value {
    let headers = reply.headers.iter();
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!([name.as_str(), STANDARD.encode(value)]))
        .collect();
    let body = STANDARD.encode(&reply.body);
    json!({ "status": reply.status, "headers": headers, "body": body })
}

/// The event and its reply; `None` if the bytes are not an encoded reply.
pub(crate) fn decode(bytes: &[u8]) -> Option<(EventId, Reply)> {
    let encoded: Value = serde_json::from_slice(bytes).ok()?;
    let event = encoded["event"].as_str()?.parse().ok()?;
    Some((event, from_json(&encoded)?))
}

/// The reply that `to_json` has encoded.
pub(crate) fn from_json(answer: &Value) -> Option<Reply> {
    let mut headers = HeaderMap::new();
    for header in answer["headers"].as_array()? {
        let value = STANDARD.decode(header[1].as_str()?).ok()?;
        headers.append(
            header[0].as_str()?.parse::<HeaderName>().ok()?,
            HeaderValue::from_bytes(&value).ok()?,
        );
    }
    let status = u16::try_from(answer["status"].as_u64()?)
        .ok()
        .filter(|status| (200..600).contains(status))?;
    let body = STANDARD.decode(answer["body"].as_str()?).ok()?.into();
    Some(Reply {
        status,
        headers,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_encoding() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_bytes(b"\xfe").unwrap());
        let reply = Reply {
            status: 201,
            headers,
            body: bytes::Bytes::from_static(b"\x00hi"),
        };
        let id = EventId::from_bytes([7; 16]);
        assert_eq!(decode(&encode(id, &reply)), Some((id, reply)));
        assert_eq!(decode(b"{\"event\":\"x\"}"), None);
    }
}
