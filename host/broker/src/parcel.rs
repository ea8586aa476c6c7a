//! An event as a broker carries it: one line of JSON with everything but the body, then the body. Anybody can read it; a checksum
//! over every byte that a handler will see is judged when it is opened.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use landfall_ledger::{DedupKey, LedgerError, NewEvent, Stored};
use landfall_model::clock::{from_ms, to_ms};
use landfall_model::{EventId, IdMatch};

use super::seal::Seal;

/// An event on its way through a broker.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// What was accepted.
    pub new: NewEvent,
    /// Which wish to run it again, if it is sent because of one.
    pub replay: Option<Uuid>,
    /// Of the attempt that it is sent for, from 1.
    pub number: u32,
    /// How often it has been brought, where the broker tells; it does not travel with it.
    pub brought: u32,
    /// Not to be run before.
    pub due: Option<SystemTime>,
    /// Where the node listens that has a caller waiting for the reply.
    pub answer_to: Option<String>,
    /// The broker must not take it for an earlier one: it is sent again because that one is dead. It does not travel with it.
    pub is_new_name: bool,
}

/// The line.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    landfall: u32,
    id: Uuid,
    hook: String,
    received_ms: i64,
    #[serde(borrow)]
    head: &'a RawValue,
    digest: String,
    checksum: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dedup: Option<(String, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dedup_match: Option<IdMatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replay: Option<Uuid>,
    number: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer_to: Option<String>,
}

/// What every line says, whatever its format.
#[derive(Deserialize)]
struct Format {
    landfall: u32,
}

/// Why what was sent cannot be opened here.
#[derive(Debug, PartialEq, Eq)]
pub enum Unopened {
    /// Cannot be verified yet: a newer version wrote it, or a key has no value at present.
    Later(String),
    /// The MAC is missing or wrong.
    Unverified(String),
    /// Not an envelope of Landfall, or damaged.
    Wrong(String),
}

impl Unopened {
    /// A reason for metrics, and a sentence for the log.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Unopened::Later(why) => ("waits", why),
            Unopened::Unverified(why) => ("unverified", why),
            Unopened::Wrong(why) => ("unreadable", why),
        }
    }
}

impl From<&str> for Unopened {
    fn from(why: &str) -> Unopened {
        Unopened::Wrong(why.into())
    }
}

/// Redelivery delay of a message that cannot be verified yet.
pub const LATER_AGAIN: Duration = Duration::from_secs(30);
const REASON_MAX: usize = 500;

/// Why an event is dead, as a header of a broker can hold it.
pub fn reason(why: &str) -> String {
    let mut end = why.len().min(REASON_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].replace(|c: char| c.is_control(), " ")
}

/// Of the line; a newer host says another one.
const FORMAT: u32 = 1;

// === impl Parcel ===

impl Parcel {
    /// For the first attempt.
    pub fn new(new: NewEvent) -> Parcel {
        Parcel {
            new,
            replay: None,
            number: 1,
            brought: 1,
            due: None,
            answer_to: None,
            is_new_name: false,
        }
    }

    /// The hook that it is for.
    pub fn hook(&self) -> &str {
        &self.new.stored.event().hook
    }

    /// For a broker that drops what it has seen within this time: the same for the same event of the same sender, and for nothing else.
    pub fn key(&self, known_for: Duration) -> String {
        let key = match (self.replay, &self.new.dedup) {
            (Some(replay), _) => format!("replay-{replay}"),
            (None, Some(dedup)) if dedup.window >= known_for && !self.is_new_name => {
                let mut hash = Sha256::new();
                for part in [self.hook().as_bytes(), &dedup.key, self.new.stored.digest()] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
                hex::encode(&hash.finalize()[..16])
            }
            _ => self.new.stored.event().id.to_string(),
        };
        if self.number > 1 {
            format!("{key}-{}", self.number)
        } else {
            key
        }
    }

