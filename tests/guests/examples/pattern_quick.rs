//! A chat command: the caller is told at once that the work has begun, and the result is sent later.

use landfall_sdk::{Event, Failure, Reply, handler, http, json, responder, settings};

#[responder]
fn begin(_: Event) -> Result<Reply, Failure> {
    Ok(Reply::json(200, &json!({ "text": "Working on it…" })))
}

#[handler]
fn work(event: Event) -> Result<(), Failure> {
    let url = settings::get("url").ok_or_else(|| Failure::reject("[settings] url is missing"))?;
    let command = event.form_field("text").unwrap_or_default();
    let result = format!("{} is done", command.trim());
    http::Request::post(url)
        .json(&json!({ "text": result }))
        .send()?
        .error_for_status()?;
    Ok(())
}
