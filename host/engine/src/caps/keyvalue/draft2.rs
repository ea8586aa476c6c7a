//! `wasi:keyvalue@0.2.0-draft2`.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use super::bucket::{Bucket, HasView, View, bytes, payload, text};
use crate::bindings::CapabilityError;
use crate::caps::kv::bindings::landfall::kv::kv::Host as _;
use landfall_model::MemoryHold;

#[allow(missing_docs, clippy::pedantic)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/keyvalue-draft2",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::caps::keyvalue::bucket::Bucket,
            "wasi:keyvalue/atomics.cas": crate::caps::keyvalue::draft2::Cas,
        },
    });
}

/// A value that is replaced only if it has not changed since it was read. The key includes the
/// prefix of its bucket. Generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Cas {
    key: String,
    seen: Option<Vec<u8>>,
    _held: MemoryHold,
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
    fn opened(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.resources.get(bucket)?.clone())
    }

    async fn seen(&mut self, key: String) -> Result<Cas, CapabilityError> {
        let seen = self.kv.get(key.clone()).await?.map(bytes);
        let held = self
            .kv
            .hold(key.len() + seen.as_ref().map_or(0, Vec::len))?;
        Ok(Cas {
            key,
            seen,
            _held: held,
        })
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
            .opened(&bucket)?
            .get(self.kv, &key)
            .await
            .map_err(Into::into))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        Ok(self
            .opened(&bucket)?
            .set(self.kv, &key, value)
            .await
            .map_err(Into::into))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        Ok(self
            .opened(&bucket)?
            .delete(self.kv, &key)
            .await
            .map_err(Into::into))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        let value = self.opened(&bucket)?.get(self.kv, &key).await;
        Ok(value.map(|value| value.is_some()).map_err(Into::into))
    }

    /// A cursor is the last key of the page before it.
    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Answer<store::KeyResponse> {
        let page = self.opened(&bucket)?.keys(self.kv, cursor).await;
        Ok(page
            .map(|(keys, cursor)| store::KeyResponse { keys, cursor })
            .map_err(Into::into))
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
        delta: i64,
    ) -> Answer<i64> {
        Ok(self
            .opened(&bucket)?
            .increment(self.kv, &key, delta)
            .await
            .map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Cas { key, seen, .. } = self.resources.delete(cas)?;
        let swapped = self
            .kv
            .compare_and_set(key.clone(), seen.map(payload), payload(value), None)
            .await;
        match swapped {
            Ok(true) => Ok(Ok(())),
            Ok(false) => match self.seen(key).await {
                Ok(now) => Ok(Err(atomics::CasError::CasFailed(self.resources.push(now)?))),
                Err(error) => Ok(Err(atomics::CasError::StoreError(error.into()))),
            },
            Err(error) => Ok(Err(atomics::CasError::StoreError(error.into()))),
        }
    }
}

impl atomics::HostCas for View<'_> {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Resource<Cas>> {
        let seen = match self.opened(&bucket)?.key(&key) {
            Ok(key) => self.seen(key).await,
            Err(error) => Err(error),
        };
        match seen {
            Ok(cas) => Ok(Ok(self.resources.push(cas)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Answer<Option<Vec<u8>>> {
        Ok(Ok(self.resources.get(&cas)?.seen.clone()))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.resources.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<(String, Option<Vec<u8>>)>> {
        let values = self.opened(&bucket)?.get_many(self.kv, keys).await;
        Ok(values.map_err(Into::into))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        values: Vec<(String, Vec<u8>)>,
    ) -> Answer<()> {
        Ok(self
            .opened(&bucket)?
            .set_many(self.kv, values)
            .await
            .map_err(Into::into))
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        Ok(self
            .opened(&bucket)?
            .delete_many(self.kv, keys)
            .await
            .map_err(Into::into))
    }
}
