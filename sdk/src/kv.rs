//! Values that the host stores for this hook, by key. The operator grants them with `[allow] kv = true`.
//!
//! Writes are committed if the attempt succeeds, exactly once. Reads see the writes of this attempt.

use crate::Payload;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The value of a key. `None`: the key has no value, or its value has expired.
pub fn get(key: &str) -> Result<Option<Payload>, KvError> {
    host::get(key)
}

/// The value as text. A value that is not UTF-8 is [`KvError::Invalid`].
pub fn get_text(key: &str) -> Result<Option<String>, KvError> {
    match get(key)? {
        None => Ok(None),
        Some(Payload::Text(text)) => Ok(Some(text)),
        Some(Payload::Binary(_)) => Err(KvError::Invalid(format!("`{key}` is not text"))),
    }
}

/// Sets a value that does not expire.
pub fn set(key: &str, value: impl Into<Payload>) -> Result<(), KvError> {
    host::set(key, value.into(), None)
}

/// Sets a value that expires. The time is rounded up to whole seconds.
pub fn set_for(key: &str, value: impl Into<Payload>, time: Duration) -> Result<(), KvError> {
    host::set(key, value.into(), Some(seconds(time)))
}

/// Deletes a value, if there is one.
pub fn delete(key: &str) -> Result<(), KvError> {
    host::delete(key)
}

/// Keys that begin with `prefix`, in byte order, after the key `after`: at most `limit`, and at most 1,000.
pub fn list_keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
    host::list_keys(prefix, after, limit)
}

/// Sets the value if the present value is `expected` (`None`: the key has no value). Returns false if it differs.
/// After true, if another attempt changes the value before this attempt is committed, nothing of this attempt is kept and
/// the event runs again.
pub fn compare_and_set(
    key: &str,
    expected: Option<&Payload>,
    value: impl Into<Payload>,
) -> Result<bool, KvError> {
    host::compare_and_set(key, expected.cloned(), value.into())
}

/// Adds to a whole number that begins at 0. Increments of parallel attempts add up. Returns the sum as this attempt
/// sees it.
pub fn increment(key: &str, by: i32) -> Result<i64, KvError> {
    host::increment(key, by)
}

fn seconds(time: Duration) -> u32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// Why a value was not read or not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvError {
    /// The key is not valid, or the value is not a whole number.
    Invalid(String),
    /// The value is too large, or the attempt changes too many.
    Limit(String),
    /// Another error. The event may succeed later.
    Other(String),
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "kv invalid: {text}"),
            Self::Limit(text) => write!(f, "kv above a limit: {text}"),
            Self::Other(text) => write!(f, "kv: {text}"),
        }
    }
}

impl Error for KvError {}

/// The calls to the host.
#[cfg(target_arch = "wasm32")]
mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package landfall:sdk; world kv { import landfall:hook/kv@0.1.0; }",
        with: {
            "landfall:hook/kv@0.1.0": generate,
            "landfall:hook/types@0.1.0": crate::bindings::landfall::hook::types,
        },
    });

    use self::landfall::hook::kv;
    use super::KvError;
    use crate::Payload;

    pub fn get(key: &str) -> Result<Option<Payload>, KvError> {
        Ok(kv::get(key)?.map(Into::into))
    }

    pub fn set(key: &str, value: Payload, expires_in_s: Option<u32>) -> Result<(), KvError> {
        Ok(kv::set(key, &value.into(), expires_in_s)?)
    }

    pub fn delete(key: &str) -> Result<(), KvError> {
        Ok(kv::delete(key)?)
    }

    pub fn list_keys(
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, KvError> {
        Ok(kv::list_keys(prefix, after, limit)?)
    }

    pub fn compare_and_set(
        key: &str,
        expected: Option<Payload>,
        value: Payload,
    ) -> Result<bool, KvError> {
        let expected = expected.map(Into::into);
        Ok(kv::compare_and_set(
            key,
            expected.as_ref(),
            &value.into(),
            None,
        )?)
    }

    /// The host returns whole numbers up to 2^53, which a `f64` holds exactly.
    pub fn increment(key: &str, by: i32) -> Result<i64, KvError> {
        Ok(kv::increment(key, by)? as i64)
    }

    impl From<kv::KvError> for KvError {
        fn from(error: kv::KvError) -> KvError {
            match error {
                kv::KvError::Invalid(text) => KvError::Invalid(text),
                kv::KvError::Limit(text) => KvError::Limit(text),
                kv::KvError::Other(text) => KvError::Other(text),
            }
        }
    }
}

/// The fake of native tests. Values do not expire.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use std::collections::BTreeMap;

    use super::KvError;
    use crate::Payload;
    use crate::testing::{Host, fake};

    type Values = BTreeMap<String, Payload>;

    impl Host {
        /// Sets a value that `kv` has at the start.
        #[must_use]
        pub fn value(self, key: &str, value: impl Into<Payload>) -> Self {
            fake(|values: &mut Values| values.insert(key.to_owned(), value.into()));
            self
        }

        /// The values of `kv`. They do not expire.
        pub fn values(&self) -> BTreeMap<String, Payload> {
            fake(|values: &mut Values| values.clone())
        }
    }

    pub fn get(key: &str) -> Result<Option<Payload>, KvError> {
        Ok(fake(|values: &mut Values| values.get(key).cloned()))
    }

    pub fn set(key: &str, value: Payload, _expires_in_s: Option<u32>) -> Result<(), KvError> {
        fake(|values: &mut Values| values.insert(key.to_owned(), value));
        Ok(())
    }

    pub fn delete(key: &str) -> Result<(), KvError> {
        fake(|values: &mut Values| values.remove(key));
        Ok(())
    }

    pub fn list_keys(
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, KvError> {
        let wanted = |key: &&String| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        };
        Ok(fake(|values: &mut Values| {
            let keys = values.keys().filter(wanted);
            keys.take(limit as usize).cloned().collect()
        }))
    }

    pub fn compare_and_set(
        key: &str,
        expected: Option<Payload>,
        value: Payload,
    ) -> Result<bool, KvError> {
        let is_same =
            get(key)?.as_ref().map(Payload::as_bytes) == expected.as_ref().map(Payload::as_bytes);
        if is_same {
            set(key, value, None)?;
        }
        Ok(is_same)
    }

    pub fn increment(key: &str, by: i32) -> Result<i64, KvError> {
        let present = match get(key)? {
            None => 0,
            Some(value) => {
                let number = value.as_text().and_then(|text| text.parse::<i64>().ok());
                number.ok_or_else(|| KvError::Invalid(format!("`{key}` is not a whole number")))?
            }
        };
        let sum = present + i64::from(by);
        set(key, Payload::Text(sum.to_string()), None)?;
        Ok(sum)
    }
}
