//! Overflows its stack.

use landfall_sdk::{Event, Failure, handler};
use std::hint::black_box;

#[handler]
fn on_event(_: Event) -> Result<String, Failure> {
    Ok(depth(black_box(1)).to_string())
}

/// Uses what comes back, so that it cannot become a loop; the array makes each frame large.
#[allow(unconditional_recursion)]
fn depth(above: u64) -> u64 {
    let frame = black_box([above; 16]);
    depth(above + 1).wrapping_add(frame[3])
}
