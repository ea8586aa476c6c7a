//! Asks to be tried again, for a reason that no caller may see.

use landfall_sdk::{Event, Failure, handler};
use std::time::Duration;

#[handler]
fn on_event(_: Event) -> Result<(), Failure> {
    Err(Failure::retry_after(
        "secret reason",
        Duration::from_secs(7),
    ))
}
