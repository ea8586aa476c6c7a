//! An event is one verified request, unchangeable; a reply is what its handler wants the caller to get.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use uuid::{NoContext, Timestamp, Uuid};

/// The id of an event: a UUIDv7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(Uuid);

/// One verified request.
#[derive(Debug, Clone)]
pub struct Event {
    /// The same on every attempt.
    pub id: EventId,
    /// The hook's name.
    pub hook: Arc<str>,
    /// When the host had read it whole.
    pub received_at: SystemTime,
    /// Upper case.
    pub method: http::Method,
    /// As it was sent, percent-encoded.
    pub path: String,
    /// Without the question mark and without checked secrets.
    pub query: Option<String>,
    /// As they came, without those that carried a shared secret.
    pub headers: HeaderMap,
    /// The bytes that were verified.
    pub body: Bytes,
    /// Facts the host found: name and value.
    pub attributes: Vec<(String, String)>,
}

/// What the handler wants the caller to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Checked; none of those that the host writes itself.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

/// How a handler says that it did not handle the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The same event may succeed later.
    Retry {
        /// For the operator.
        reason: String,
        /// Not before this much time has passed.
        after: Option<Duration>,
    },
    /// The event can never succeed. The text is for the operator.
    Reject(String),
}

// === impl EventId ===

impl EventId {
    /// The first and the last id that begin with these hexadecimal digits; at least four.
    pub fn range(prefix: &str) -> Result<(EventId, EventId), String> {
        let digits: String = prefix.chars().filter(|c| *c != '-').collect();
        let wrong = || {
            format!(
                "`{}` is not the id of an event, nor the beginning of one",
                prefix.escape_debug()
            )
        };
        if !(4..=32).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let bound = |filler: &str| {
            let whole = digits.clone() + &filler.repeat(32 - digits.len());
            u128::from_str_radix(&whole, 16)
                .map(|number| EventId(Uuid::from_u128(number)))
                .map_err(|_| wrong())
        };
        Ok((bound("0")?, bound("f")?))
    }

    /// As databases know it.
    pub fn uuid(&self) -> Uuid {
        self.0
    }

    /// A new id that sorts by `at`; times before 1970 count as 1970.
    pub fn new(at: SystemTime) -> EventId {
        let since_epoch = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let timestamp =
            Timestamp::from_unix(NoContext, since_epoch.as_secs(), since_epoch.subsec_nanos());
        EventId(Uuid::new_v7(timestamp))
    }

    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(Uuid::from_bytes(bytes))
    }

    /// The time that it was made for, in ms since 1970.
    pub fn time_ms(&self) -> i64 {
        let (seconds, nanos) = self
            .0
            .get_timestamp()
            .map(|time| time.to_unix())
            .unwrap_or_default();
        seconds as i64 * 1000 + i64::from(nanos) / 1_000_000
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Event {
    /// One fact, such as `delivery-id`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl FromStr for EventId {
    type Err = String;

    fn from_str(text: &str) -> Result<EventId, String> {
        let wrong = |_| format!("`{}` is not the id of an event", text.escape_debug());
        text.parse().map(EventId).map_err(wrong)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let early = EventId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let late = EventId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_001));
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().len(), 36);
    }
}
