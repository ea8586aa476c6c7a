//! `wasi:keyvalue`: the values of `kv` for components that know nothing of Landfall, with the same grant, limits and
//! quota. Writes are staged like those of `kv`.

mod draft;
mod draft2;

use wasmtime::component::{HasData, Linker, ResourceTable};

use super::kv::Kv;
use crate::bindings::PayloadResult as Payload;
use crate::bindings::v0_1::landfall::hook::kv::{Host, KvError};
use crate::state::State;

/// The most characters of a bucket's name.
const NAME_BYTES_MAX: usize = 64;
/// The most keys of one call.
const KEYS_MAX: usize = 1000;

/// An open bucket. The hook has one set of values: keys of a bucket with a name begin with that name.
#[derive(Clone)]
pub struct Bucket {
    prefix: String,
}

/// What the host functions work on.
pub struct View<'a> {
    kv: &'a mut Kv,
    resources: &'a mut ResourceTable,
}

/// Gives host functions their view of the state.
struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    draft::link(linker)?;
    draft2::link(linker)
}

fn view(state: &mut State) -> View<'_> {
    let (kv, resources) = state.kv_and_resources();
    View { kv, resources }
}

// === impl Bucket ===

impl Bucket {
    /// `None` if this is no valid bucket name.
    fn open(name: &str) -> Option<Bucket> {
        if name.is_empty() || name == "default" {
            return Some(Bucket {
                prefix: String::new(),
            });
        }
        let is_name =
            name.len() <= NAME_BYTES_MAX && !name.contains('/') && !name.contains(char::is_control);
        is_name.then(|| Bucket {
            prefix: format!("{name}/"),
        })
    }

    fn key(&self, key: &str) -> Result<String, KvError> {
        match key {
            "" => Err(KvError::Invalid("a key of 0 bytes".into())),
            key => Ok(format!("{}{key}", self.prefix)),
        }
    }

    async fn get(&self, kv: &mut Kv, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        Ok(kv.get(self.key(key)?).await?.map(bytes))
    }

    async fn set(&self, kv: &mut Kv, key: &str, value: Vec<u8>) -> Result<(), KvError> {
        kv.set(self.key(key)?, payload(value), None).await
    }

    async fn delete(&self, kv: &mut Kv, key: &str) -> Result<(), KvError> {
        kv.delete(self.key(key)?).await
    }

    async fn increment(&self, kv: &mut Kv, key: &str, by: i64) -> Result<i64, KvError> {
        kv.add(self.key(key)?, by).await
    }

    async fn get_many(&self, kv: &mut Kv, keys: Vec<String>) -> Result<Values, KvError> {
        check_count(keys.len())?;
        // The same key may be asked for many times.
        let mut held = kv.hold(0)?;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.get(kv, &key).await?;
            held.grow(value.as_ref().map_or(0, Vec::len))
                .map_err(|error| KvError::Limit(error.to_string()))?;
            values.push((key, value));
        }
        Ok(values)
    }

    async fn set_many(&self, kv: &mut Kv, values: Vec<(String, Vec<u8>)>) -> Result<(), KvError> {
        check_count(values.len())?;
        for (key, value) in values {
            self.set(kv, &key, value).await?;
        }
        Ok(())
    }

    async fn delete_many(&self, kv: &mut Kv, keys: Vec<String>) -> Result<(), KvError> {
        check_count(keys.len())?;
        for key in keys {
            self.delete(kv, &key).await?;
        }
        Ok(())
    }

    /// A page of keys, and the last of them if there may be more.
    async fn keys(
        &self,
        kv: &mut Kv,
        after: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), KvError> {
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

fn check_count(keys: usize) -> Result<(), KvError> {
    match keys {
        0..=KEYS_MAX => Ok(()),
        keys => Err(KvError::Limit(format!(
            "{keys} keys in one call: at most {KEYS_MAX}"
        ))),
    }
}

fn payload(bytes: Vec<u8>) -> Payload {
    String::from_utf8(bytes).map_or_else(|error| Payload::Binary(error.into_bytes()), Payload::Text)
}

fn bytes(payload: Payload) -> Vec<u8> {
    match payload {
        Payload::Text(text) => text.into_bytes(),
        Payload::Binary(bytes) => bytes,
    }
}

fn text(error: KvError) -> String {
    match error {
        KvError::Invalid(text) | KvError::Limit(text) | KvError::Other(text) => text,
    }
}
