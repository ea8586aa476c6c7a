//! `wasi:logging`: lines of the attempt's log for components that do not use the `landfall:hook`
//! package.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

use super::log::Log;
use crate::drafts;

/// Only `Lift` creates values of this type.
#[allow(dead_code)]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

/// Links the host functions. `context` finds the log in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Log,
) -> wasmtime::Result<()>
where
    T: 'static,
{
    for name in drafts::LOGGING {
        let mut interface = linker.instance(name)?;

        interface.func_wrap(
            "log",
            move |mut store: StoreContextMut<'_, T>,
                  (level, topic, message): (Level, String, String)| {
                let text = if topic.is_empty() {
                    message
                } else {
                    format!("{topic}: {message}")
                };
                context(store.data_mut()).lines().push(level.word(), &text);
                Ok(())
            },
        )?;
    }
    Ok(())
}

// === impl Level ===

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error | Level::Critical => "error",
        }
    }
}
