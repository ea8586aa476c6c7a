//! Calls the `url` of its settings, waits up to ten minutes for the answer, and then answers `awake`.

use std::time::Duration;

use landfall_sdk::http::Request;
use landfall_sdk::{Event, Failure, handler, settings};

#[handler]
fn on_event(_: Event) -> Result<&'static str, Failure> {
    let url = settings::get("url").ok_or_else(|| Failure::retry("no setting `url`"))?;
    Request::get(url).timeout(Duration::from_secs(600)).send()?;
    Ok("awake")
}
