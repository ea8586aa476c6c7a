use landfall_sdk::settings;

#[settings]
fn deploy() {}

fn main() {}
