//! Has one side effect of each kind for `{"n": N}`: counts N in `kv`, appends a row to `t` and emits the event to the
//! hook `sink`. With the query `look` it appends the content of `kv` to the table `looks`.

use landfall_sdk::{
    CapabilityError, Event, Failure, emit, handler, json, kv, serde_json::Value, table,
};

#[handler]
fn on_event(event: Event) -> Result<(), Failure> {
    if event.query.as_deref() == Some("look") {
        let keys = kv::list_keys("", None, 1000)?;
        let values: Vec<(String, String)> = keys
            .into_iter()
            .map(|key| Ok((key.clone(), kv::get_text(&key)?.unwrap_or_default())))
            .collect::<Result<_, CapabilityError>>()?;
        table::append("looks", &json!({ "values": values }))?;
        return Ok(());
    }
    let n = event.json::<Value>()?["n"].clone();
    kv::increment(&n.to_string(), 1)?;
    table::append("t", &json!({ "n": n }))?;
    emit::to("sink").json(&json!({ "n": n })).send()?;
    Ok(())
}
