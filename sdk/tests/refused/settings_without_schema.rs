use landfall_sdk::{Event, Failure, handler};

#[derive(landfall_sdk::serde::Deserialize)]
#[serde(crate = "landfall_sdk::serde")]
struct Deploy {}

#[handler(settings = Deploy)]
fn on_event(_: Event) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
