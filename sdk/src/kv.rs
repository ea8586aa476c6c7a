//! Values that the host stores for this hook, by key. The operator grants them with `[allow] kv =
//! true`.
//!
//! Writes are committed if the attempt succeeds, exactly once. An attempt that fails changes
//! nothing. Reads see the writes of this attempt. A key has 1 to 512 bytes, a value at most 256
//! KiB.

use crate::time::whole_seconds;
use crate::{CapabilityError, Payload};
use std::time::Duration;

/// The value of a key. `None`: the key has no value, or its value has expired.
pub fn get(key: &str) -> Result<Option<Payload>, CapabilityError> {
    host::get(key)
}

/// The value as text. A value that is not UTF-8 is [`CapabilityError::Invalid`].
pub fn get_text(key: &str) -> Result<Option<String>, CapabilityError> {
    match get(key)? {
        None => Ok(None),
        Some(Payload::Text(text)) => Ok(Some(text)),
        // A host of an earlier version returns bytes if the value was stored as bytes.
        Some(Payload::Binary(bytes)) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| CapabilityError::Invalid(format!("`{key}` is not text"))),
    }
}

/// Sets a value that does not expire.
pub fn set(key: &str, value: impl Into<Payload>) -> Result<(), CapabilityError> {
    host::set(key, value.into(), None)
}

/// Sets a value that expires. The time is rounded up to whole seconds.
pub fn set_for(
    key: &str,
    value: impl Into<Payload>,
    time: Duration,
) -> Result<(), CapabilityError> {
    host::set(key, value.into(), Some(whole_seconds(time)))
}

/// Deletes a value, if there is one.
pub fn delete(key: &str) -> Result<(), CapabilityError> {
    host::delete(key)
}

