//! Names of files that are not complete. The nodes and commands that share a directory must not
//! write the same file, and their process ids can be equal: each container counts its own.

use std::sync::OnceLock;

/// Part of the names: another one in each process.
pub(crate) fn process_tag() -> &'static str {
    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| {
        let mut bytes = [0; 8];
        match getrandom::fill(&mut bytes) {
            Ok(()) => hex::encode(bytes),
            // Without random numbers there is no key of the cache, and no node.
            Err(_) => std::process::id().to_string(),
        }
    })
}
