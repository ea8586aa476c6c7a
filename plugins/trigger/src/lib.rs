//! Calls a URL if an event fulfils every condition, for example to deploy after a push to `main`.
//!
//! Any other event is done, and the log says why nothing was called.

use landfall_calls::{Condition, Target, skipped};
use landfall_sdk::{Event, Failure, Template, handler, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// What is called.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Template>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn trigger(event: Event) -> Result<(), Failure> {
    let Settings {
        when,
        url,
        method,
        headers,
        body,
    } = settings::all()?;
    if skipped(&when, &event, "triggered") {
        return Ok(());
    }
    let target = Target::new(url, method, headers, body);
    target.call(&event).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::json;
    use landfall_sdk::testing::{self, Host};

    fn host() -> Host {
        let when = json!([
            { "header": "x-github-event", "equals": "push" },
            { "json": "/ref", "equals": "refs/heads/main" },
        ]);
        testing::host()
            .setting("when", when)
            .setting("url", "https://deploy.example.com/run")
            .setting("body", "{\"commit\": {{ event.json.after | tojson }}}")
    }

    fn push(branch: &str) -> Event {
        let body = json!({ "ref": branch, "after": "abc123" });
        testing::post(body).header("X-GitHub-Event", "push").build()
    }

    #[test]
    fn pushes_to_main_make_the_call() {
        let host = host().answer("https://deploy.example.com/", 201, "");
        trigger(push("refs/heads/main")).unwrap();
        assert_eq!(
            host.calls()[0].body,
            Some("{\"commit\": \"abc123\"}".into())
        );
    }

    #[test]
    fn other_events_name_the_reason() {
        let host = host();
        trigger(push("refs/heads/next")).unwrap();
        let because = "info: not triggered: json /ref is \"refs/heads/next\"";
        assert_eq!(host.logs(), [because]);
        trigger(
            testing::post_raw("not json")
                .header("x-github-event", "push")
                .build(),
        )
        .unwrap();
        assert!(host.calls().is_empty());
    }

    #[test]
    fn failed_calls_fail_the_event() {
        let _host = host().answer("https://deploy.example.com/", 503, "");
        assert!(matches!(
            trigger(push("refs/heads/main")),
            Err(Failure::Retry { .. })
        ));
        let _host = host().answer("https://deploy.example.com/", 422, "");
        assert!(matches!(
            trigger(push("refs/heads/main")),
            Err(Failure::Reject { .. })
        ));
    }
}
