//! `kv`: values by key. Writes are staged. Reads see the staged writes of this attempt over the
//! values in the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};

use self::bindings::landfall::kv::kv::{Host, add_to_linker};
use super::capability::{AttemptContext, Capability};
use crate::bindings::{CapabilityError, Payload};
use crate::recorder::Recorder;
use landfall_model::{
    Effects, GrantForm, GrantKey, KvChange, KvExpected, KvValue, KvWrite, LedgerWrites,
    MemoryBudget, MemoryHold,
};

#[allow(missing_docs, clippy::pedantic)]
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/event.wit", "../../wit/kv.wit"],
        world: "landfall:kv/imports",
        imports: { default: async },
        with: { "landfall:event/types": crate::bindings::types },
    });
}

const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 256 << 10;
const WRITES_MAX: usize = 1000;
const BYTES_MAX: usize = 16 << 20;
const KEYS_MAX: usize = 1000;
/// The most reads of the ledger.
const READS_MAX: u32 = 10_000;
/// Numbers up to here are exact in every guest language, JavaScript included.
const NUMBER_MAX: u64 = 1 << 53;

/// The context of `kv`.
pub(crate) struct Kv {
    /// Where the values are, and the hook that they belong to. `None` without the grant, and for
    /// commands without a ledger, such as `check`.
    ledger: Option<(Arc<dyn landfall_ledger::Kv>, Arc<str>)>,
    /// Values that were read from the ledger, so that an attempt does not see them change.
    known: BTreeMap<String, Option<KvValue>>,
    staged: BTreeMap<String, KvChange>,
    expected: BTreeMap<String, Option<KvValue>>,
    bytes: usize,
    reads: u32,
    memory: MemoryBudget,
    recorder: Recorder,
}

// === impl Kv ===

impl Capability for Kv {
    const KEY: GrantKey = GrantKey {
        name: "kv",
        form: GrantForm::Flag,
        writes: LedgerWrites::Always,
    };

    fn new(attempt: &AttemptContext<'_>) -> Kv {
        let is_granted = attempt.grants.contains(Self::KEY.name);
        let ledger = attempt.ledger.filter(|_| is_granted);
        Kv {
            ledger: ledger.map(|ledger| (ledger.clone(), attempt.hook.clone())),
            known: BTreeMap::new(),
            staged: BTreeMap::new(),
            expected: BTreeMap::new(),
            bytes: 0,
            reads: 0,
            memory: attempt.memory.clone(),
            recorder: attempt.recorder.clone(),
        }
    }

    fn link<T: Send + 'static>(
        linker: &mut Linker<T>,
        context: fn(&mut T) -> &mut Kv,
    ) -> wasmtime::Result<()> {
        add_to_linker::<T, HasSelf<Kv>>(linker, context)
    }

    fn take_effects(&mut self, effects: &mut Effects) {
        let staged = std::mem::take(&mut self.staged).into_iter();
        effects.writes = staged
            .map(|(key, change)| KvWrite { key, change })
            .collect();
        let expected = std::mem::take(&mut self.expected).into_iter();
        effects.expected = expected
            .map(|(key, value)| KvExpected { key, value })
            .collect();
    }
}

impl Kv {
    /// The value as this attempt sees it.
    async fn value(&mut self, key: &str) -> Result<Option<KvValue>, CapabilityError> {
        Ok(match self.staged.get(key) {
            Some(KvChange::Set(value, _)) => Some(value.clone()),
            Some(KvChange::Delete) => None,
            Some(KvChange::Add(by, _)) => {
                let by = *by;
                Some(KvValue::of_number(
                    number(key, self.stored(key).await?)? + by,
                ))
            }
            None => self.stored(key).await?,
        })
    }

    /// The value in the ledger.
    async fn stored(&mut self, key: &str) -> Result<Option<KvValue>, CapabilityError> {
        if let Some(known) = self.known.get(key) {
            return Ok(known.clone());
        }

        self.count(key.len())?;
        let (ledger, hook) = self.ledger()?;
        let value = ledger.get(hook, key.to_owned()).await.map_err(read_error)?;
        self.recorder.value(key, value.as_ref());
        self.count(value.as_ref().map_or(0, |value| value.bytes.len()))?;
        self.known.insert(key.to_owned(), value.clone());
        Ok(value)
    }

