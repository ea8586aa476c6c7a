//! The stored form of an event: its head as JSON, its body, and a checksum over every byte that a
//! handler sees. The ledger and the envelopes of a broker use it; the checksum is verified before
//! the event is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::clock::{from_ms, to_ms};
use super::event::{Event, EventId};
use super::timing::Timing;

/// Space for a usual head, so that its buffer grows once at most.
const HEAD_BYTES: usize = 1024;

/// An event without its body, as it is read.
#[derive(Debug, Deserialize)]
struct Head {
    method: String,
    path: String,
    #[serde(default)]
    query: Option<String>,
    headers: Vec<(String, Value)>,
    attributes: Vec<(String, String)>,
}

/// Bytes that are mostly text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Binary { base64: String },
}

/// A `Head` as it is written, without a copy of the event.
#[derive(Serialize)]
struct HeadOf<'a> {
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    headers: HeadersOf<'a>,
    attributes: &'a [(String, String)],
}

/// Pairs of name and value, in the order of the map.
struct HeadersOf<'a>(&'a HeaderMap);

/// A `Value` as it is written.
#[derive(Serialize)]
#[serde(untagged)]
enum ValueOf<'a> {
    Text(&'a str),
    Binary { base64: String },
}

/// An event with its serialised head and the digest of its body.
#[derive(Debug, Clone)]
pub struct Stored {
    event: Event,
    head: Vec<u8>,
    digest: [u8; 32],
    timing: Timing,
    caused_by: Option<EventId>,
}

/// The attribute of an emitted event that names the event whose handler emitted it.
const CAUSED_BY: &str = "caused-by";

/// The stored bytes are damaged: digest or checksum do not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

// === impl Stored ===

impl Stored {
    /// Serialises the head and computes the digest of the body.
    pub fn new(event: Event) -> Stored {
        let head = head_of(&event);
        let digest = Sha256::digest(&event.body).into();
        Stored {
            caused_by: cause(&event),
            event,
            head,
            digest,
            timing: Timing::default(),
        }
    }

    /// The same with an encrypted event in place of this one. `digest`: what duplicates are compared
    /// by, in place of the digest of the body.
    pub fn sealed(&self, event: Event, digest: [u8; 32]) -> Stored {
        Stored {
            digest,
            timing: self.timing,
            caused_by: self.caused_by,
            ..Stored::new(event)
        }
    }

    /// Whether the event is encrypted.
    pub fn is_sealed(&self) -> bool {
        self.event.is_sealed()
    }

    /// The event whose handler emitted this one.
    pub fn caused_by(&self) -> Option<&EventId> {
        self.caused_by.as_ref()
    }

    /// The same, with what is known of its way to the ledger. No checksum covers it.
    pub fn with_timing(self, timing: Timing) -> Stored {
        Stored { timing, ..self }
    }

    /// What is known of the event's way to the ledger.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The event in its original form.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event without its body, as JSON.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The checksum over id, hook, time, head and body.
    pub fn checksum(&self) -> [u8; 16] {
        let Event {
            id,
            hook,
            received_at,
            ..
        } = &self.event;
        sum(id, hook, to_ms(*received_at), &self.head, &self.digest)
    }

    /// SHA-256 of the body.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Rebuilds a stored event from its parts and verifies digest and checksum. `id`: event id,
    /// hook, time of receipt in ms.
    pub fn from_parts(
        id: (EventId, String, i64),
        head: &[u8],
        digest: &[u8],
        expected: &[u8],
        body: Vec<u8>,
    ) -> Result<Stored, Corrupt> {
        let event = checked(id, head, digest, expected, body)?;
        Ok(Stored {
            caused_by: cause(&event),
            event,
            head: head.to_vec(),
            digest: digest.try_into().map_err(|_| Corrupt)?,
            timing: Timing::default(),
        })
    }

    /// The event, without its stored form.
    pub fn into_event(self) -> Event {
        self.event
    }
}

/// The event without its body, as JSON.
fn head_of(event: &Event) -> Vec<u8> {
    let head = HeadOf {
        method: event.method.as_str(),
        path: &event.path,
        query: event.query.as_deref(),
        headers: HeadersOf(&event.headers),
        attributes: &event.attributes,
    };
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    serde_json::to_writer(&mut bytes, &head).expect("text and lists are JSON");
    bytes
}

