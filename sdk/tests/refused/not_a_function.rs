use landfall_sdk::handler;

#[handler]
struct Deploy;

fn main() {}
