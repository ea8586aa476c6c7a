//! Hands each event to several hooks: each takes it by itself, with its own retries, so that only the one that failed is tried
//! again.

use landfall_sdk::{Event, Failure, Reply, emit, handler, json, settings};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    hooks: Vec<String>,
    /// Names of headers that go along, beside `content-type`.
    #[serde(default)]
    headers: Vec<String>,
}

/// The one function of this component.
#[handler]
pub fn fan_out(event: Event) -> Result<Reply, Failure> {
    let Settings { hooks, headers } = settings::all()?;
    if hooks.is_empty() {
        return Err(Failure::retry("[settings] of the hook's file: hooks is empty"));
    }
    let along: Vec<(&String, &str)> = headers.iter().filter_map(|name| Some((name, event.header(name)?))).collect();
    let events = hooks.iter().map(|hook| {
        let emission = emit::to(hook).body(event.body.clone());
        let emission =
            event.header("content-type").into_iter().fold(emission, |one, value| one.header("content-type", value));
        along.iter().fold(emission, |one, (name, value)| one.header(name.as_str(), *value)).send()
    });
    let events: Vec<String> = events.collect::<Result<_, _>>()?;
    Ok(Reply::json(202, &json!({ "events": events })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::testing;

    #[test]
    fn every_hook_gets_an_event_of_its_own() {
        let host = testing::host().setting("hooks", ["a", "b"]).setting("headers", ["x-kind", "x-none"]);
        let event = testing::post(json!({ "n": 1 })).header("X-Kind", "k").header("X-Other", "o").build();
        assert_eq!(fan_out(event.clone()).unwrap().status, 202);
        let emissions = host.emissions();
        assert_eq!(emissions.iter().map(|one| one.hook.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let headers =
            [("content-type".to_owned(), "application/json".to_owned()), ("x-kind".to_owned(), "k".to_owned())];
        assert!(emissions.iter().all(|one| one.headers == headers && one.body == event.body));
    }

    #[test]
    fn no_hooks_are_a_mistake() {
        let _host = testing::host().setting("hooks", Vec::<String>::new());
        assert!(matches!(fan_out(testing::event(json!({}))), Err(Failure::Retry { .. })));
    }
}
