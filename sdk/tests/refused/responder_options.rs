use landfall_sdk::{Event, Failure, responder};

#[responder(settings = Deploy)]
fn now(_: Event) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
