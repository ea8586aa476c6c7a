//! Answers with the time of day and random numbers, and logs a line of each kind.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Json, handler, json, log};
use std::time::SystemTime;

#[handler]
fn on_event(_: Event) -> Result<Json<Value>, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    log::info("the clock was read");
    println!("on standard output");
    eprintln!("on standard error");
    Ok(Json(json!({
        "now_s": now.as_secs(),
        "random": wasip2::random::random::get_random_u64().to_string(),
        "insecure": wasip2::random::insecure::get_insecure_random_u64().to_string(),
    })))
}
