//! `settings`: the hook's `[settings]`, as text.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::v0_1::landfall::hook::settings::{Host, add_to_linker};

/// The context of `settings`: shared by all attempts of a hook.
#[derive(Clone)]
pub(crate) struct Settings(Arc<Table>);

struct Table {
    values: Arc<Map<String, Value>>,
    /// All of them as one JSON object, from the first time that a component asks for it.
    json: OnceLock<String>,
}

/// Links the host functions. `context` finds the capability in the state of a store.
pub(crate) fn link<T>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Settings,
) -> wasmtime::Result<()>
where
    T: 'static,
{
    add_to_linker::<T, HasSelf<Settings>>(linker, context)
}

// === impl Settings ===

impl Settings {
    pub(crate) fn new(table: Map<String, Value>) -> Settings {
        Settings(Arc::new(Table {
            values: Arc::new(table),
            json: OnceLock::new(),
        }))
    }

    /// The whole table.
    pub(crate) fn table(&self) -> &Arc<Map<String, Value>> {
        &self.0.values
    }

    /// One setting: the text of a string, the JSON form of another value.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.0.values.get(key).map(text)
    }

    /// All settings in the same form.
    pub(crate) fn texts(&self) -> Vec<(String, String)> {
        let values = self.0.values.iter();
        values
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
        let Table { values, json } = &*self.0;
        json.get_or_init(|| serde_json::to_string(&**values).expect("a JSON map is JSON"))
            .clone()
    }
}
