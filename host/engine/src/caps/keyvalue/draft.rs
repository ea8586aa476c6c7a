//! `wasi:keyvalue@0.2.0-draft`.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use super::bucket::{Bucket, HasView, View, text};
use crate::bindings::CapabilityError;

#[allow(missing_docs, clippy::pedantic)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/keyvalue-draft",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": crate::caps::keyvalue::bucket::Bucket },
    });
}

pub(super) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()>
where
    T: Send + 'static,
{
    store::add_to_linker::<T, HasView>(linker, context)?;
    atomics::add_to_linker::<T, HasView>(linker, context)?;
    batch::add_to_linker::<T, HasView>(linker, context)
}

/// What a function of this draft returns; the outer error is a trap.
type Answer<T> = wasmtime::Result<Result<T, store::Error>>;

impl From<CapabilityError> for store::Error {
    fn from(error: CapabilityError) -> store::Error {
        store::Error::Other(text(error))
    }
}

impl View<'_> {
    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.resources.get(bucket)?.clone())
    }
}

impl store::Host for View<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        match Bucket::open(&identifier) {
            Some(bucket) => Ok(Ok(self.resources.push(bucket)?)),
            None => Ok(Err(store::Error::NoSuchStore)),
        }
    }
}

impl store::HostBucket for View<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        Ok(self
            .bucket(&bucket)?
            .get(self.kv, &key)
            .await
            .map_err(Into::into))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        Ok(self
            .bucket(&bucket)?
            .set(self.kv, &key, value)
            .await
            .map_err(Into::into))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        Ok(self
            .bucket(&bucket)?
            .delete(self.kv, &key)
            .await
            .map_err(Into::into))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        let value = self.bucket(&bucket)?.get(self.kv, &key).await;
        Ok(value.map(|value| value.is_some()).map_err(Into::into))
    }

    /// A cursor is the number of keys that the pages before it had.
    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Answer<store::KeyResponse> {
        let bucket = self.bucket(&bucket)?;
        let wanted = cursor.unwrap_or(0);
        let (mut before, mut after) = (0, None);
        loop {
            let (keys, last) = match bucket.keys(self.kv, after).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error.into())),
            };
            let next = before + keys.len() as u64;
            if wanted < next || last.is_none() {
                let keys = keys
                    .into_iter()
                    .skip((wanted.saturating_sub(before)) as usize)
                    .collect();
                return Ok(Ok(store::KeyResponse {
                    keys,
                    cursor: last.map(|_| next),
                }));
            }
            (before, after) = (next, last);
        }
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.resources.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> Answer<u64> {
        let by = i64::try_from(delta).unwrap_or(i64::MAX);
        let sum = self.bucket(&bucket)?.increment(self.kv, &key, by).await;
        let unsigned = |sum: i64| {
            u64::try_from(sum)
                .map_err(|_| store::Error::Other(format!("`{}` is below 0", key.escape_debug())))
        };
        Ok(sum.map_err(Into::into).and_then(unsigned))
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let values = self.bucket(&bucket)?.get_many(self.kv, keys).await;
        Ok(values
            .map(|values| {
                values
                    .into_iter()
                    .map(|(key, value)| value.map(|value| (key, value)))
                    .collect()
            })
            .map_err(Into::into))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        values: Vec<(String, Vec<u8>)>,
    ) -> Answer<()> {
        Ok(self
            .bucket(&bucket)?
            .set_many(self.kv, values)
            .await
            .map_err(Into::into))
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        Ok(self
            .bucket(&bucket)?
            .delete_many(self.kv, keys)
            .await
            .map_err(Into::into))
    }
}
