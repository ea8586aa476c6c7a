//! Answers whether the body came as bytes, and how many there are.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Json, Payload, handler, json};

#[handler]
fn on_event(event: Event) -> Result<Json<Value>, Failure> {
    let binary = matches!(event.body, Payload::Binary(_));
    Ok(Json(
        json!({ "binary": binary, "length": event.bytes().len() }),
    ))
}
