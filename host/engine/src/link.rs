//! Links a component by the grants of its hook. An interface that is not granted is not linked.

use wasmtime::component::Linker;

use super::caps;
use super::component::Component;
use super::contract::grant_for;
use super::load_error::LoadError;
use super::state::AttemptState;
use landfall_model::Allow;

/// A linker with the interfaces that this hook may use.
pub(crate) fn linker(
    engine: &wasmtime::Engine,
    component: &Component,
    allow: &Allow,
) -> Result<Linker<AttemptState>, LoadError> {
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
    let needed = inspected
        .imports
        .iter()
        .filter_map(|import| grant_for(import));
    for (name, grant) in needed {
        let is_granted = match name {
            "table" => !allow.table.is_empty(),
            "kv" => allow.kv,
            "emit" => !allow.emit.is_empty(),
            _ => false,
        };
        if !is_granted {
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
) -> wasmtime::Result<Linker<AttemptState>> {
    let mut linker = Linker::<AttemptState>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    if component.inspected.imports_wasi_http() {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    }

    caps::http::link_types(&mut linker, |state| &mut state.http)?;
    caps::http::link(&mut linker, |state| &mut state.http)?;
    caps::log::link(&mut linker, |state| &mut state.log)?;
    caps::logging::link(&mut linker, |state| &mut state.log)?;
    caps::settings::link(&mut linker, |state| &mut state.settings)?;
    caps::config::link(&mut linker, |state| &mut state.settings)?;

    if !allow.table.is_empty() {
        caps::table::link(&mut linker, |state| &mut state.table)?;
    }
    if allow.kv {
        caps::kv::link(&mut linker, |state| &mut state.kv)?;
        caps::keyvalue::link(&mut linker, AttemptState::keyvalue)?;
    }
    if !allow.emit.is_empty() {
        caps::emit::link(&mut linker, |state| &mut state.emit)?;
    }
    Ok(linker)
}
