use landfall_sdk::{Event, Failure, handler};

#[handler(manifest = "../../../tmp/wrong.toml")]
fn on_event(_: Event) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
