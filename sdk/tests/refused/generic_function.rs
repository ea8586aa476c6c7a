use landfall_sdk::{Failure, FromEvent, handler};

#[handler]
fn on_event<T: FromEvent>(_: T) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
