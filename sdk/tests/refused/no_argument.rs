use landfall_sdk::{Failure, handler};

#[handler]
fn on_event() -> Result<(), Failure> {
    Ok(())
}

fn main() {}
