//! For the native tests of handlers.

use landfall_sdk::serde_json::Value;
use landfall_sdk::testing::Host;

/// The JSON body of the first call.
///
/// # Panics
///
/// If there was no call, or its body is not JSON.
pub fn sent(host: &Host) -> Value {
    let body = host.calls().remove(0).body.expect("the call has a body");
    body.json().expect("the body is JSON")
}
