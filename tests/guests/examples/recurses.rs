//! Overflows its stack: the one of calls, which the host keeps, not the one in its own memory.

use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    Ok(depth(event.attempt.into()).to_string())
}

/// What is done with the result keeps this from becoming a loop; it has no locals that live in memory.
#[inline(never)]
fn depth(above: u64) -> u64 {
    if above == u64::MAX {
        1
    } else {
        depth(above + 1).wrapping_mul(31) ^ above
    }
}
