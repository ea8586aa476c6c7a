//! Answers its version: sixteen digits that a test writes into the bytes of the component, without a compiler.

use landfall_sdk::{Event, Failure, handler};

static MARKED: &str = "landfall-version:0000000000000000";

#[handler]
fn on_event(_: Event) -> Result<String, Failure> {
    // So that the digits are data, not part of an instruction.
    let marked = std::hint::black_box(MARKED);
    Ok(marked.rsplit(':').next().unwrap_or_default().to_owned())
}
