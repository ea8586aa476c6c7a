use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(event: &Event) -> Result<(), Failure> {
    let _ = event;
    Ok(())
}

fn main() {}
