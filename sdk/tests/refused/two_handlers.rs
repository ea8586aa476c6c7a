use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_push(_: Event) -> Result<(), Failure> {
    Ok(())
}

#[handler]
fn on_release(_: Event) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
