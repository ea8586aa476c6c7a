//! Parses the body and answers one field of it.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Reply, handler, json};

#[handler]
pub fn handle(event: Event) -> Result<Reply, Failure> {
    let body: Value = event.json()?;

    Ok(Reply::json(200, &json!({ "ref": body["ref"] })))
}
