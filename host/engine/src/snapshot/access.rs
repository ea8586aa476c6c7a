//! How the snapshotter reads the memories and globals of an instance: by functions that it has
//! added to the component.

use wasmtime::UpdateDeadline;
use wasmtime::component::{Lift, WasmList};
use wasmtime_wizer::ComponentInstanceState;

use super::init::Initialised;

/// An instance that is being read.
pub(super) struct Access<'a> {
    initialised: &'a mut Initialised,
    /// The first error. The snapshotter cannot receive one.
    error: Option<wasmtime::Error>,
}

// === impl Access ===

impl<'a> Access<'a> {
    pub(super) fn new(initialised: &'a mut Initialised) -> Access<'a> {
        let store = &mut initialised.store;
        store.data_mut().limiter.lift();
        // Only functions of the snapshotter run from now on. Their time is not that of `init`.
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        // A whole memory is one value.
        store.set_hostcall_fuel(usize::MAX);
        Access {
            initialised,
            error: None,
        }
    }

    /// Why what was read is not what is there.
    pub(super) fn error(self) -> Option<wasmtime::Error> {
        self.error
    }

    async fn value<R: Lift + 'static>(&mut self, interface: &str, function: &str) -> Option<R> {
        match self.call(interface, function).await {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    async fn call<R: Lift + 'static>(
        &mut self,
        interface: &str,
        function: &str,
    ) -> wasmtime::Result<R> {
        let Initialised {
            store, instance, ..
        } = &mut *self.initialised;
        let function = instance
            .get_export_index(&mut *store, None, interface)
            .and_then(|interface| {
                instance.get_export_index(&mut *store, Some(&interface), function)
            })
            .ok_or_else(|| wasmtime::Error::msg(format!("there is no {interface} {function}")))?;
        let function = instance.get_typed_func::<(), (R,)>(&mut *store, function)?;
        let (value,) = function.call_async(&mut *store, ()).await?;
        Ok(value)
    }
}

impl ComponentInstanceState for Access<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        match self.value::<WasmList<u8>>(instance, func).await {
            Some(bytes) => contents(bytes.as_le_slice(&self.initialised.store)),
            // It counts one answer for each memory.
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.value(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.value(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        let value: Option<f32> = self.value(instance, func).await;
        value.unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        let value: Option<f64> = self.value(instance, func).await;
        value.unwrap_or_default().to_bits()
    }
}
