//! Refuses the event for good, for a reason that no caller may see.

use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(_: Event) -> Result<(), Failure> {
    Err(Failure::reject("secret reason"))
}
