//! `wasi:keyvalue`: the values of `kv` for components that do not use the `landfall:hook` package,
//! with the same grant, limits and quota. Writes are staged like those of `kv`.

mod bucket;
mod draft;
mod draft2;

use wasmtime::component::Linker;

pub(crate) use bucket::View;

/// Links both drafts. `context` finds the values and the resources in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()>
where
    T: Send + 'static,
{
    draft::link(linker, context)?;
    draft2::link(linker, context)
}
