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

const NO_MANIFEST: &str = ". The component has no manifest, which would list what it needs: `wasm-tools strip` removes it";

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
    let mut names: Vec<String> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for key in inspected.imports.iter().filter_map(|name| grant_for(name)) {
        let name = format!("`{}`", key.name);
        if !allow.capabilities.contains(key.name) && !names.contains(&name) {
            names.push(name);
            lines.push(key.line());
        }
    }
    if names.is_empty() {
        return Ok(());
    }

    let (names, lines) = (names.join(", "), lines.join(", "));
    let hint = if inspected.manifest.is_none() {
        NO_MANIFEST
    } else {
        ""
    };
    let message = format!(
        "wants {names}, which the hook file does not grant: add {lines} under [allow]{hint}"
    );
    Err(LoadError::lasting(&inspected.file, message))
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
