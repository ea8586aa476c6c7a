//! `wasi:config`: the hook's `[settings]` for components that do not use the `landfall:hook`
//! package.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use super::settings::Settings;
use crate::drafts;

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

type Pairs = Vec<(String, String)>;

/// Links the host functions. `context` finds the settings in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Settings,
) -> wasmtime::Result<()>
where
    T: 'static,
{
    for name in drafts::CONFIG {
        let mut interface = linker.instance(name)?;

        interface.func_wrap(
            "get",
            move |mut store: StoreContextMut<'_, T>, (key,): (String,)| {
                let value = context(store.data_mut()).text(&key);
                Ok((Ok::<Option<String>, ConfigError>(value),))
            },
        )?;
        interface.func_wrap("get-all", move |mut store: StoreContextMut<'_, T>, ()| {
            let pairs = context(store.data_mut()).texts();
            Ok((Ok::<Pairs, ConfigError>(pairs),))
        })?;
    }
    Ok(())
}
