//! Events in and out of their tables. Every byte that a handler will see is under a checksum, judged before it is handed out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::clock::{from_ms, to_ms};
use crate::model::{Event, EventId, LedgerTime};

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

/// A duplicate is known by this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupKey {
    /// The provider's id, or the digest of the body.
    pub key: Vec<u8>,
    /// How long it counts.
    pub window: Duration,
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
            Err(_) => Value::Binary { base64: STANDARD.encode(bytes.as_bytes()) },
        };
        let head = Head {
            method: event.method.to_string(),
            path: event.path.clone(),
            query: event.query.clone(),
            headers: event.headers.iter().map(|(name, bytes)| (name.to_string(), value(bytes))).collect(),
            attributes: event.attributes.clone(),
        };
        let head = serde_json::to_vec(&head).expect("text and lists are JSON");
        let digest = Sha256::digest(&event.body).into();
        Stored { event, head, digest }
    }

    /// The event itself.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// SHA-256 of the body.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The event back.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// Its place in the order of arrival.
    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<i64> {
        let Event { id, hook, received_at, body, .. } = &self.event;
        let received_ms = to_ms(*received_at);
        let checksum = sum(id, hook, received_ms, &self.head, &self.digest);
        let mut insert = connection.prepare_cached(
            "INSERT INTO events (id, hook, received_ms, head, body_bytes, body_digest, checksum)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?;
        let bytes = body.len() as i64;
        insert.execute(params![id.as_bytes(), &**hook, received_ms, self.head, bytes, self.digest, checksum])?;
        let seq = connection.last_insert_rowid();
        let mut insert = connection.prepare_cached("INSERT INTO payloads (event, body) VALUES (?, ?)")?;
        insert.execute(params![seq, &body[..]])?;
        Ok(seq)
    }
}

/// The event that was accepted under this key and whether its body was the same; none = it is new, and now known.
pub(super) fn find_duplicate(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    digest: &[u8; 32],
    now: LedgerTime,
) -> rusqlite::Result<Option<(EventId, bool)>> {
    let mut find = connection.prepare_cached(
        "SELECT e.id, e.body_digest FROM dedup d JOIN events e ON e.seq = d.event
         WHERE d.hook = ? AND d.key = ? AND d.until > ?",
    )?;
    let row = |row: &rusqlite::Row<'_>| Ok((EventId::from_bytes(row.get(0)?), row.get::<_, [u8; 32]>(1)? == *digest));
    find.query_row(params![hook, dedup.key, now.0], row).optional()
}

/// Remembers a key.
pub(super) fn remember(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    seq: i64,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO dedup (hook, key, event, until) VALUES (?, ?, ?, ?)")?;
    insert.execute(params![hook, dedup.key, seq, now.plus(dedup.window).0]).map(drop)
}

/// The columns that `read` wants, of tables `e` and `p`.
pub(super) const COLUMNS: &str = "e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body";

/// An event from the columns of `COLUMNS`, which begin at `at`; none where its body has been pruned.
pub(super) fn read(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<Result<Event, Corrupt>>> {
    let body = row.get_ref(at + 6)?;
    if body == ValueRef::Null {
        return Ok(None);
    }
    // A value of another type than the one that was written is damage too.
    let event = || {
        let (id, hook, received_ms): ([u8; 16], String, i64) = (row.get(at)?, row.get(at + 1)?, row.get(at + 2)?);
        let (head, digest, expected): (Vec<u8>, Vec<u8>, Vec<u8>) =
            (row.get(at + 3)?, row.get(at + 4)?, row.get(at + 5)?);
        let stored = (EventId::from_bytes(id), hook, received_ms);
        Ok::<_, rusqlite::Error>(checked(stored, &head, &digest, &expected, body.as_blob()?.to_vec()))
    };
    Ok(Some(event().unwrap_or(Err(Corrupt))))
}

fn checked(
    (id, hook, received_ms): (EventId, String, i64),
    head: &[u8],
    digest: &[u8],
    expected: &[u8],
    body: Vec<u8>,
) -> Result<Event, Corrupt> {
    let digest: [u8; 32] = digest.try_into().map_err(|_| Corrupt)?;
    if <[u8; 32]>::from(Sha256::digest(&body)) != digest || sum(&id, &hook, received_ms, head, &digest) != expected {
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
    checksum(&[id.as_bytes(), hook.as_bytes(), &received_ms.to_le_bytes(), head, digest])
}

/// The beginning of the SHA-256 of all parts, each with its length.
pub(super) fn checksum<const BYTES: usize>(parts: &[&[u8]]) -> [u8; BYTES] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..BYTES].try_into().expect("a SHA-256 has 32 bytes")
}
