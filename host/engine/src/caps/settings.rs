//! `settings`: the hook's `[settings]`, as text.

use std::sync::Arc;

use serde_json::{Map, Value};
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::v0_1::landfall::hook::settings::{Host, add_to_linker};
use crate::state::State;

/// The context of `settings`: shared by all attempts of a hook.
#[derive(Clone)]
pub struct Settings(Arc<Map<String, Value>>);

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker::<State, HasSelf<Settings>>(linker, |state| &mut state.settings)
}

// === impl Settings ===

impl Settings {
    pub fn new(table: Map<String, Value>) -> Settings {
        Settings(Arc::new(table))
    }
}

impl Host for Settings {
    fn get(&mut self, key: String) -> Option<String> {
        self.0.get(&key).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    fn all(&mut self) -> String {
        serde_json::to_string(&*self.0).expect("a JSON map is JSON")
    }
}