    /// Ready to be sent.
    pub fn bytes(&self, seal: &Seal) -> Result<Vec<u8>, LedgerError> {
        let stored = &self.new.stored;
        let event = stored.event();
        let dedup = self.new.dedup.as_ref();
        let head = std::str::from_utf8(stored.head()).expect("JSON is text");
        let line = Line {
            landfall: FORMAT,
            id: event.id.uuid(),
            hook: event.hook.to_string(),
            received_ms: to_ms(event.received_at),
            head: serde_json::from_str(head).expect("the head is JSON"),
            digest: hex::encode(stored.digest()),
            checksum: hex::encode(stored.checksum()),
            dedup: dedup
                .map(|dedup| (STANDARD.encode(&dedup.key), dedup.window.as_millis() as u64)),
            dedup_match: dedup.map(|dedup| dedup.id_match),
            order_key: self.new.order_key.clone(),
            replay: self.replay,
            number: self.number,
            due_ms: self.due.map(to_ms),
            answer_to: self.answer_to.clone(),
        };
        seal.envelope(
            serde_json::to_vec(&line).expect("text and numbers are JSON"),
            &event.body,
        )
    }

    /// Parses and verifies an envelope. `hook` is the hook that the broker's subject or attribute names, if there is one.
    pub fn open(bytes: &[u8], seal: &Seal, hook: Option<&str>) -> Result<Parcel, Unopened> {
        let parcel = Parcel::open_any(bytes, seal)?;
        match hook {
            Some(hook) if hook != parcel.hook() => Err(Unopened::Wrong(format!(
                "it is of hook {}, and was sent as one of `{hook}`",
                parcel.hook()
            ))),
            _ => Ok(parcel),
        }
    }

    fn open_any(bytes: &[u8], seal: &Seal) -> Result<Parcel, Unopened> {
        let end = memchr::memchr(b'\n', bytes).ok_or("it has no line of JSON")?;
        seal.check(bytes, end)?;
        let format = serde_json::from_slice::<Format>(&bytes[..end])
            .map_err(|_| "it is none of ours")?
            .landfall;
        if format > FORMAT {
            let why = format!(
                "an event waits for a newer host: it is of format {format}, this host knows {FORMAT}"
            );
            return Err(Unopened::Later(why));
        }
        if format < FORMAT {
            return Err("it is of a format that never was".into());
        }
        Parcel::open_known(bytes, end).map_err(Unopened::Wrong)
    }

