//! Calls a URL when an event fulfils every condition: a deployment on a push to main, say.
//!
//! An event that does not is done, and the answer says why nothing was triggered.

use landfall_calls::{Condition, Target, skipped};
use landfall_sdk::{Event, Failure, Reply, Template, handler, json, settings};
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
    #[schemars(extend("x-landfall" = "url"))]
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Template>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn trigger(event: Event) -> Result<Reply, Failure> {
    let Settings {
        when,
        url,
        method,
        headers,
        body,
    } = settings::all()?;
    if let Some(reply) = skipped(&when, &event, "triggered") {
        return Ok(reply);
    }
    let status = Target::new(url, method, headers, body).call(&event)?;
    Ok(Reply::json(
        200,
        &json!({ "triggered": true, "status": status }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let reply = trigger(push("refs/heads/main")).unwrap();
        assert_eq!(
            reply,
            Reply::json(200, &json!({ "triggered": true, "status": 201 }))
        );
        assert_eq!(
            host.calls()[0].body,
            Some("{\"commit\": \"abc123\"}".into())
        );
    }

    #[test]
    fn other_events_name_the_reason() {
        let host = host();
        let reply = trigger(push("refs/heads/next")).unwrap();
        let because = "json /ref is \"refs/heads/next\"";
        assert_eq!(
            reply,
            Reply::json(200, &json!({ "triggered": false, "because": because }))
        );
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
            Err(Failure::Reject(_))
        ));
    }
}
