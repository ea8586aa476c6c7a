//! Links a component by the grants of its hook: what is not granted is not linked, and the refusal says so.

use wasmtime::component::Linker;

use super::caps;
use super::component::Component;
use super::inspect::{LoadError, grant_for};
use super::state::State;
use landfall_model::Allow;

/// A linker with what this hook may use.
pub fn linker(
    engine: &wasmtime::Engine,
    component: &Component,
    allow: &Allow,
) -> Result<Linker<State>, LoadError> {
    check_grants(component, allow)?;
    build(engine, component, allow).map_err(|error| {
        LoadError::passing(
            &component.inspected.file,
            format!("cannot be loaded: {error:#}"),
        )
    })
}

fn check_grants(component: &Component, allow: &Allow) -> Result<(), LoadError> {
    let inspected = &component.inspected;
    for (name, grant) in inspected
        .imports
        .iter()
        .filter_map(|import| grant_for(import))
    {
        let granted = match name {
            "table" => !allow.table.is_empty(),
            "kv" => allow.kv,
            "emit" => !allow.emit.is_empty(),
            _ => false,
        };
        if !granted {
            let message = format!(
                "wants `{name}`, which the hook file does not grant: add {grant} under [allow]"
            );
            return Err(LoadError::lasting(&inspected.file, message));
        }
    }
    Ok(())
}

fn build(
    engine: &wasmtime::Engine,
    component: &Component,
    allow: &Allow,
) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    if component.inspected.imports_wasi_http() {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    }
    caps::http::link_types(&mut linker)?;
    caps::log::link(&mut linker)?;
    caps::settings::link(&mut linker)?;
    caps::http::link(&mut linker)?;
    caps::config::link(&mut linker)?;
    caps::logging::link(&mut linker)?;
    if !allow.table.is_empty() {
        caps::table::link(&mut linker)?;
    }
    if allow.kv {
        caps::kv::link(&mut linker)?;
        caps::keyvalue::link(&mut linker)?;
    }
    if !allow.emit.is_empty() {
        caps::emit::link(&mut linker)?;
    }
    Ok(linker)
}
