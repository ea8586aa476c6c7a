//! The names of files with machine code: by digest of the component, and by what affects the code
//! (wasmtime's version, its settings, this processor).

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::inspect::Inspected;
use crate::snapshot::SNAPSHOTTER;

/// What affects the machine code of a component, beside the component: part of the name of its
/// file.
pub(crate) struct Compatibility {
    /// Of a component without `init`.
    plain: String,
    /// Of one with `init`: the snapshotter too.
    with_init: String,
}

/// The file name of the machine code of a component.
pub(crate) fn file_name(engine: &wasmtime::Engine, inspected: &Inspected) -> String {
    Compatibility::of(engine).file_name(inspected)
}

// === impl Compatibility ===

impl Compatibility {
    pub(crate) fn of(engine: &wasmtime::Engine) -> Compatibility {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let plain = format!("{:016x}", hasher.finish());
        SNAPSHOTTER.hash(&mut hasher);
        Compatibility {
            plain,
            with_init: format!("{:016x}", hasher.finish()),
        }
    }

    pub(crate) fn file_name(&self, inspected: &Inspected) -> String {
        let hash = match inspected.init {
            Some(_) => &self.with_init,
            None => &self.plain,
        };
        format!("{}-{hash}.cwasm", inspected.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshotter_is_the_one_used() {
        let lock = include_str!("../../../../Cargo.lock");
        let (_, entry) = lock.split_once("name = \"wasmtime-wizer\"\n").unwrap();
        let version = entry.lines().next().unwrap().replace(['"', '='], "");
        let version = version.split_whitespace().last().unwrap();
        let expected = format!("wasmtime-wizer {version}, ");
        assert!(SNAPSHOTTER.starts_with(&expected), "{expected}");
    }
}
