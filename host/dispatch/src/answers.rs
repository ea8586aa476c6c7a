//! A handler's reply as nodes tell it to each other: the node that ran the event is not the one whose caller waits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use landfall_model::{EventId, Reply};

/// As JSON.
pub fn write(event: EventId, reply: &Reply) -> Vec<u8> {
    let header =
        |(name, value): (&HeaderName, &HeaderValue)| json!([name.as_str(), STANDARD.encode(value)]);
    let headers: Vec<Value> = reply.headers.iter().map(header).collect();
    let body = STANDARD.encode(&reply.body);
    json!({ "event": event.to_string(), "status": reply.status, "headers": headers, "body": body })
        .to_string()
        .into()
}

/// Back; none where it is none.
pub fn read(bytes: &[u8]) -> Option<(EventId, Reply)> {
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
    fn a_reply_comes_out_as_it_went_in() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_bytes(b"\xfe").unwrap());
        let reply = Reply {
            status: 201,
            headers,
            body: bytes::Bytes::from_static(b"\x00hi"),
        };
        let id = EventId::from_bytes([7; 16]);
        assert_eq!(read(&write(id, &reply)), Some((id, reply)));
        assert_eq!(read(b"{\"event\":\"x\"}"), None);
    }
}
