//! Answers "one": the other half of a pair that is swapped while the host runs.

use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(_: Event) -> Result<&'static str, Failure> {
    Ok("one")
}
