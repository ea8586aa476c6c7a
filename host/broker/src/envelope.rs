//! A stored event on its way through a broker: one line of JSON with everything but the body, then
//! the body. Anyone who can read the broker can read it. A checksum covers every byte that a
//! handler sees, and with `queue.key` a MAC covers the envelope.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use landfall_model::clock::{from_ms, to_ms};
use landfall_model::{DedupKey, Event, EventId, IdMatch, Stored, Timing};

use super::error::{BrokerError, DecodeError};
use super::seal::Seal;

/// The format of the line. A host does not read a newer one.
const FORMAT: u32 = 1;
/// Redelivery delay of a message that cannot be verified yet.
pub(crate) const LATER_AGAIN: Duration = Duration::from_secs(30);
/// The longest reason of a dead letter, in bytes.
const REASON_MAX: usize = 500;

/// An event on its way through a broker.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The event.
    pub stored: Stored,
    /// The identity of the delivery, if it has one.
    pub dedup: Option<DedupKey>,
    /// Events with the same key run one after another.
    pub order_key: Option<String>,
    /// The replay request that sends the event, if one does.
    pub replay: Option<Uuid>,
    /// The number of the attempt that the event is sent for, from 1.
    pub attempt: u32,
    /// The event must not run before this time.
    pub due: Option<SystemTime>,
    /// The address of the node that holds the caller's connection.
    pub reply_to: Option<String>,
}

/// The line of JSON. Its names are those of every version since the first.
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
    /// How long the check of the sender took, in microseconds. Older hosts ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verify_us: Option<i64>,
}

/// The part of the line that every format has.
#[derive(Deserialize)]
struct Format {
    landfall: u32,
}

// === impl Envelope ===

impl Envelope {
    /// The envelope of the first attempt.
    pub fn new(stored: Stored, dedup: Option<DedupKey>, order_key: Option<String>) -> Envelope {
        Envelope {
            stored,
            dedup,
            order_key,
            replay: None,
            attempt: 1,
            due: None,
            reply_to: None,
        }
    }

    /// The event.
    pub fn event(&self) -> &Event {
        self.stored.event()
    }

    /// The name of the event's hook.
    pub fn hook(&self) -> &str {
        &self.event().hook
    }

    /// The envelope of a redelivery that is due at this time.
    pub(crate) fn redelivered(&self, attempt: u32, due: SystemTime) -> Envelope {
        Envelope {
            attempt,
            due: Some(due),
            ..self.clone()
        }
    }

    /// The key under which the broker stores one message only, if the envelope is sent again. It
    /// does not contain the sender's id of the delivery: a broker would also drop the repetition of
    /// an event that is dead or was refused, and only the ledger knows that.
    pub(crate) fn key(&self) -> String {
        let key = match self.replay {
            Some(replay) => format!("replay-{replay}"),
            None => self.event().id.to_string(),
        };

        if self.attempt > 1 {
            format!("{key}-{}", self.attempt)
        } else {
            key
        }
    }

    /// The bytes of the envelope, if they are no more than `most`.
    pub(crate) fn encode_within(&self, seal: &Seal, most: usize) -> Result<Vec<u8>, BrokerError> {
        let bytes = self.encode(seal)?;
        if bytes.len() > most {
            return Err(BrokerError::TooLarge {
                bytes: bytes.len(),
                most,
            });
        }

        Ok(bytes)
    }

    /// The bytes of the envelope, with a MAC if there is a key.
    pub fn encode(&self, seal: &Seal) -> Result<Vec<u8>, BrokerError> {
        let (event, dedup) = (self.event(), self.dedup.as_ref());
        let head = std::str::from_utf8(self.stored.head()).expect("JSON is text");
        let line = Line {
            landfall: FORMAT,
            id: event.id.uuid(),
            hook: event.hook.to_string(),
            received_ms: to_ms(event.received_at),
            head: serde_json::from_str(head).expect("the head is JSON"),
            digest: hex::encode(self.stored.digest()),
            checksum: hex::encode(self.stored.checksum()),
            dedup: dedup
                .map(|dedup| (STANDARD.encode(&dedup.key), dedup.window.as_millis() as u64)),
            dedup_match: dedup.map(|dedup| dedup.id_match),
            order_key: self.order_key.clone(),
            replay: self.replay,
            number: self.attempt,
            due_ms: self.due.map(to_ms),
            answer_to: self.reply_to.clone(),
            verify_us: self.stored.timing().verify_us(),
        };
        let line = serde_json::to_vec(&line).expect("text and numbers are JSON");

        Ok(seal.envelope(line, &event.body)?)
    }

    /// Parses and verifies an envelope. `hook` is the hook that the broker's subject or attribute
    /// names, if there is one.
    pub fn decode(bytes: &[u8], seal: &Seal, hook: Option<&str>) -> Result<Envelope, DecodeError> {
        let envelope = Envelope::decode_any(bytes, seal)?;
        match hook {
            Some(hook) if hook != envelope.hook() => Err(DecodeError::Malformed(format!(
                "it is of hook {}, and was sent as one of `{hook}`",
                envelope.hook()
            ))),
            _ => Ok(envelope),
        }
    }

