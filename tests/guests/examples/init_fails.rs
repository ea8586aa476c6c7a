//! Its `init` fails.

use landfall_sdk::{Event, Failure, handler, init};

#[init]
fn prepare() -> Result<(), String> {
    Err("there is no template `push`".into())
}

#[handler]
fn on_event(_: Event) -> Result<(), Failure> {
    Ok(())
}
