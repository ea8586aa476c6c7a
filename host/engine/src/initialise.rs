//! The `init` of a component without a snapshot: it runs in the instance of each event, before the
//! event.

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre};

use super::component::Component;
use super::snapshot::limits::FUNCTION;
use super::state::AttemptState;

/// The function that runs at the start of each event. `None`: there is no `init`, or events start
/// from what it has left.
pub(crate) fn init_of_each_event(component: &Component) -> Option<ComponentExportIndex> {
    let init = component.inspected.init.as_ref()?;
    if init.is_snapshotted() {
        return None;
    }

    let export = init.export.as_str();
    let interface = component.loaded.code.get_export_index(None, export)?;
    component
        .loaded
        .code
        .get_export_index(Some(&interface), FUNCTION)
}

/// An instance whose `init` has run. An error is a trap.
pub(crate) async fn instantiate(
    pre: &InstancePre<AttemptState>,
    store: &mut Store<AttemptState>,
    init: &ComponentExportIndex,
) -> wasmtime::Result<Instance> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let init = instance.get_typed_func::<(), (Result<(), String>,)>(&mut *store, init)?;
    let (ended,) = init.call_async(&mut *store, ()).await?;
    match ended {
        Ok(()) => Ok(instance),
        Err(text) => Err(wasmtime::Error::msg(format!("its init failed: {text}"))),
    }
}
