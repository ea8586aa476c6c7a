//! `wasi:config`: the hook's `[settings]` for components that know nothing of Landfall.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::drafts;
use crate::state::State;

/// The error of every draft. Reading settings never fails.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[allow(dead_code)]
enum ConfigError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type All = Vec<(String, String)>;

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for name in drafts::CONFIG {
        let mut interface = linker.instance(name)?;
        interface.func_wrap(
            "get",
            |store: StoreContextMut<'_, State>, (key,): (String,)| {
                Ok((Ok::<Option<String>, ConfigError>(
                    store.data().settings.text(&key),
                ),))
            },
        )?;
        interface.func_wrap("get-all", |store: StoreContextMut<'_, State>, ()| {
            Ok((Ok::<All, ConfigError>(store.data().settings.texts()),))
        })?;
    }
    Ok(())
}
