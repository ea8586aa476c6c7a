//! Its `init` reads a setting, which only a handler can.

use landfall_sdk::{Event, Failure, handler, init, settings};

#[init]
fn prepare() {
    settings::get("branch");
}

#[handler]
fn on_event(_: Event) -> Result<(), Failure> {
    Ok(())
}