// === impl HeadersOf ===

impl Serialize for HeadersOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter();
        serializer.collect_seq(pairs.map(|(name, value)| (name.as_str(), ValueOf::of(value))))
    }
}

// === impl ValueOf ===

impl<'a> ValueOf<'a> {
    fn of(value: &'a HeaderValue) -> ValueOf<'a> {
        match value.to_str() {
            Ok(text) => ValueOf::Text(text),
            Err(_) => ValueOf::Binary {
                base64: STANDARD.encode(value.as_bytes()),
            },
        }
    }
}

fn cause(event: &Event) -> Option<EventId> {
    event.attribute(CAUSED_BY)?.parse().ok()
}

/// The event of these stored parts, if digest and checksum match.
pub fn checked(
    (id, hook, received_ms): (EventId, String, i64),
    head: &[u8],
    digest: &[u8],
    expected: &[u8],
    body: Vec<u8>,
) -> Result<Event, Corrupt> {
    let digest: [u8; 32] = digest.try_into().map_err(|_| Corrupt)?;
    if sum(&id, &hook, received_ms, head, &digest) != expected {
        return Err(Corrupt);
    }

    let event = with_head((id, hook, received_ms), head, body)?;
    // The digest of an encrypted event is another one: its tag covers the body.
    if event.is_sealed() || <[u8; 32]>::from(Sha256::digest(&event.body)) == digest {
        Ok(event)
    } else {
        Err(Corrupt)
    }
}

/// The event of a head as `Stored::head` returns it.
pub fn with_head(
    (id, hook, received_ms): (EventId, String, i64),
    head: &[u8],
    body: Vec<u8>,
) -> Result<Event, Corrupt> {
    let head: Head = serde_json::from_slice(head).map_err(|_| Corrupt)?;
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in head.headers {
        let bytes = match value {
            Value::Text(text) => text.into_bytes(),
            Value::Binary { base64 } => STANDARD.decode(base64).map_err(|_| Corrupt)?,
        };
        let name: HeaderName = name.parse().map_err(|_| Corrupt)?;
        headers.append(name, HeaderValue::from_bytes(&bytes).map_err(|_| Corrupt)?);
    }
    Ok(Event {
        id,
        hook: hook.into(),
        received_at: from_ms(received_ms),
        method: head.method.parse().map_err(|_| Corrupt)?,
        path: head.path,
        query: head.query,
        headers,
        body: Bytes::from(body),
        attributes: head.attributes,
    })
}

fn sum(id: &EventId, hook: &str, received_ms: i64, head: &[u8], digest: &[u8; 32]) -> [u8; 16] {
    checksum(&[
        id.as_bytes(),
        hook.as_bytes(),
        &received_ms.to_le_bytes(),
        head,
        digest,
    ])
}

/// The first bytes of the SHA-256 of all parts, each preceded by its length.
pub fn checksum<const BYTES: usize>(parts: &[&[u8]]) -> [u8; BYTES] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..BYTES]
        .try_into()
        .expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn heads_are_read_as_written() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("one \"two\""));
        headers.append("x-a", HeaderValue::from_static("three"));
        headers.append("x-b", HeaderValue::from_bytes(b"\xff").unwrap());
        let event = Event {
            id: EventId::from_bytes([7; 16]),
            hook: "h".into(),
            received_at: UNIX_EPOCH,
            method: http::Method::POST,
            path: "/h".into(),
            query: None,
            headers,
            body: Bytes::from_static(b"{}"),
            attributes: vec![("caused-by".into(), "nobody".into())],
        };
        let stored = Stored::new(event);
        let head = std::str::from_utf8(stored.head()).unwrap();
        let expected = r#"{"method":"POST","path":"/h","headers":[["x-a","one \"two\""],["x-a","three"],["x-b",{"base64":"/w=="}]],"#;
        let attributes = r#""attributes":[["caused-by","nobody"]]}"#;
        assert_eq!(head, format!("{expected}{attributes}"));

        let id = (stored.event().id, "h".to_owned(), 0);
        let read = with_head(id, stored.head(), b"{}".to_vec()).unwrap();
        assert_eq!(read.headers, stored.event().headers);
        assert_eq!(read.attributes, stored.event().attributes);
    }
}
