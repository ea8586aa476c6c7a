//! The encoding of a handler's reply, for the node that holds the caller's connection and for duplicates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use landfall_model::{EventId, Reply};

/// The reply to an event as JSON.
pub(crate) fn encode(event: EventId, reply: &Reply) -> Vec<u8> {
    let headers = reply.headers.iter();
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!([name.as_str(), STANDARD.encode(value)]))
        .collect();
    let body = STANDARD.encode(&reply.body);
    json!({ "event": event.to_string(), "status": reply.status, "headers": headers, "body": body })
        .to_string()
        .into()
}

/// The event and its reply; `None` if the bytes are not an encoded reply.
pub(crate) fn decode(bytes: &[u8]) -> Option<(EventId, Reply)> {
    let answer: Value = serde_json::from_slice(bytes).ok()?;
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
    Some((
        answer["event"].as_str()?.parse().ok()?,
        Reply {
            status,
            headers,
            body,
        },
    ))
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