    fn ledger(&mut self) -> Result<(Arc<dyn landfall_ledger::Kv>, Arc<str>), CapabilityError> {
        self.reads += 1;
        if self.reads > READS_MAX {
            return Err(CapabilityError::Limit(format!(
                "one attempt may read {READS_MAX} times"
            )));
        }
        self.ledger
            .clone()
            .ok_or_else(|| CapabilityError::Unavailable("no values are stored here".into()))
    }

    /// Counts bytes that are held in memory for this attempt.
    fn count(&mut self, bytes: usize) -> Result<(), CapabilityError> {
        if self.bytes + bytes > BYTES_MAX {
            return Err(CapabilityError::Limit(
                "the values of one attempt have at most 16 MiB".into(),
            ));
        }
        self.memory
            .take(bytes)
            .map_err(|error| CapabilityError::Limit(error.to_string()))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Counts bytes that the host holds for the guest in addition to the values.
    pub(super) fn hold(&self, bytes: usize) -> Result<MemoryHold, CapabilityError> {
        self.memory
            .hold(bytes)
            .map_err(|error| CapabilityError::Limit(error.to_string()))
    }

    /// Adds to a number. Returns the sum as this attempt sees it. A new number expires after
    /// `expires_in`.
    pub(super) async fn add(
        &mut self,
        key: String,
        by: i64,
        expires_in: Option<Duration>,
    ) -> Result<i64, CapabilityError> {
        check_key(&key)?;
        let sum = number(&key, self.value(&key).await?)?.saturating_add(by);
        if sum.unsigned_abs() > NUMBER_MAX {
            return Err(CapabilityError::Limit(format!(
                "`{}` would pass 2^53",
                key.escape_debug()
            )));
        }
        let change = match self.staged.get(&key) {
            Some(KvChange::Set(_, expires_in)) => {
                KvChange::Set(KvValue::of_number(sum), *expires_in)
            }
            Some(KvChange::Delete) => KvChange::Set(KvValue::of_number(sum), expires_in),
            Some(KvChange::Add(so_far, first)) => KvChange::Add(so_far + by, *first),
            None => KvChange::Add(by, expires_in),
        };
        self.stage(key, change)?;
        Ok(sum)
    }

    fn stage(&mut self, key: String, change: KvChange) -> Result<(), CapabilityError> {
        let value_bytes = match &change {
            KvChange::Set(value, _) => value.bytes.len(),
            KvChange::Delete | KvChange::Add(..) => 0,
        };
        self.count(key.len() + value_bytes)?;

        if self.staged.len() >= WRITES_MAX && !self.staged.contains_key(&key) {
            return Err(CapabilityError::Limit(format!(
                "one attempt may change {WRITES_MAX} keys"
            )));
        }
        self.staged.insert(key, change);
        Ok(())
    }
}

impl Host for Kv {
    async fn get(&mut self, key: String) -> Result<Option<Payload>, CapabilityError> {
        check_key(&key)?;
        Ok(self.value(&key).await?.map(payload))
    }

    async fn set(
        &mut self,
        key: String,
        value: Payload,
        expires_in_s: Option<u32>,
    ) -> Result<(), CapabilityError> {
        check_key(&key)?;
        let value = checked(value)?;
        self.stage(key, KvChange::Set(value, expires(expires_in_s)))
    }

    async fn delete(&mut self, key: String) -> Result<(), CapabilityError> {
        check_key(&key)?;
        self.stage(key, KvChange::Delete)
    }

