//! An event: one verified request, which never changes. A reply: the response that its handler
//! wants the caller to receive.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::clock;
use super::random::random_bytes;

/// The attribute of a sealed event: everything but id, hook, time and body, encrypted. The ledger
/// makes and opens such events.
pub const SEALED_ATTRIBUTE: &str = "sealed";

/// The id of an event: a UUIDv7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(Uuid);

/// One verified request.
#[derive(Debug, Clone)]
pub struct Event {
    /// The same in every attempt.
    pub id: EventId,
    /// The hook's name.
    pub hook: Arc<str>,
    /// When the host had read the whole request.
    pub received_at: SystemTime,
    /// Upper case.
    pub method: http::Method,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// Without the question mark and without checked secrets.
    pub query: Option<String>,
    /// The headers as received, without those that contained a shared secret.
    pub headers: HeaderMap,
    /// The bytes that were verified.
    pub body: Bytes,
    /// Facts that the host determined, as name and value.
    pub attributes: Vec<(String, String)>,
}

/// The response that the handler wants the caller to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Valid headers, without those that the host writes.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A text that is not an event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventIdError {
    /// It is not a UUID.
    #[error("`{}` is not the id of an event", .0.escape_debug())]
    NoId(String),
    /// It is not the beginning of a UUID.
    #[error("`{}` is not the id of an event, nor the beginning of one", .0.escape_debug())]
    NoBeginning(String),
}

/// The attribute of an event that is stored with the proof of its sender: where the proof is, as
/// JSON. It is for the host alone: neither components nor readers see it.
pub const PROOF_ATTRIBUTE: &str = "proof";

const ID_DIGITS: usize = 32;
/// The fewest digits that are accepted as the beginning of an id.
const BEGINNING_MIN: usize = 4;

// === impl EventId ===

impl EventId {
    /// The first and the last id that begin with these hexadecimal digits, at least four.
    pub fn range(beginning: &str) -> Result<(EventId, EventId), EventIdError> {
        let digits: String = beginning.chars().filter(|c| *c != '-').collect();
        let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
        if !is_hex || !(BEGINNING_MIN..=ID_DIGITS).contains(&digits.len()) {
            return Err(EventIdError::NoBeginning(beginning.to_owned()));
        }

        let missing = ID_DIGITS - digits.len();
        let first = u128::from_str_radix(&(digits.clone() + &"0".repeat(missing)), 16);
        let last = u128::from_str_radix(&(digits + &"f".repeat(missing)), 16);
        match (first, last) {
            (Ok(first), Ok(last)) => Ok((
                EventId(Uuid::from_u128(first)),
                EventId(Uuid::from_u128(last)),
            )),
            _ => Err(EventIdError::NoBeginning(beginning.to_owned())),
        }
    }

    /// The id as a UUID.
    pub fn uuid(&self) -> Uuid {
        self.0
    }

    /// A new id that sorts by `at`; times before 1970 count as 1970.
    pub fn new(at: SystemTime) -> EventId {
        let ms = clock::to_ms(at) as u64;
        EventId(uuid::Builder::from_unix_timestamp_millis(ms, &random_bytes()).into_uuid())
    }

    /// The id with this number in a run whose time and random numbers are given.
    pub fn numbered(at: SystemTime, seed: u64, number: u64) -> EventId {
        let ms = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as u64;
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&(number as u16).to_be_bytes());
        rest[2..].copy_from_slice(&seed.to_be_bytes());
        EventId(uuid::Builder::from_unix_timestamp_millis(ms, &rest).into_uuid())
    }

    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(Uuid::from_bytes(bytes))
    }

    /// The id of the batch that begins with this event: always the same one, with the time of this
    /// event.
    pub fn of_batch(&self) -> EventId {
        let mut bytes = *self.0.as_bytes();
        let digest = Sha256::new()
            .chain_update(b"landfall batch\0")
            .chain_update(bytes)
            .finalize();
        bytes[8..].copy_from_slice(&digest[..8]);
        // The variant of a UUID.
        bytes[8] = bytes[8] & 0x3f | 0x80;
        EventId(Uuid::from_bytes(bytes))
    }

    /// The time in the id, in milliseconds since 1970.
    pub fn time_ms(&self) -> i64 {
        let (seconds, nanos) = self
            .0
            .get_timestamp()
            .map(|time| time.to_unix())
            .unwrap_or_default();
        seconds as i64 * 1000 + i64::from(nanos) / 1_000_000
    }

    /// The 16 bytes of the UUID.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

// === impl Event ===

impl Event {
    /// The value of an attribute, such as `delivery-id`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether this is an encrypted event: only id, hook and time are those of the event in it.
    pub fn is_sealed(&self) -> bool {
        self.attribute(SEALED_ATTRIBUTE).is_some()
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<EventId, EventIdError> {
        text.parse()
            .map(EventId)
            .map_err(|_| EventIdError::NoId(text.to_owned()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbered_ids_can_be_repeated() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let id = EventId::numbered(at, 7, 1);
        assert_eq!(id, EventId::numbered(at, 7, 1));
        assert_eq!(id.time_ms(), 1_700_000_000_000);
        for other in [(at, 8, 1), (at, 7, 2), (SystemTime::UNIX_EPOCH, 7, 1)] {
            assert_ne!(id, EventId::numbered(other.0, other.1, other.2));
        }
    }

    #[test]
    fn batches_have_their_own_id() {
        let first = EventId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let batch = first.of_batch();
        assert_eq!(batch, first.of_batch());
        assert_ne!(batch, first);
        assert_eq!(batch.time_ms(), first.time_ms());
        assert_eq!(batch.uuid().get_version_num(), 7);
    }

    #[test]
    fn ids_sort_by_time() {
        let early = EventId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let late = EventId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_001));
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().len(), 36);
    }
}