    fn open_known(bytes: &[u8], end: usize) -> Result<Parcel, String> {
        let line: Line<'_> =
            serde_json::from_slice(&bytes[..end]).map_err(|error| error.to_string())?;
        let digest = hex::decode(&line.digest).map_err(|error| error.to_string())?;
        let checksum = hex::decode(&line.checksum).map_err(|error| error.to_string())?;
        let id = (
            EventId::from_bytes(line.id.into_bytes()),
            line.hook,
            line.received_ms,
        );
        let stored = Stored::from_parts(
            id,
            line.head.get().as_bytes(),
            &digest,
            &checksum,
            bytes[end + 1..].to_vec(),
        )
        .map_err(|_| "its checksum is not that of what it holds")?;
        let dedup = line.dedup.map(|(key, ms)| {
            let window = Duration::from_millis(ms);
            let id_match = line.dedup_match.unwrap_or_default();
            STANDARD
                .decode(key)
                .map(|key| DedupKey {
                    key,
                    id_match,
                    window,
                })
                .map_err(|error| error.to_string())
        });
        let new = NewEvent {
            stored,
            dedup: dedup.transpose()?,
            order_key: line.order_key,
            delay: Duration::ZERO,
            run_now: true,
            dead: None,
        };
        let due = line.due_ms.map(from_ms);
        Ok(Parcel {
            new,
            replay: line.replay,
            number: line.number.max(1),
            brought: 1,
            due,
            answer_to: line.answer_to,
            is_new_name: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::seal;
    use landfall_model::{Clock, Event};

    const KNOWN: Duration = Duration::from_secs(120);

    fn parcel() -> Parcel {
        let mut headers = http::HeaderMap::new();
        headers.append("x", http::HeaderValue::from_bytes(b"\xff").unwrap());
        let event = Event {
            id: EventId::new(Clock::System.now()),
            hook: "h".into(),
            received_at: from_ms(1_700_000_000_123),
            method: http::Method::POST,
            path: "/h".into(),
            query: Some("a=b".into()),
            headers,
            body: bytes::Bytes::from_static(b"{\n}\x00\xff"),
            attributes: vec![("delivery-id".into(), "7".into())],
        };
        let dedup = Some(DedupKey {
            key: b"7\x00".to_vec(),
            id_match: IdMatch::Id,
            window: Duration::from_secs(600),
        });
        let (stored, order_key) = (Stored::new(event), Some("k".into()));
        Parcel::new(NewEvent {
            stored,
            dedup,
            order_key,
            delay: Duration::ZERO,
            run_now: true,
            dead: None,
        })
    }

    #[test]
    fn what_is_sent_comes_out_and_what_was_changed_does_not() {
        let sent = Parcel {
            number: 3,
            due: Some(from_ms(5)),
            replay: Some(Uuid::from_u128(9)),
            ..parcel()
        };
        let none = seal(&[]);
        let bytes = sent.bytes(&none).unwrap();
        let opened = Parcel::open(&bytes, &none, Some("h")).unwrap();
        assert_eq!(format!("{opened:?}"), format!("{sent:?}"));
        for at in [0, 20, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Parcel::open(&changed, &none, None).is_err(), "byte {at}");
        }
        let newer = String::from_utf8_lossy(&bytes).replace("\"landfall\":1", "\"landfall\":2");
        assert!(
            matches!(Parcel::open(newer.as_bytes(), &none, None), Err(Unopened::Later(why)) if why.contains("format 2"))
        );
        assert!(matches!(
            Parcel::open(b"{\"a\":1}\n", &none, None),
            Err(Unopened::Wrong(_))
        ));
        assert!(
            matches!(Parcel::open(&bytes, &none, Some("other")), Err(Unopened::Wrong(why)) if why.contains("hook h"))
        );
        let sealed = seal(&["A"]);
        assert!(matches!(
            Parcel::open(&bytes, &sealed, None),
            Err(Unopened::Unverified(_))
        ));
        assert!(matches!(
            Parcel::open(newer.as_bytes(), &sealed, None),
            Err(Unopened::Unverified(_))
        ));
        let bytes = sent.bytes(&sealed).unwrap();
        for opens in [&sealed, &none] {
            assert_eq!(
                format!("{:?}", Parcel::open(&bytes, opens, Some("h")).unwrap()),
                format!("{sent:?}")
            );
        }
        assert_eq!(reason(&"ä\n".repeat(400)).len(), 500);
    }

    #[test]
    fn a_broker_knows_the_same_event_again_and_no_other() {
        let (one, other) = (parcel(), parcel());
        assert_eq!(
            one.key(KNOWN),
            other.key(KNOWN),
            "the sender says that it is the same"
        );
        let wish = Parcel {
            replay: Some(Uuid::from_u128(9)),
            ..parcel()
        };
        assert_ne!(one.key(KNOWN), wish.key(KNOWN));
        let again = Parcel {
            is_new_name: true,
            ..parcel()
        };
        assert_ne!(one.key(KNOWN), again.key(KNOWN), "the earlier one is dead");
        let mut short = parcel();
        short.new.dedup = Some(DedupKey {
            key: b"7\x00".to_vec(),
            id_match: IdMatch::Id,
            window: Duration::from_secs(1),
        });
        assert_eq!(
            short.key(KNOWN),
            short.new.stored.event().id.to_string(),
            "a short window is the ledger's to keep"
        );
    }
}
