//! Links a component for its `init`: WASI and the log. Every other function is there, and ends
//! `init` when it is called.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceType};
use wasmtime::{Engine, StoreContextMut};

use super::state::InitState;
use crate::caps;

/// The packages of WASI that the linker has, behind which is nothing.
const WASI: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
const LOGS: [&str; 2] = ["landfall:hook/log@", "wasi:logging/"];
const ENVIRONMENT: &str = "wasi:cli/environment@";
const SEED: &str = "wasi:random/insecure-seed@";

/// `init` called a function that only a handler has.
#[derive(Debug, thiserror::Error)]
#[error("it called {0}")]
pub(super) struct Refused(pub(super) String);

/// The type of the resources of refused interfaces. There is never one.
struct NoResource;

pub(super) fn linker(
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<Linker<InitState>> {
    let mut linker = Linker::<InitState>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    caps::log::link(&mut linker, |state| &mut state.log)?;
    caps::logging::link(&mut linker, |state| &mut state.log)?;

    let component = component.component_type();
    let mut known: Vec<ResourceType> = Vec::new();
    // A version that the component names exactly replaces those of WASI that fit it.
    linker.allow_shadowing(true);
    for (name, import) in component.imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            continue;
        };
        if name.starts_with(ENVIRONMENT) {
            link_environment(&mut linker, name)?;
        } else if name.starts_with(SEED) {
            link_seed(&mut linker, name)?;
        }

        let is_offered = WASI
            .iter()
            .chain(&LOGS)
            .any(|prefix| name.starts_with(prefix));
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::Resource(resource) if !known.contains(&resource) => {
                    known.push(resource);
                    if !is_offered {
                        let ty = ResourceType::host::<NoResource>();
                        linker.instance(name)?.resource(item, ty, |_, _| Ok(()))?;
                    }
                }
                ComponentItem::ComponentFunc(_) if !is_offered => refuse(&mut linker, name, item)?,
                _ => {}
            }
        }
    }
    Ok(linker)
}

fn refuse(linker: &mut Linker<InitState>, interface: &str, item: &str) -> wasmtime::Result<()> {
    let called = format!("{interface} {item}");
    linker
        .instance(interface)?
        .func_new(item, move |_, _, _, _| {
            Err(wasmtime::Error::new(Refused(called.clone())))
        })
}

/// The variables of a hook are not known in `init`: there are none, and that is noted.
fn link_environment(linker: &mut Linker<InitState>, name: &str) -> wasmtime::Result<()> {
    let mut interface = linker.instance(name)?;
    interface.func_wrap(
        "get-environment",
        |mut store: StoreContextMut<'_, InitState>, (): ()| {
            store.data_mut().read_environment = true;
            Ok((Vec::<(String, String)>::new(),))
        },
    )?;
    interface.func_wrap(
        "get-arguments",
        |_: StoreContextMut<'_, InitState>, (): ()| Ok((Vec::<String>::new(),)),
    )?;
    interface.func_wrap(
        "initial-cwd",
        |_: StoreContextMut<'_, InitState>, (): ()| Ok((None::<String>,)),
    )
}

fn link_seed(linker: &mut Linker<InitState>, name: &str) -> wasmtime::Result<()> {
    linker.instance(name)?.func_wrap(
        "insecure-seed",
        |mut store: StoreContextMut<'_, InitState>, (): ()| Ok((store.data_mut().seed(),)),
    )
}
