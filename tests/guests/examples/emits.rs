//! Emits one event for each line of the body, `HOOK TEXT`, with the key of the header `key` and the kind of the header `kind`, if they
//! are there. Then fails on attempt 1 if the query is `fail`. The quick answer names the event; with the query `quick-none` there is no
//! reply, with `quick-error` it fails.

use landfall_sdk::emit::Emission;
use landfall_sdk::{Event, Failure, Reply, emit, handler, json, responder};

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    let text = event.text().ok_or_else(|| Failure::reject("no text"))?;
    let mut ids = Vec::new();
    for line in text.lines() {
        let (hook, body) = line.split_once(' ').unwrap_or((line, ""));
        let emission = emit::to(hook).body(body).header("x-from", "emits");
        let emission = Emission {
            key: event.header("key").map(str::to_owned),
            event_type: event.header("kind").map(str::to_owned),
            ..emission
        };
        ids.push(emission.send()?);
    }
    if event.query.as_deref() == Some("fail") && event.attempt == 1 {
        return Err(Failure::retry("asked to"));
    }
    Ok(ids.join("\n"))
}

#[responder]
fn quick(event: Event) -> Result<Option<Reply>, Failure> {
    match event.query.as_deref() {
        Some("slow") => std::thread::sleep(std::time::Duration::from_secs(30)),
        Some("trap") => panic!("asked to"),
        Some("quick-none") => return Ok(None),
        Some("quick-error") => return Err(Failure::retry("asked to")),
        _ => {}
    }
    Ok(Some(Reply::json(200, &json!({ "quick": event.id }))))
}
