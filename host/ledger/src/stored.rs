//! An event as it is kept: head, body and a checksum over every byte that a handler will see, judged before it is handed out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use landfall_model::clock::{from_ms, to_ms};
use landfall_model::{Event, EventId};

/// Everything about an event but its body.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    headers: Vec<(String, Value)>,
    attributes: Vec<(String, String)>,
}

/// Bytes that are mostly text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Binary { base64: String },
}

/// An event made ready for its table, outside of the thread that writes.
#[derive(Debug, Clone)]
pub struct Stored {
    event: Event,
    head: Vec<u8>,
    digest: [u8; 32],
}

/// What was stored is not what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

// === impl Stored ===

impl Stored {
    /// Serialises and digests.
    pub fn new(event: Event) -> Stored {
        let value = |bytes: &HeaderValue| match bytes.to_str() {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Binary {
                base64: STANDARD.encode(bytes.as_bytes()),
            },
        };
        let head = Head {
            method: event.method.to_string(),
            path: event.path.clone(),
            query: event.query.clone(),
            headers: event
                .headers
                .iter()
                .map(|(name, bytes)| (name.to_string(), value(bytes)))
                .collect(),
            attributes: event.attributes.clone(),
        };
        let head = serde_json::to_vec(&head).expect("text and lists are JSON");
        let digest = Sha256::digest(&event.body).into();
        Stored {
            event,
            head,
            digest,
        }
    }

    /// The event itself.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Everything but the body, as JSON.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Over everything.
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

    /// From what was kept of it, if that is what it was.
    pub fn from_kept(
        id: (EventId, String, i64),
        head: &[u8],
        digest: &[u8],
        expected: &[u8],
        body: Vec<u8>,
    ) -> Result<Stored, Corrupt> {
        let event = checked(id, head, digest, expected, body)?;
        Ok(Stored {
            event,
            head: head.to_vec(),
            digest: digest.try_into().map_err(|_| Corrupt)?,
        })
    }

    /// The event back.
    pub fn into_event(self) -> Event {
        self.event
    }
}

/// The event from what was kept of it.
pub(super) fn checked(
    (id, hook, received_ms): (EventId, String, i64),
    head: &[u8],
    digest: &[u8],
    expected: &[u8],
    body: Vec<u8>,
) -> Result<Event, Corrupt> {
    let digest: [u8; 32] = digest.try_into().map_err(|_| Corrupt)?;
    if <[u8; 32]>::from(Sha256::digest(&body)) != digest
        || sum(&id, &hook, received_ms, head, &digest) != expected
    {
        return Err(Corrupt);
    }
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

/// The beginning of the SHA-256 of all parts, each with its length.
pub(super) fn checksum<const BYTES: usize>(parts: &[&[u8]]) -> [u8; BYTES] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..BYTES]
        .try_into()
        .expect("a SHA-256 has 32 bytes")
}