    async fn list_keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, CapabilityError> {
        let limit = KEYS_MAX.min(limit as usize);
        let after = after.unwrap_or_default();
        let (ledger, hook) = self.ledger()?;
        // The page may contain keys that this attempt has deleted.
        let wanted = limit + self.staged.len();
        let kept = ledger
            .keys(hook, prefix.clone(), after.clone(), wanted)
            .await
            .map_err(read_error)?;
        self.recorder.keys(&prefix, &after, wanted, &kept);
        let mut keys: std::collections::BTreeSet<String> = kept.into_iter().collect();
        let whole = keys.len() < wanted;
        let last = keys.last().cloned();
        for (key, change) in &self.staged {
            let is_in_page = whole || last.as_ref().is_some_and(|last| key <= last);
            match change {
                KvChange::Delete => {
                    keys.remove(key);
                }
                _ if is_in_page && key.starts_with(&prefix) && *key > after => {
                    keys.insert(key.clone());
                }
                _ => {}
            }
        }
        Ok(keys.into_iter().take(limit).collect())
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Payload>,
        value: Payload,
        expires_in_s: Option<u32>,
    ) -> Result<bool, CapabilityError> {
        check_key(&key)?;
        let (expected, value) = (expected.map(checked).transpose()?, checked(value)?);
        if self.value(&key).await?.map(|value| value.bytes) != expected.map(|value| value.bytes) {
            return Ok(false);
        }
        // A value that this attempt has set itself cannot be changed by others.
        if !matches!(
            self.staged.get(&key),
            Some(KvChange::Set(..) | KvChange::Delete)
        ) {
            let kept = self.stored(&key).await?;
            self.expected.insert(key.clone(), kept);
        }
        self.stage(key, KvChange::Set(value, expires(expires_in_s)))?;
        Ok(true)
    }

    async fn increment(
        &mut self,
        key: String,
        by: i32,
        expires_in_s: Option<u32>,
    ) -> Result<f64, CapabilityError> {
        let sum = self.add(key, by.into(), expires(expires_in_s)).await?;
        Ok(sum as f64)
    }
}

fn check_key(key: &str) -> Result<(), CapabilityError> {
    let bytes = key.len();
    if !(1..=KEY_BYTES_MAX).contains(&bytes) {
        return Err(CapabilityError::Invalid(format!(
            "a key of {bytes} bytes: 1 to {KEY_BYTES_MAX}"
        )));
    }
    Ok(())
}

fn checked(value: Payload) -> Result<KvValue, CapabilityError> {
    let value = match value {
        Payload::Text(text) => KvValue {
            is_text: true,
            bytes: text.into(),
        },
        Payload::Binary(bytes) => KvValue::of(bytes.into()),
    };

    let bytes = value.bytes.len();
    if bytes > VALUE_BYTES_MAX {
        return Err(CapabilityError::Invalid(format!(
            "a value of {bytes} bytes: at most {VALUE_BYTES_MAX}"
        )));
    }
    Ok(value)
}

/// As everywhere in the contract, valid UTF-8 is text, also if a component has stored it as bytes:
/// the ledger may have such a value of an earlier version.
fn payload(value: KvValue) -> Payload {
    match String::from_utf8(Vec::from(value.bytes)) {
        Ok(text) => Payload::Text(text),
        Err(error) => Payload::Binary(error.into_bytes()),
    }
}

fn number(key: &str, value: Option<KvValue>) -> Result<i64, CapabilityError> {
    let Some(value) = value else { return Ok(0) };
    value.number().ok_or_else(|| {
        CapabilityError::Invalid(format!("`{}` is not a whole number", key.escape_debug()))
    })
}

fn expires(in_seconds: Option<u32>) -> Option<Duration> {
    in_seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

fn read_error(error: landfall_ledger::LedgerError) -> CapabilityError {
    CapabilityError::Unavailable(format!("the value cannot be read now: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_of_text_are_text() {
        let stored = checked(Payload::Binary(b"5".to_vec())).unwrap();
        assert_eq!(stored, KvValue::of_number(5));
        assert!(matches!(payload(stored), Payload::Text(text) if text == "5"));

        let earlier = KvValue {
            is_text: false,
            bytes: "é".into(),
        };
        assert!(matches!(payload(earlier), Payload::Text(text) if text == "é"));
        let binary = checked(Payload::Binary(vec![0xff])).unwrap();
        assert!(matches!(payload(binary), Payload::Binary(bytes) if bytes == [0xff]));
    }
}
