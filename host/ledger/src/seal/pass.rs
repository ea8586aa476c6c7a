//! One pass through all records: what is not encrypted with the first key is encrypted with it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event;
use super::keys::{self, KeyId, NotOpened};
use super::ledger::SealedLedger;
use super::values::{self, OfDelivery, StoredDelivery};
use crate::error::LedgerError;
use crate::raw::{RawChange, RawKind, RawRecord, text_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_model::stored_event::{checked, with_head};
use landfall_model::{KvValue, SEALED_ATTRIBUTE, Stored};
use serde_json::Value;

/// Records that are read at a time.
const PAGE: usize = 200;

/// What a pass has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptionProgress {
    /// The word for the records that it reads now.
    pub kind: &'static str,
    /// Records that it has read.
    pub read: u64,
    /// Records that it has encrypted.
    pub encrypted: u64,
    /// Records that it could not read, or that changed meanwhile. The next pass reads them again.
    pub left: u64,
    /// Encrypted records by the id of their key, as far as they were read.
    pub by_key: BTreeMap<String, u64>,
    /// Keys that the ledger needs, at the end of the pass: at most 16, because a node needs all.
    pub keys: usize,
}

/// What a record needs.
enum Need {
    /// It is encrypted with the first key, or has nothing to encrypt.
    Nothing(Option<KeyId>),
    Change(Box<RawChange>),
    /// It cannot be opened.
    Unreadable,
}

pub(super) async fn run(
    ledger: &SealedLedger,
    pause: Duration,
    report: &(dyn Fn(&EncryptionProgress) + Send + Sync),
) -> Result<EncryptionProgress, LedgerError> {
    let mut progress = EncryptionProgress::default();
    for kind in RawKind::ALL {
        progress.kind = kind.word();
        let mut after = None;
        loop {
            let page = ledger.inner.raw(kind, after, PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.cursor.clone());

            let mut changes = Vec::new();
            for record in page {
                progress.read += 1;
                match need(ledger, kind, record) {
                    Need::Nothing(Some(key)) => {
                        *progress.by_key.entry(key.to_string()).or_default() += 1;
                    }
                    Need::Nothing(None) => {}
                    Need::Change(change) => changes.push(*change),
                    Need::Unreadable => progress.left += 1,
                }
            }
            let wanted = changes.len();
            let encrypted = if wanted == 0 {
                0
            } else {
                ledger.inner.replace_raw(changes).await?
            };
            progress.encrypted += encrypted as u64;
            progress.left += (wanted - encrypted) as u64;
            // Identities have digests with a key that does not change.
            if encrypted > 0 && kind != RawKind::Identities {
                let key = ledger.keys.current().to_string();
                *progress.by_key.entry(key).or_default() += encrypted as u64;
            }

            report(&progress);
            tokio::time::sleep(pause).await;
        }
    }
    Ok(progress)
}

fn need(ledger: &SealedLedger, kind: RawKind, record: RawRecord) -> Need {
    let key = key_of(kind, &record);
    let is_current = key == Some(ledger.keys.current());
    if is_current || is_empty(kind, &record) {
        return Need::Nothing(key);
    }

    match replacement(ledger, kind, &record) {
        Ok(Some(parts)) => Need::Change(Box::new(RawChange {
            kind,
            record,
            parts,
        })),
        Ok(None) => Need::Nothing(key),
        Err(_) => Need::Unreadable,
    }
}

/// The key of the first part that is encrypted.
fn key_of(kind: RawKind, record: &RawRecord) -> Option<KeyId> {
    let part = |at: usize| record.parts.get(at)?.as_deref();
    match kind {
        RawKind::Events => {
            let head: Value = serde_json::from_slice(part(0)?).ok()?;
            let attributes = head["attributes"].as_array()?;
            let sealed = attributes.iter().find(|one| one[0] == SEALED_ATTRIBUTE)?;
            let bytes = STANDARD.decode(sealed[1].as_str()?).ok()?;
            keys::sealed_by(&bytes)
        }
        RawKind::Attempts | RawKind::Rows => {
            let json: Value = serde_json::from_slice(part(0)?).ok()?;
            keys::sealed_by(&keys::sealed_text(json.as_str()?)?)
        }
        RawKind::Deliveries => {
            let reason = text_of(record.parts[0].as_ref());
            let of_reason = reason
                .and_then(|text| keys::sealed_text(&text))
                .and_then(|sealed| keys::sealed_by(&sealed));
            of_reason.or_else(|| keys::sealed_by(part(1)?))
        }
        RawKind::Values | RawKind::Recordings => keys::sealed_by(part(0)?),
        RawKind::Identities => None,
    }
}

/// Whether there is nothing to encrypt.
fn is_empty(kind: RawKind, record: &RawRecord) -> bool {
    let is_blank = |at: usize| record.parts[at].as_ref().is_none_or(Vec::is_empty);
    match kind {
        RawKind::Events
        | RawKind::Rows
        | RawKind::Values
        | RawKind::Recordings
        | RawKind::Identities => is_blank(0),
        RawKind::Attempts => is_blank(1) && record.parts[0].as_ref().is_none_or(|one| one == b"{}"),
        RawKind::Deliveries => is_blank(0) && is_blank(1),
    }
}

