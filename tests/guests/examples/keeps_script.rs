//! Does what the body says, a list of calls such as `[["set", KEY, VALUE], ["get", KEY], ["append", TABLE, ROW]]`, and answers a list
//! with the result of each. A call that fails has the result `{"error": NAME}`. With the header `x-fail` the attempt fails after it.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{CapabilityError, Event, Failure, handler, json, kv, table};

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    let calls: Vec<Vec<Value>> = event.json()?;
    let results: Vec<Value> = calls
        .iter()
        .map(|call| run(call).unwrap_or_else(|error| json!({ "error": error.name() })))
        .collect();
    if event.header("x-fail").is_some() {
        return Err(Failure::reject("as the header says"));
    }
    Ok(Value::from(results).to_string())
}

fn run(call: &[Value]) -> Result<Value, CapabilityError> {
    let text = |at: usize| call.get(at).and_then(Value::as_str).unwrap_or_default();
    let key = text(1);
    match text(0) {
        "set" => kv::set(key, text(2)).map(Value::from),
        "get" => kv::get_text(key).map(Value::from),
        "delete" => kv::delete(key).map(Value::from),
        "list" => kv::list_keys(key, None, 1000).map(Value::from),
        "append" => table::append(key, call.get(2).unwrap_or(&Value::Null)).map(Value::from),
        _ => Err(CapabilityError::Invalid("no such call".into())),
    }
}
