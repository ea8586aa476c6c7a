//! Any text as a hook file: an error names the file, and a hook file without one gives a verifier or the reason why not.

use std::path::Path;

use landfall_config::{HookSource, parse_hook};
use landfall_engine::CAPABILITIES;
use landfall_verify::{Packs, Verifier};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let name = "fuzzed".parse().expect("it is the name of a hook");
    let source = HookSource {
        name: &name,
        text,
        manifest: None,
        dir: Path::new("/plugins"),
        capabilities: CAPABILITIES,
    };
    match parse_hook(source) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("fuzzed.toml"), "{said}: {text}");
        }
        Ok(spec) => {
            if let Err(error) = Verifier::build(&spec.verify, &Packs::default()) {
                assert!(!error.to_string().is_empty(), "{text}");
            }
        }
    }
}
