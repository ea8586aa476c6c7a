//! The encrypted parts of attempts, deliveries, rows and key-value pairs. Texts stay texts, and JSON
//! stays JSON: a sealed record or row is a JSON string.

use bytes::Bytes;
use serde_json::Value;

use super::keys::{LedgerKeys, MAGIC, NotOpened, Place, TEXT_MAGIC, sealed_by};
use landfall_model::{EventId, KvValue};

/// The delivery that a sealed value belongs to. It is authenticated with the value.
#[derive(Debug, Clone, Copy)]
pub(super) enum OfDelivery {
    /// The delivery with this number.
    Number(i64),
    /// The first delivery of its event, sealed before it was stored and had a number.
    First,
}

/// A stored delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredDelivery<'e> {
    pub(super) event: &'e EventId,
    pub(super) number: i64,
    pub(super) is_replay: bool,
}

// === impl OfDelivery ===

impl OfDelivery {
    fn authenticated(self) -> Vec<u8> {
        match self {
            OfDelivery::Number(number) => number.to_le_bytes().to_vec(),
            OfDelivery::First => b"first".to_vec(),
        }
    }
}

// === impl StoredDelivery ===

impl StoredDelivery<'_> {
    /// Opens a value that was sealed for this delivery. A replay is never the first delivery.
    fn open<T>(&self, open: impl Fn(OfDelivery) -> Result<T, NotOpened>) -> Result<T, NotOpened> {
        match open(OfDelivery::Number(self.number)) {
            Err(NotOpened::Damaged) if !self.is_replay => open(OfDelivery::First),
            opened => opened,
        }
    }
}

/// The reason of a delivery or attempt. A delivery that is retried has the reason of its attempt,
/// so that both have one place: the delivery.
pub(super) fn seal_reason(
    keys: &LedgerKeys,
    (event, of): (&EventId, OfDelivery),
    reason: &str,
) -> String {
    if reason.is_empty() {
        return String::new();
    }
    let row: &[&[u8]] = &[event.as_bytes(), &of.authenticated()];
    let place = Place {
        column: "reason",
        row,
    };
    keys.seal_text(place, reason)
}

pub(super) fn open_reason(
    keys: &LedgerKeys,
    of: StoredDelivery<'_>,
    reason: &str,
) -> Result<String, NotOpened> {
    of.open(|delivery| {
        let row: &[&[u8]] = &[of.event.as_bytes(), &delivery.authenticated()];
        let place = Place {
            column: "reason",
            row,
        };
        keys.open_text(place, reason.to_owned())
    })
}

/// The record of an attempt, which is JSON.
pub(super) fn seal_record(
    keys: &LedgerKeys,
    (event, of, number): (&EventId, OfDelivery, u32),
    record: &str,
) -> String {
    let row: &[&[u8]] = &[event.as_bytes(), &of.authenticated(), &number.to_le_bytes()];
    let place = Place {
        column: "record",
        row,
    };
    json_string(&keys.seal_text(place, record))
}

