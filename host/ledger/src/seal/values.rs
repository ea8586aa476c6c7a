//! The encrypted parts of attempts, deliveries, rows and key-value pairs. Texts stay texts, and JSON
//! stays JSON: a sealed record or row is a JSON string.

use bytes::Bytes;
use serde_json::Value;

use super::keys::{LedgerKeys, MAGIC, NotOpened, Place, TEXT_MAGIC};
use landfall_model::{EventId, KvValue};

/// The reason of a delivery or attempt.
pub(super) fn seal_reason(keys: &LedgerKeys, event: &EventId, reason: &str) -> String {
    if reason.is_empty() {
        return String::new();
    }
    keys.seal_text(reason_place(&[event.as_bytes()]), reason)
}

pub(super) fn open_reason(
    keys: &LedgerKeys,
    event: &EventId,
    reason: String,
) -> Result<String, NotOpened> {
    keys.open_text(reason_place(&[event.as_bytes()]), reason)
}

fn reason_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place {
        column: "reason",
        row,
    }
}

/// The record of an attempt, which is JSON.
pub(super) fn seal_record(keys: &LedgerKeys, event: &EventId, number: u32, record: &str) -> String {
    let row: &[&[u8]] = &[event.as_bytes(), &number.to_le_bytes()];
    let place = Place {
        column: "record",
        row,
    };
    json_string(&keys.seal_text(place, record))
}

pub(super) fn open_record(
    keys: &LedgerKeys,
    event: &EventId,
    number: u32,
    record: Value,
) -> Result<Value, NotOpened> {
    let row: &[&[u8]] = &[event.as_bytes(), &number.to_le_bytes()];
    let place = Place {
        column: "record",
        row,
    };
    open_json(keys, place, record)
}

/// The recording of an attempt.
pub(super) fn seal_recording(
    keys: &LedgerKeys,
    (event, number): (&EventId, u32),
    recording: &[u8],
) -> Vec<u8> {
    let row: &[&[u8]] = &[event.as_bytes(), &number.to_le_bytes()];
    let place = Place {
        column: "recording",
        row,
    };
    keys.seal(place, recording)
}

pub(super) fn open_recording(
    keys: &LedgerKeys,
    (event, number): (&EventId, u32),
    recording: Vec<u8>,
) -> Result<Vec<u8>, NotOpened> {
    let row: &[&[u8]] = &[event.as_bytes(), &number.to_le_bytes()];
    let place = Place {
        column: "recording",
        row,
    };
    keys.open(place, recording)
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
    open_json(keys, place, row)
}

/// The handler's reply that duplicates get again.
pub(super) fn seal_reply(keys: &LedgerKeys, event: &EventId, reply: &[u8]) -> Vec<u8> {
    keys.seal(reply_place(&[event.as_bytes()]), reply)
}

pub(super) fn open_reply(
    keys: &LedgerKeys,
    event: &EventId,
    reply: Vec<u8>,
) -> Result<Vec<u8>, NotOpened> {
    keys.open(reply_place(&[event.as_bytes()]), reply)
}

fn reply_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place {
        column: "reply",
        row,
    }
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

fn open_json(keys: &LedgerKeys, place: Place<'_>, stored: Value) -> Result<Value, NotOpened> {
    match stored {
        Value::String(text) if text.starts_with(TEXT_MAGIC) => {
            let text = keys.open_text(place, text)?;
            serde_json::from_str(&text).map_err(|_| NotOpened::Damaged)
        }
        plain => Ok(plain),
    }
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

        let record = seal_record(&keys, &event, 1, "{\"log\":[]}");
        let record: Value = serde_json::from_str(&record).unwrap();
        let opened = open_record(&keys, &event, 1, record.clone()).unwrap();
        assert_eq!(opened, json!({ "log": [] }));
        assert!(open_record(&keys, &event, 2, record).is_err());

        let recording = seal_recording(&keys, (&event, 1), b"canary");
        assert!(!recording.windows(6).any(|part| part == b"canary"));
        assert!(open_recording(&keys, (&event, 2), recording.clone()).is_err());
        let opened = open_recording(&keys, (&event, 1), recording).unwrap();
        assert_eq!(opened, b"canary");

        let row = seal_row(&keys, (&event, "h", "t"), "{\"a\":1.0}");
        let row: Value = serde_json::from_str(&row).unwrap();
        assert!(open_row(&keys, (&event, "h", "u"), row.clone()).is_err());
        let opened = open_row(&keys, (&event, "h", "t"), row).unwrap();
        assert_eq!(opened, json!({ "a": 1.0 }));

        let reason = seal_reason(&keys, &event, "canary");
        assert!(!reason.contains("canary"));
        assert!(open_reason(&keys, &other, reason.clone()).is_err());
        assert_eq!(open_reason(&keys, &event, reason).unwrap(), "canary");

        let reply = seal_reply(&keys, &event, b"canary");
        assert_eq!(open_reply(&keys, &event, reply).unwrap(), b"canary");
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
