//! Writes far more than an attempt keeps, on every way there is, and then answers as if nothing had happened.

use landfall_sdk::{Event, Failure, handler, log};

#[handler]
fn on_event(_: Event) -> Result<&'static str, Failure> {
    let line = "shout ".repeat(170);
    for n in 0..1000 {
        log::info(format!("{n} {line}"));
        println!("{n} {line}");
        eprintln!("{n} {line}");
    }
    log::info("x".repeat(1 << 20));
    Ok("hoarse")
}
