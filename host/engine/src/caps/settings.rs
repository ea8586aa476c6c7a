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

    /// One setting: the text of a string, the JSON form of anything else.
    pub fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(text)
    }

    /// All of them in the same form.
    pub fn texts(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Host for Settings {
    fn get(&mut self, key: String) -> Option<String> {
        self.text(&key)
    }

    fn all(&mut self) -> String {
        serde_json::to_string(&*self.0).expect("a JSON map is JSON")
    }
}
