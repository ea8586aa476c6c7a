//! Links a component by the grants of its hook. An interface that is not granted is not linked.

use wasmtime::component::Linker;

use super::caps::capability::Capability;
use super::caps::kv::Kv;
use super::caps::{self, Capabilities};
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
    for key in needed {
        if !allow.capabilities.contains(key.name) {
            let (name, line) = (key.name, key.line());
            let message = format!(
                "wants `{name}`, which the hook file does not grant: add {line} under [allow]"
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

    Capabilities::link(&mut linker, &allow.capabilities)?;
    if allow.capabilities.contains(Kv::KEY.name) {
        caps::keyvalue::link(&mut linker, AttemptState::keyvalue)?;
    }
    Ok(linker)
}
