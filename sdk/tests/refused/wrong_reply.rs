use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(_: Event) -> Result<u32, Failure> {
    Ok(200)
}

fn main() {}
