//! Stages a row in the `table` of its settings (`events` where nothing is said) and then rejects the event.

use landfall_sdk::{Event, Failure, handler, json, settings, table};

#[handler]
fn on_event(event: Event) -> Result<(), Failure> {
    let name = settings::get("table").unwrap_or_else(|| "events".to_owned());
    table::append(&name, &json!({ "id": event.id }))?;
    Err(Failure::reject("after the row"))
}
