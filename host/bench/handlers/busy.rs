//! Computes for about 0.4 ms.

use std::hint::black_box;

use landfall_sdk::{Event, Failure, handler};

const ROUNDS: u32 = 300_000;

#[handler]
pub fn handle(_: Event) -> Result<String, Failure> {
    let mut hash: u32 = black_box(2_166_136_261);
    for round in 0..ROUNDS {
        hash = (hash ^ round).wrapping_mul(16_777_619);
    }

    Ok(format!("{hash:08x}"))
}
