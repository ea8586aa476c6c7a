//! Emits one event for each line of the body, `HOOK TEXT`, with the key of the header `key` if there is one; fails afterwards on
//! attempt 1 if the query says `fail`. As a quick answer it says which event it was.

use landfall_sdk::{Event, Failure, Reply, emit, handler, json, responder};

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    let text = event.text().ok_or_else(|| Failure::reject("no text"))?;
    let mut ids = Vec::new();
    for line in text.lines() {
        let (hook, body) = line.split_once(' ').unwrap_or((line, ""));
        let emission = emit::to(hook).body(body).header("x-from", "emits");
        let emission = if let Some(key) = event.header("key") {
            emission.key(key)
        } else {
            emission
        };
        ids.push(emission.send()?);
    }
    if event.query.as_deref() == Some("fail") && event.attempt == 1 {
        return Err(Failure::retry("asked to"));
    }
    Ok(ids.join("\n"))
}

#[responder]
fn quick(event: Event) -> Result<Reply, Failure> {
    match event.query.as_deref() {
        Some("slow") => std::thread::sleep(std::time::Duration::from_secs(30)),
        Some("trap") => panic!("asked to"),
        _ => {}
    }
    Ok(Reply::json(200, &json!({ "quick": event.id })))
}
