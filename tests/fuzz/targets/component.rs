//! Any bytes as a component: the static check that comes before the compiler answers with imports and exports, or with a reason.

use landfall_engine::inspect;

pub(crate) fn run(data: &[u8]) {
    match inspect("fuzzed.wasm", data) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(inspected) => assert_eq!(inspected.size, data.len()),
    }
}
