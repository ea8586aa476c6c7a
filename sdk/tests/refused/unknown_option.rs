use landfall_sdk::{Event, Failure, handler};

#[handler(route = "/push")]
fn on_event(_: Event) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
