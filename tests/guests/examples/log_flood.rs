//! Writes more log lines than an attempt keeps, to the log, standard output and standard error, and then answers normally.

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
