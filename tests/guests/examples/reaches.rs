//! Calls each line of the body and answers with a line for each: the status, or the name of the error.

use landfall_sdk::http::Request;
use landfall_sdk::{Event, Failure, handler};

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    let text = event.text().ok_or_else(|| Failure::reject("no text"))?;
    let end = |url: &str| match Request::get(url).send() {
        Ok(response) => response.status.to_string(),
        Err(error) => error.name().to_owned(),
    };
    Ok(text.split('\n').map(end).collect::<Vec<_>>().join("\n"))
}