pub(super) fn open_record(
    keys: &LedgerKeys,
    (of, number): (StoredDelivery<'_>, u32),
    record: Value,
) -> Result<Value, NotOpened> {
    let Some(sealed) = sealed_json(&record) else {
        return Ok(record);
    };
    of.open(|delivery| {
        let row: &[&[u8]] = &[
            of.event.as_bytes(),
            &delivery.authenticated(),
            &number.to_le_bytes(),
        ];
        let place = Place {
            column: "record",
            row,
        };
        open_json(keys, place, sealed)
    })
}

/// The recording of an attempt.
pub(super) fn seal_recording(
    keys: &LedgerKeys,
    (event, of, number): (&EventId, OfDelivery, u32),
    recording: &[u8],
) -> Vec<u8> {
    let row: &[&[u8]] = &[event.as_bytes(), &of.authenticated(), &number.to_le_bytes()];
    let place = Place {
        column: "recording",
        row,
    };
    keys.seal(place, recording)
}

pub(super) fn open_recording(
    keys: &LedgerKeys,
    (of, number): (StoredDelivery<'_>, u32),
    recording: Vec<u8>,
) -> Result<Vec<u8>, NotOpened> {
    if sealed_by(&recording).is_none() {
        return Ok(recording);
    }
    of.open(|delivery| {
        let row: &[&[u8]] = &[
            of.event.as_bytes(),
            &delivery.authenticated(),
            &number.to_le_bytes(),
        ];
        let place = Place {
            column: "recording",
            row,
        };
        keys.open(place, recording.clone())
    })
}

/// A row of a table, which is JSON.
pub(super) fn seal_row(
    keys: &LedgerKeys,
    (event, hook, table): (&EventId, &str, &str),
    row: &str,
) -> String {
    let of: &[&[u8]] = &[event.as_bytes(), hook.as_bytes(), table.as_bytes()];
    let place = Place {
        column: "row",
        row: of,
    };
    json_string(&keys.seal_text(place, row))
}

pub(super) fn open_row(
    keys: &LedgerKeys,
    (event, hook, table): (&EventId, &str, &str),
    row: Value,
) -> Result<Value, NotOpened> {
    let of: &[&[u8]] = &[event.as_bytes(), hook.as_bytes(), table.as_bytes()];
    let place = Place {
        column: "row",
        row: of,
    };
    match sealed_json(&row) {
        Some(sealed) => open_json(keys, place, sealed),
        None => Ok(row),
    }
}

/// The handler's reply that duplicates get again.
pub(super) fn seal_reply(
    keys: &LedgerKeys,
    (event, of): (&EventId, OfDelivery),
    reply: &[u8],
) -> Vec<u8> {
    let row: &[&[u8]] = &[event.as_bytes(), &of.authenticated()];
    let place = Place {
        column: "reply",
        row,
    };
    keys.seal(place, reply)
}

pub(super) fn open_reply(
    keys: &LedgerKeys,
    of: StoredDelivery<'_>,
    reply: &[u8],
) -> Result<Vec<u8>, NotOpened> {
    of.open(|delivery| {
        let row: &[&[u8]] = &[of.event.as_bytes(), &delivery.authenticated()];
        let place = Place {
            column: "reply",
            row,
        };
        keys.open(place, reply.to_vec())
    })
}

/// A value of `kv`. Whole numbers stay as they are, because the ledger adds to them.
pub(super) fn seal_value(keys: &LedgerKeys, hook: &str, key: &str, value: KvValue) -> KvValue {
    if value.number().is_some() {
        return value;
    }
    let row: &[&[u8]] = &[hook.as_bytes(), key.as_bytes()];
    let sealed = keys.seal(Place { column: "kv", row }, &value.bytes);
    KvValue {
        is_text: value.is_text,
        bytes: sealed.into(),
    }
}

pub(super) fn open_value(
    keys: &LedgerKeys,
    hook: &str,
    key: &str,
    value: KvValue,
) -> Result<KvValue, NotOpened> {
    if !value.bytes.starts_with(MAGIC) {
        return Ok(value);
    }
    let row: &[&[u8]] = &[hook.as_bytes(), key.as_bytes()];
    let bytes = keys.open(Place { column: "kv", row }, value.bytes.to_vec())?;
    Ok(KvValue {
        bytes: Bytes::from(bytes),
        ..value
    })
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

/// The text of sealed JSON. `None`: it is not sealed.
fn sealed_json(stored: &Value) -> Option<&str> {
    stored.as_str().filter(|text| text.starts_with(TEXT_MAGIC))
}

fn open_json(keys: &LedgerKeys, place: Place<'_>, sealed: &str) -> Result<Value, NotOpened> {
    let text = keys.open_text(place, sealed.to_owned())?;
    serde_json::from_str(&text).map_err(|_| NotOpened::Damaged)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;

    #[test]
    fn each_part_opens_at_its_place() {
        let key = [7; 32].map(|byte| format!("{byte:02x}")).concat();
        let keys = LedgerKeys::new([("env:A", key.as_bytes())]).unwrap();
        let event = EventId::new(SystemTime::UNIX_EPOCH);
        let other = EventId::new(SystemTime::UNIX_EPOCH);

        let of = OfDelivery::Number(5);
        let at = |event, number| StoredDelivery {
            event,
            number,
            is_replay: false,
        };
        let here = at(&event, 5);

        let record = seal_record(&keys, (&event, of, 1), "{\"log\":[]}");
        let record: Value = serde_json::from_str(&record).unwrap();
        let opened = open_record(&keys, (here, 1), record.clone()).unwrap();
        assert_eq!(opened, json!({ "log": [] }));
        assert!(open_record(&keys, (here, 2), record.clone()).is_err());
        assert!(open_record(&keys, (at(&event, 6), 1), record.clone()).is_err());
        assert!(open_record(&keys, (at(&other, 5), 1), record).is_err());

        let recording = seal_recording(&keys, (&event, of, 1), b"canary");
        assert!(!recording.windows(6).any(|part| part == b"canary"));
        for place in [(here, 2), (at(&event, 6), 1), (at(&other, 5), 1)] {
            assert!(open_recording(&keys, place, recording.clone()).is_err());
        }
        let opened = open_recording(&keys, (here, 1), recording).unwrap();
        assert_eq!(opened, b"canary");

        let row = seal_row(&keys, (&event, "h", "t"), "{\"a\":1.0}");
        let row: Value = serde_json::from_str(&row).unwrap();
        assert!(open_row(&keys, (&event, "h", "u"), row.clone()).is_err());
        let opened = open_row(&keys, (&event, "h", "t"), row).unwrap();
        assert_eq!(opened, json!({ "a": 1.0 }));

        let reason = seal_reason(&keys, (&event, of), "canary");
        assert!(!reason.contains("canary"));
        assert!(open_reason(&keys, at(&other, 5), &reason).is_err());
        assert!(open_reason(&keys, at(&event, 6), &reason).is_err());
        assert_eq!(open_reason(&keys, here, &reason).unwrap(), "canary");

        let reply = seal_reply(&keys, (&event, of), b"canary");
        assert!(open_reply(&keys, at(&event, 6), &reply).is_err());
        assert_eq!(open_reply(&keys, here, &reply).unwrap(), b"canary");
    }

    #[test]
    fn first_deliveries_are_no_replays() {
        let key = [7; 32].map(|byte| format!("{byte:02x}")).concat();
        let keys = LedgerKeys::new([("env:A", key.as_bytes())]).unwrap();
        let event = EventId::new(SystemTime::UNIX_EPOCH);
        let reason = seal_reason(&keys, (&event, OfDelivery::First), "canary");
        let opened = |is_replay| {
            let of = StoredDelivery {
                event: &event,
                number: 5,
                is_replay,
            };
            open_reason(&keys, of, &reason)
        };
        assert_eq!(opened(false).unwrap(), "canary");
        assert_eq!(opened(true), Err(NotOpened::Damaged));
    }

    #[test]
    fn numbers_of_kv_stay() {
        let key = [7; 32].map(|byte| format!("{byte:02x}")).concat();
        let keys = LedgerKeys::new([("env:A", key.as_bytes())]).unwrap();
        let number = KvValue::of_number(7);
        assert_eq!(seal_value(&keys, "h", "k", number.clone()), number);
        let text = KvValue::of("canary".into());
        let sealed = seal_value(&keys, "h", "k", text.clone());
        assert_ne!(sealed.bytes, text.bytes);
        assert!(open_value(&keys, "h", "l", sealed.clone()).is_err());
        assert_eq!(open_value(&keys, "h", "k", sealed).unwrap(), text);
    }
}
