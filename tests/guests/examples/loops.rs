//! Never comes back.

use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(event: Event) -> Result<(), Failure> {
    loop {
        std::hint::black_box(&event);
    }
}
