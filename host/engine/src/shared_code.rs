//! The machine code of a component is in memory once for all hooks that use it. A new instance can
//! then take the linear memory of an instance of any of these hooks; a memory of other code would
//! have to be mapped anew, which costs more than the rest of an event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::cache::code::Cached;

/// What is in use, by the name of its file.
#[derive(Default)]
pub(crate) struct SharedCode {
    in_use: Mutex<HashMap<String, Weak<Cached>>>,
}

// === impl SharedCode ===

impl SharedCode {
    /// `None`: no hook uses it.
    pub(crate) fn find(&self, file: &str) -> Option<Arc<Cached>> {
        landfall_model::lock(&self.in_use)
            .get(file)
            .and_then(Weak::upgrade)
    }

    /// Shares what was read from a file. If two hooks have read it at the same time, both get the
    /// one that came first.
    pub(crate) fn add(&self, file: String, read: Cached) -> Arc<Cached> {
        let mut in_use = landfall_model::lock(&self.in_use);
        if let Some(first) = in_use.get(&file).and_then(Weak::upgrade) {
            return first;
        }

        in_use.retain(|_, code| code.strong_count() > 0);
        let code = Arc::new(read);
        in_use.insert(file, Arc::downgrade(&code));
        code
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;

    use super::*;

    fn read(engine: &wasmtime::Engine) -> Cached {
        Cached {
            code: Component::new(engine, wat::parse_str("(component)").unwrap()).unwrap(),
            init: None,
        }
    }

    #[test]
    fn hooks_share_code_until_unused() {
        let (engine, shared) = (wasmtime::Engine::default(), SharedCode::default());
        let first = shared.add("a".into(), read(&engine));
        let second = shared.add("a".into(), read(&engine));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &shared.find("a").unwrap()));

        drop((first, second));
        assert!(shared.find("a").is_none());
        let _other = shared.add("b".into(), read(&engine));
        assert_eq!(landfall_model::lock(&shared.in_use).len(), 1);
    }
}
