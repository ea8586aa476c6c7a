//! Hands an event on to other hooks if it fulfils every condition.
//!
//! Any other event goes to the hooks in `otherwise`. Without them it is done, and the log says
//! which condition does not hold.

use landfall_calls::emission::{copy_with_headers, send};
use landfall_calls::{Condition, mistake, unmet};
use landfall_sdk::{Event, Failure, handler, log, settings};
use serde::Deserialize;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold.
    #[schemars(length(min = 1))]
    when: Vec<Condition>,
    /// Receive the events that fulfil every condition.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "x-landfall": "hook" }))]
    hooks: Vec<String>,
    /// Receive the other events.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "x-landfall": "hook" }))]
    otherwise: Vec<String>,
    /// Names of headers that are handed on, in addition to `content-type`.
    #[serde(default)]
    headers: Vec<String>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn filter(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    settings.check(&event)?;

    let unmet = unmet(&settings.when, &event);
    let hooks = match unmet {
        None => &settings.hooks,
        Some(_) => &settings.otherwise,
    };
    for hook in hooks {
        send(copy_with_headers(hook, &event, &settings.headers))?;
    }

    let because = unmet.map_or(String::new(), |because| format!(": {because}"));
    match hooks.is_empty() {
        true => log::info(format!("not handed on{because}")),
        false => log::info(format!("handed on to {}{because}", hooks.join(", "))),
    }
    Ok(())
}

impl Settings {
    fn check(&self, event: &Event) -> Result<(), Failure> {
        if self.when.is_empty() {
            return Err(mistake("`when` has no condition"));
        }
        if self.hooks.is_empty() && self.otherwise.is_empty() {
            return Err(mistake("`hooks` and `otherwise` name no hook"));
        }
        if self
            .hooks
            .iter()
            .chain(&self.otherwise)
            .any(|hook| *hook == event.hook)
        {
            return Err(mistake("the hook would hand events on to itself"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::json;
    use landfall_sdk::testing::{self, Host};

    fn host() -> Host {
        let when = json!([
            { "field": "event-type", "equals": "push" },
            { "header": "x-kind", "exists": true },
            { "json": "/ref", "equals": "refs/heads/main" },
        ]);
        testing::host()
            .setting("when", when)
            .setting("hooks", ["deploy", "archive"])
            .setting("headers", ["x-kind"])
    }

    fn push(branch: &str) -> Event {
        testing::post(json!({ "ref": branch }))
            .event_type("push")
            .header("X-Kind", "k")
            .header("X-Other", "o")
            .build()
    }

    fn emitted(host: &Host) -> Vec<String> {
        host.emissions().into_iter().map(|one| one.hook).collect()
    }

    #[test]
    fn matching_events_reach_every_hook() {
        let host = host();
        filter(push("refs/heads/main")).unwrap();
        assert_eq!(emitted(&host), ["deploy", "archive"]);
        assert_eq!(host.logs(), ["info: handed on to deploy, archive"]);
        let emission = host.emissions().remove(0);
        assert_eq!(emission.body, push("refs/heads/main").body);
        assert_eq!(emission.event_type.as_deref(), Some("push"));
        let names: Vec<&str> = emission
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["x-kind", "content-type"]);
    }

    #[test]
    fn other_events_name_the_reason() {
        let host = host();
        filter(push("refs/heads/next")).unwrap();
        filter(testing::post_raw("x").event_type("ping").build()).unwrap();
        assert!(emitted(&host).is_empty());
        assert_eq!(
            host.logs(),
            [
                "info: not handed on: json /ref is \"refs/heads/next\"",
                "info: not handed on: event-type is \"ping\"",
            ]
        );
    }

    #[test]
    fn other_events_have_hooks_too() {
        let host = host().setting("otherwise", ["rest"]);
        filter(push("refs/heads/next")).unwrap();
        assert_eq!(emitted(&host), ["rest"]);
        assert_eq!(
            host.logs(),
            ["info: handed on to rest: json /ref is \"refs/heads/next\""]
        );
    }

    #[test]
    fn useless_settings_are_refused() {
        for (key, value) in [
            ("when", json!([])),
            ("hooks", json!([])),
            ("hooks", json!(["test"])),
            ("otherwise", json!(["test"])),
        ] {
            let host = host().setting(key, &value);
            let outcome = filter(push("refs/heads/main"));
            assert!(
                matches!(outcome, Err(Failure::Retry { .. })),
                "{key} {value}"
            );
            assert!(host.emissions().is_empty());
        }
    }
}
