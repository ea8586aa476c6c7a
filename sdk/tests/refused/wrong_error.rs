use landfall_sdk::{Event, handler};

#[handler]
fn on_event(_: Event) -> Result<(), String> {
    Ok(())
}

fn main() {}
