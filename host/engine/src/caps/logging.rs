//! `wasi:logging`: lines of the attempt's log for components that know nothing of Landfall.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

use crate::drafts;
use crate::state::State;

/// The host makes values of it by `Lift` alone.
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

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for name in drafts::LOGGING {
        let mut interface = linker.instance(name)?;
        interface.func_wrap(
            "log",
            |store: StoreContextMut<'_, State>,
             (level, context, message): (Level, String, String)| {
                let text = if context.is_empty() {
                    message
                } else {
                    format!("{context}: {message}")
                };
                store.data().log.lines().push(level.word(), &text);
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
