//! Buckets of `wasi:keyvalue`, over the values of `kv`.

use wasmtime::component::{HasData, ResourceTable};

use crate::bindings::CapabilityError;
use crate::bindings::Payload;
use crate::caps::kv::Kv;
use crate::caps::kv::bindings::landfall::kv::kv::Host;

/// The most bytes of a bucket's name.
const NAME_BYTES_MAX: usize = 64;
/// The most keys of one call.
const KEYS_MAX: usize = 1000;

/// An open bucket. The hook has one set of values: keys of a bucket with a name begin with that
/// name. Generated code re-exports it.
#[allow(unreachable_pub)]
#[derive(Clone)]
pub struct Bucket {
    prefix: String,
}

/// The part of a store's state that the host functions use.
pub(crate) struct View<'a> {
    pub(crate) kv: &'a mut Kv,
    pub(crate) resources: &'a mut ResourceTable,
}

/// Tells the bindings that host functions get a [`View`].
pub(super) struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

// === impl Bucket ===

impl Bucket {
    /// `None` if this is no valid bucket name.
    pub(super) fn open(name: &str) -> Option<Bucket> {
        if name.is_empty() || name == "default" {
            return Some(Bucket {
                prefix: String::new(),
            });
        }

        let is_valid =
            name.len() <= NAME_BYTES_MAX && !name.contains('/') && !name.contains(char::is_control);
        is_valid.then(|| Bucket {
            prefix: format!("{name}/"),
        })
    }

    pub(super) fn key(&self, key: &str) -> Result<String, CapabilityError> {
        if key.is_empty() {
            return Err(CapabilityError::Invalid("a key of 0 bytes".into()));
        }
        Ok(format!("{}{key}", self.prefix))
    }

    pub(super) async fn get(
        &self,
        kv: &mut Kv,
        key: &str,
    ) -> Result<Option<Vec<u8>>, CapabilityError> {
        Ok(kv.get(self.key(key)?).await?.map(bytes))
    }

    pub(super) async fn set(
        &self,
        kv: &mut Kv,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), CapabilityError> {
        kv.set(self.key(key)?, payload(value), None).await
    }

    pub(super) async fn delete(&self, kv: &mut Kv, key: &str) -> Result<(), CapabilityError> {
        kv.delete(self.key(key)?).await
    }

    pub(super) async fn increment(
        &self,
        kv: &mut Kv,
        key: &str,
        by: i64,
    ) -> Result<i64, CapabilityError> {
        kv.add(self.key(key)?, by, None).await
    }

    pub(super) async fn get_many(
        &self,
        kv: &mut Kv,
        keys: Vec<String>,
    ) -> Result<Values, CapabilityError> {
        check_count(keys.len())?;
        // A call may name the same key many times, so the values count each time.
        let mut held = kv.hold(0)?;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.get(kv, &key).await?;
            held.grow(value.as_ref().map_or(0, Vec::len))
                .map_err(|error| CapabilityError::Limit(error.to_string()))?;
            values.push((key, value));
        }
        Ok(values)
    }

    pub(super) async fn set_many(
        &self,
        kv: &mut Kv,
        values: Vec<(String, Vec<u8>)>,
    ) -> Result<(), CapabilityError> {
        check_count(values.len())?;
        for (key, value) in values {
            self.set(kv, &key, value).await?;
        }
        Ok(())
    }

    pub(super) async fn delete_many(
        &self,
        kv: &mut Kv,
        keys: Vec<String>,
    ) -> Result<(), CapabilityError> {
        check_count(keys.len())?;
        for key in keys {
            self.delete(kv, &key).await?;
        }
        Ok(())
    }

    /// A page of keys, and the last of them if there may be more.
    pub(super) async fn keys(
        &self,
        kv: &mut Kv,
        after: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), CapabilityError> {
        let after = after.map(|after| format!("{}{after}", self.prefix));
        let keys = kv
            .list_keys(self.prefix.clone(), after, KEYS_MAX as u32)
            .await?;
        let keys: Vec<String> = keys
            .into_iter()
            .map(|key| key[self.prefix.len()..].to_owned())
            .collect();
        let last = keys.last().filter(|_| keys.len() == KEYS_MAX).cloned();
        Ok((keys, last))
    }
}

/// Keys and their stored values.
type Values = Vec<(String, Option<Vec<u8>>)>;

fn check_count(keys: usize) -> Result<(), CapabilityError> {
    if keys > KEYS_MAX {
        return Err(CapabilityError::Limit(format!(
            "{keys} keys in one call: at most {KEYS_MAX}"
        )));
    }
    Ok(())
}

pub(super) fn payload(bytes: Vec<u8>) -> Payload {
    String::from_utf8(bytes).map_or_else(|error| Payload::Binary(error.into_bytes()), Payload::Text)
}

pub(super) fn bytes(payload: Payload) -> Vec<u8> {
    match payload {
        Payload::Text(text) => text.into_bytes(),
        Payload::Binary(bytes) => bytes,
    }
}

pub(super) fn text(error: CapabilityError) -> String {
    match error {
        CapabilityError::Denied(text)
        | CapabilityError::Invalid(text)
        | CapabilityError::Limit(text)
        | CapabilityError::Unavailable(text)
        | CapabilityError::Other(text) => text,
    }
}