/// The parts, encrypted with the first key. `None`: they stay as they are.
fn replacement(
    ledger: &SealedLedger,
    kind: RawKind,
    record: &RawRecord,
) -> Result<Option<Vec<Option<Vec<u8>>>>, NotOpened> {
    let (keys, parts) = (&*ledger.keys, &record.parts);
    let text = |at: usize| text_of(parts[at].as_ref());
    if kind == RawKind::Events {
        return event_parts(ledger, record).map(Some);
    }
    if kind == RawKind::Identities {
        let key = parts[0].as_deref().unwrap_or_default();
        return Ok(ledger.keyed_identity(key).map(|new| vec![Some(new)]));
    }
    if kind == RawKind::Values {
        let stored = KvValue {
            is_text: record.is_text,
            bytes: parts[0].clone().unwrap_or_default().into(),
        };
        let (hook, key) = (&record.hook, &record.name);
        let value = values::open_value(keys, hook, key, stored)?;
        if value.number().is_some() {
            return Ok(None);
        }
        let sealed = values::seal_value(keys, hook, key, value);
        return Ok(Some(vec![Some(sealed.bytes.to_vec())]));
    }

    let event = record.event.as_ref().ok_or(NotOpened::Damaged)?;
    let stored_of = StoredDelivery {
        event,
        number: record.cursor.id,
        is_replay: record.is_replay,
    };
    let sealed_of = OfDelivery::Number(record.cursor.id);
    Ok(Some(match kind {
        RawKind::Attempts => {
            let number = record.cursor.number as u32;
            let stored = json_of(text(0))?;
            let opened = values::open_record(keys, (stored_of, number), stored)?;
            let reason = text(1).unwrap_or_default();
            let reason = values::open_reason(keys, stored_of, &reason)?;
            let of = (event, sealed_of, number);
            vec![
                bytes(values::seal_record(keys, of, &opened.to_string())),
                bytes(values::seal_reason(keys, (event, sealed_of), &reason)),
            ]
        }
        RawKind::Deliveries => {
            let reason = match text(0) {
                Some(reason) => {
                    let reason = values::open_reason(keys, stored_of, &reason)?;
                    bytes(values::seal_reason(keys, (event, sealed_of), &reason))
                }
                None => None,
            };
            let reply = match &parts[1] {
                Some(reply) => {
                    let reply = values::open_reply(keys, stored_of, reply)?;
                    Some(values::seal_reply(keys, (event, sealed_of), &reply))
                }
                None => None,
            };
            vec![reason, reply]
        }
        RawKind::Rows => {
            let of = (event, &*record.hook, &*record.name);
            let stored = text(0).ok_or(NotOpened::Damaged)?;
            let row = match json_of(Some(stored.clone()))? {
                Value::String(sealed) if keys::sealed_text(&sealed).is_some() => {
                    values::open_row(keys, of, Value::String(sealed))?.to_string()
                }
                // The text as it is, with its numbers.
                _ => stored,
            };
            vec![bytes(values::seal_row(keys, of, &row))]
        }
        RawKind::Recordings => {
            let number = record.cursor.number as u32;
            let stored = parts[0].clone().unwrap_or_default();
            let opened = values::open_recording(keys, (stored_of, number), stored)?;
            let of = (event, sealed_of, number);
            vec![Some(values::seal_recording(keys, of, &opened))]
        }
        RawKind::Events | RawKind::Values | RawKind::Identities => return Ok(None),
    }))
}

fn bytes(text: String) -> Option<Vec<u8>> {
    Some(text.into_bytes())
}

fn json_of(text: Option<String>) -> Result<Value, NotOpened> {
    serde_json::from_str(&text.unwrap_or_default()).map_err(|_| NotOpened::Damaged)
}

/// Head, body, digest and checksum of an event. A damaged event stays as it is.
fn event_parts(
    ledger: &SealedLedger,
    record: &RawRecord,
) -> Result<Vec<Option<Vec<u8>>>, NotOpened> {
    let id = record.event.ok_or(NotOpened::Damaged)?;
    let of = (id, record.hook.clone(), record.at_ms.unwrap_or_default());
    let head = record.parts[0].as_deref().unwrap_or_default();
    let stored_digest = record.parts[2].as_deref().unwrap_or_default();
    let checksum = record.parts[3].as_deref().unwrap_or_default();
    let has_body = record.parts[1].is_some();
    let event = match record.parts[1].clone() {
        Some(body) => checked(of, head, stored_digest, checksum, body),
        None => with_head(of, head, Vec::new()),
    };
    let event = event.map_err(|_| NotOpened::Damaged)?;
    let is_sealed = event.attribute(SEALED_ATTRIBUTE).is_some();
    let event = if has_body {
        event::open(&ledger.keys, event)?
    } else {
        event::open_without_body(&ledger.keys, event)?
    };

    let plain = Stored::new(event);
    let digest = if is_sealed {
        stored_digest.try_into().map_err(|_| NotOpened::Damaged)?
    } else {
        ledger.digest(stored_digest)
    };
    let sealed = event::seal(&ledger.keys, &plain, digest);
    let body = has_body.then(|| sealed.event().body.to_vec());
    Ok(vec![
        Some(sealed.head().to_vec()),
        body,
        Some(sealed.digest().to_vec()),
        Some(sealed.checksum().to_vec()),
    ])
}