    fn decode_any(bytes: &[u8], seal: &Seal) -> Result<Envelope, DecodeError> {
        let end = memchr::memchr(b'\n', bytes)
            .ok_or_else(|| DecodeError::malformed("it has no line of JSON"))?;
        seal.check(bytes, end)?;

        let format = serde_json::from_slice::<Format>(&bytes[..end])
            .map_err(|_| DecodeError::malformed("its line is not one of Landfall"))?
            .landfall;
        if format > FORMAT {
            return Err(DecodeError::Later(format!(
                "an event waits for a newer host: it is of format {format}, this host knows \
                 {FORMAT}"
            )));
        }
        if format < FORMAT {
            return Err(DecodeError::malformed("there is no such format"));
        }

        Envelope::decode_known(bytes, end)
    }

    fn decode_known(bytes: &[u8], end: usize) -> Result<Envelope, DecodeError> {
        let line: Line<'_> =
            serde_json::from_slice(&bytes[..end]).map_err(DecodeError::malformed)?;
        let digest = hex::decode(&line.digest).map_err(DecodeError::malformed)?;
        let checksum = hex::decode(&line.checksum).map_err(DecodeError::malformed)?;
        let id = EventId::from_bytes(line.id.into_bytes());
        let stored = Stored::from_parts(
            (id, line.hook, line.received_ms),
            line.head.get().as_bytes(),
            &digest,
            &checksum,
            bytes[end + 1..].to_vec(),
        )
        .map_err(|_| DecodeError::malformed("its checksum is not that of what it holds"))?;
        let verify_us = line.verify_us.and_then(|us| u64::try_from(us).ok());
        let stored = stored.with_timing(Timing {
            read_at: None,
            verify: verify_us.map(Duration::from_micros),
        });

        let dedup = match line.dedup {
            Some((key, ms)) => Some(DedupKey {
                key: STANDARD.decode(key).map_err(DecodeError::malformed)?,
                id_match: line.dedup_match.unwrap_or_default(),
                window: Duration::from_millis(ms),
            }),
            None => None,
        };

        Ok(Envelope {
            stored,
            dedup,
            order_key: line.order_key,
            replay: line.replay,
            attempt: line.number.max(1),
            due: line.due_ms.map(from_ms),
            reply_to: line.answer_to,
        })
    }
}

/// The reason of a dead letter, as a header of a broker can hold it.
pub(crate) fn header_text(why: &str) -> String {
    let mut end = why.len().min(REASON_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::seal;
    use landfall_model::clock::from_ms;

    fn dedup(window: Duration) -> Option<DedupKey> {
        Some(DedupKey {
            key: b"7\x00".to_vec(),
            id_match: IdMatch::Id,
            window,
        })
    }

    fn envelope() -> Envelope {
        let mut headers = http::HeaderMap::new();
        headers.append("x", http::HeaderValue::from_bytes(b"\xff").unwrap());
        let received_at = from_ms(1_700_000_000_123);
        let event = Event {
            id: EventId::new(received_at),
            hook: "h".into(),
            received_at,
            method: http::Method::POST,
            path: "/h".into(),
            query: Some("a=b".into()),
            headers,
            body: bytes::Bytes::from_static(b"{\n}\x00\xff"),
            attributes: vec![("delivery-id".into(), "7".into())],
        };
        let dedup = dedup(Duration::from_secs(600));
        let stored = Stored::new(event).with_timing(Timing {
            read_at: None,
            verify: Some(Duration::from_micros(1_500)),
        });
        Envelope::new(stored, dedup, Some("k".into()))
    }

    #[test]
    fn changed_envelopes_are_refused() {
        let sent = Envelope {
            attempt: 3,
            due: Some(from_ms(5)),
            replay: Some(Uuid::from_u128(9)),
            ..envelope()
        };
        let none = seal(&[]);
        let bytes = sent.encode(&none).unwrap();
        let decoded = Envelope::decode(&bytes, &none, Some("h")).unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{sent:?}"));
        for at in [0, 20, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(
                Envelope::decode(&changed, &none, None).is_err(),
                "byte {at}"
            );
        }

        let newer = String::from_utf8_lossy(&bytes).replace("\"landfall\":1", "\"landfall\":2");
        assert!(matches!(
            Envelope::decode(newer.as_bytes(), &none, None),
            Err(DecodeError::Later(why)) if why.contains("format 2")
        ));
        assert!(matches!(
            Envelope::decode(b"{\"a\":1}\n", &none, None),
            Err(DecodeError::Malformed(_))
        ));
        assert!(matches!(
            Envelope::decode(&bytes, &none, Some("other")),
            Err(DecodeError::Malformed(why)) if why.contains("hook h")
        ));

        let sealed = seal(&["A"]);
        for unsealed in [&bytes[..], newer.as_bytes()] {
            assert!(matches!(
                Envelope::decode(unsealed, &sealed, None),
                Err(DecodeError::Unverified(_))
            ));
        }
        let bytes = sent.encode(&sealed).unwrap();
        for decodes in [&sealed, &none] {
            let decoded = Envelope::decode(&bytes, decodes, Some("h")).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{sent:?}"));
        }
        assert_eq!(header_text(&"ä\n".repeat(400)).len(), 500);
    }

    #[test]
    fn keys_differ_by_replay_and_attempt() {
        let first = envelope();
        assert_eq!(first.key(), first.event().id.to_string());
        let replay = Envelope {
            replay: Some(Uuid::from_u128(9)),
            ..first.clone()
        };
        assert_ne!(first.key(), replay.key());
        let later = first.redelivered(2, from_ms(5));
        assert_ne!(first.key(), later.key());
    }
}
