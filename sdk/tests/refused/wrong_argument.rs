use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(_: Event, number: u32) -> Result<(), Failure> {
    let _ = number;
    Ok(())
}

fn main() {}
