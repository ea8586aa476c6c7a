//! Takes memory until there is none, and writes to it, so that it is really taken.

use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(_: Event) -> Result<(), Failure> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; 1 << 20]);
        std::hint::black_box(&taken);
    }
}
