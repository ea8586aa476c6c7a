//! Panics; the text is on standard error.

use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(_: Event) -> Result<(), Failure> {
    panic!("boom from the guest");
}
