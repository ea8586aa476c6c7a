//! Calls the `url` of its settings and answers with what came of it.

use landfall_sdk::http::Request;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Json, handler, json, settings};

#[handler]
fn on_event(_: Event) -> Result<Json<Value>, Failure> {
    let url = settings::get("url").ok_or_else(|| Failure::retry("no setting `url`"))?;
    Ok(Json(match Request::get(url).send() {
        Ok(response) => {
            json!({ "status": response.status, "headers": response.headers, "text": response.text() })
        }
        Err(error) => json!({ "error": error.name(), "text": error.to_string() }),
    }))
}
