use landfall_sdk::{Event, Failure, handler};

#[handler]
async fn on_event(_: Event) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
