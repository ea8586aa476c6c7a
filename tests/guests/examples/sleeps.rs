//! Sleeps for `ms` of its settings (60 s where nothing is said) and then answers.

use landfall_sdk::{Event, Failure, handler, settings};
use std::time::Duration;

#[handler]
fn on_event(_: Event) -> Result<&'static str, Failure> {
    let ms = settings::get("ms").map_or(Ok(60_000), |ms| ms.parse())?;
    std::thread::sleep(Duration::from_millis(ms));
    Ok("awake")
}