/// Keys that begin with `prefix`, in byte order, after the key `after`: at most `limit`, and at
/// most 1,000.
pub fn list_keys(
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<String>, CapabilityError> {
    host::list_keys(prefix, after, limit)
}

/// Stages the value if the present value is `expected` (`None`: the key has no value) and returns
/// true. Returns false if it differs. The value does not expire.
///
/// If another attempt changes the value before this attempt is committed, nothing of this attempt
/// is kept and the event runs again.
pub fn compare_and_set(
    key: &str,
    expected: Option<&Payload>,
    value: impl Into<Payload>,
) -> Result<bool, CapabilityError> {
    host::compare_and_set(key, expected.cloned(), value.into(), None)
}

/// As [`compare_and_set`], with a value that expires. The time is rounded up to whole seconds.
pub fn compare_and_set_for(
    key: &str,
    expected: Option<&Payload>,
    value: impl Into<Payload>,
    time: Duration,
) -> Result<bool, CapabilityError> {
    let time = whole_seconds(time);
    host::compare_and_set(key, expected.cloned(), value.into(), Some(time))
}

/// Adds to a whole number, and returns the sum as this attempt sees it. A key without a value
/// begins at 0 and does not expire. A key with a value keeps its expiry.
///
/// Increments of parallel attempts add up. Two parallel attempts may see the same sum, so it does
/// not tell which one was first.
pub fn increment(key: &str, by: i32) -> Result<i64, CapabilityError> {
    host::increment(key, by, None)
}

/// As [`increment`], but a key without a value expires after this time, rounded up to whole
/// seconds. A key with a value keeps its expiry.
pub fn increment_for(key: &str, by: i32, time: Duration) -> Result<i64, CapabilityError> {
    host::increment(key, by, Some(whole_seconds(time)))
}

/// The calls to the host.
#[cfg(target_arch = "wasm32")]
mod host {
    wit_bindgen::generate!({
        path: ["../wit/event.wit", "../wit/kv.wit"],
        inline: "package landfall:sdk; world keeping { include landfall:kv/imports@0.1.0; }",
        with: {
            "landfall:event/types@0.1.0": crate::bindings::landfall::event::types,
            "landfall:kv/kv@0.1.0": generate,
        },
    });

    use self::landfall::kv::kv;
    use super::CapabilityError;
    use crate::Payload;

    pub(crate) fn get(key: &str) -> Result<Option<Payload>, CapabilityError> {
        Ok(kv::get(key)?.map(Into::into))
    }

    pub(crate) fn set(
        key: &str,
        value: Payload,
        expires_in_s: Option<u32>,
    ) -> Result<(), CapabilityError> {
        Ok(kv::set(key, &value.into(), expires_in_s)?)
    }

    pub(crate) fn delete(key: &str) -> Result<(), CapabilityError> {
        Ok(kv::delete(key)?)
    }

    pub(crate) fn list_keys(
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, CapabilityError> {
        Ok(kv::list_keys(prefix, after, limit)?)
    }

    pub(crate) fn compare_and_set(
        key: &str,
        expected: Option<Payload>,
        value: Payload,
        expires_in_s: Option<u32>,
    ) -> Result<bool, CapabilityError> {
        let expected = expected.map(Into::into);
        let value = value.into();
        Ok(kv::compare_and_set(
            key,
            expected.as_ref(),
            &value,
            expires_in_s,
        )?)
    }

    /// The host returns whole numbers within ±2^53, which a `f64` holds exactly.
    pub(crate) fn increment(
        key: &str,
        by: i32,
        expires_in_s: Option<u32>,
    ) -> Result<i64, CapabilityError> {
        Ok(kv::increment(key, by, expires_in_s)? as i64)
    }
}

/// The fake of native tests. Values do not expire: [`Host::expiry`](crate::testing::Host::expiry)
/// tells when they would.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::CapabilityError;
    use crate::Payload;
    use crate::testing::{Host, allowed, fake};

    type Values = BTreeMap<String, Entry>;

    struct Entry {
        value: Payload,
        expires_in_s: Option<u32>,
    }

    impl Host {
        /// Sets a value that `kv` has at the start.
        #[must_use]
        pub fn value(self, key: &str, value: impl Into<Payload>) -> Self {
            put(key, value.into(), None);
            self
        }

        /// The values of `kv`. They do not expire.
        pub fn values(&self) -> BTreeMap<String, Payload> {
            fake(|values: &mut Values| {
                let pairs = values
                    .iter()
                    .map(|(key, entry)| (key.clone(), entry.value.clone()));
                pairs.collect()
            })
        }

        /// The time after which the host would delete the value. `None`: never, or the key has no
        /// value.
        pub fn expiry(&self, key: &str) -> Option<Duration> {
            let seconds = fake(|values: &mut Values| values.get(key)?.expires_in_s)?;
            Some(Duration::from_secs(seconds.into()))
        }
    }

    fn put(key: &str, value: Payload, expires_in_s: Option<u32>) {
        // As a host does: valid UTF-8 is text.
        let value = match value {
            Payload::Text(_) => value,
            Payload::Binary(bytes) => Payload::from(bytes),
        };
        let entry = Entry {
            value,
            expires_in_s,
        };
        fake(|values: &mut Values| values.insert(key.to_owned(), entry));
    }

    pub(crate) fn get(key: &str) -> Result<Option<Payload>, CapabilityError> {
        allowed("kv")?;
        Ok(fake(|values: &mut Values| {
            values.get(key).map(|entry| entry.value.clone())
        }))
    }

    pub(crate) fn set(
        key: &str,
        value: Payload,
        expires_in_s: Option<u32>,
    ) -> Result<(), CapabilityError> {
        allowed("kv")?;
        put(key, value, expires_in_s);
        Ok(())
    }

    pub(crate) fn delete(key: &str) -> Result<(), CapabilityError> {
        allowed("kv")?;
        fake(|values: &mut Values| values.remove(key));
        Ok(())
    }

    pub(crate) fn list_keys(
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, CapabilityError> {
        allowed("kv")?;
        let wanted = |key: &&String| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        };
        Ok(fake(|values: &mut Values| {
            let keys = values.keys().filter(wanted);
            keys.take(limit as usize).cloned().collect()
        }))
    }

    pub(crate) fn compare_and_set(
        key: &str,
        expected: Option<Payload>,
        value: Payload,
        expires_in_s: Option<u32>,
    ) -> Result<bool, CapabilityError> {
        let is_same =
            get(key)?.as_ref().map(Payload::as_bytes) == expected.as_ref().map(Payload::as_bytes);
        if is_same {
            put(key, value, expires_in_s);
        }
        Ok(is_same)
    }

    pub(crate) fn increment(
        key: &str,
        by: i32,
        expires_in_s: Option<u32>,
    ) -> Result<i64, CapabilityError> {
        let (present, expires_in_s) = match get(key)? {
            None => (0, expires_in_s),
            Some(value) => {
                let number = value.as_text().and_then(|text| text.parse::<i64>().ok());
                let number = number.ok_or_else(|| {
                    CapabilityError::Invalid(format!("`{key}` is not a whole number"))
                })?;
                let kept = fake(|values: &mut Values| values.get(key)?.expires_in_s);
                (number, kept)
            }
        };
        let sum = present + i64::from(by);
        put(key, Payload::Text(sum.to_string()), expires_in_s);
        Ok(sum)
    }
}
