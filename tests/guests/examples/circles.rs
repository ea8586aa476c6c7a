//! Emits its event to the hook that the setting `next` names.

use landfall_sdk::{Event, Failure, emit, handler, settings};

#[handler]
fn on_event(event: Event) -> Result<(), Failure> {
    let next = settings::get("next").ok_or_else(|| Failure::reject("no next"))?;
    emit::to(next)
        .body(event.text().unwrap_or_default())
        .send()?;
    Ok(())
}
