//! Sends each event to one or several targets, unchanged or through a template.
//!
//! Every target whose conditions hold is called, whatever the others answer. The event is done if
//! all of them accepted it.

use landfall_calls::{Condition, Target, mistake, skipped};
use landfall_sdk::{Event, Failure, handler, settings};
use serde::Deserialize;
use std::time::Duration;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// What is called: URLs, or tables.
    #[schemars(extend("minItems" = 1))]
    targets: Vec<Target>,
}

/// The result of the call of one target.
struct Outcome<'a> {
    url: &'a str,
    result: Result<u16, Failure>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn forward(event: Event) -> Result<(), Failure> {
    let Settings { when, targets } = settings::all()?;
    if targets.is_empty() {
        return Err(mistake("targets is empty"));
    }
    if skipped(&when, &event, "forwarded") {
        return Ok(());
    }
    let wanting = targets.iter().filter(|target| target.wants(&event));
    let outcomes: Vec<Outcome> = wanting
        .map(|target| Outcome {
            url: &target.url,
            result: target.call(&event),
        })
        .collect();
    match failure(&outcomes) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// One failure for all targets: the event runs again if any of them may still accept it.
fn failure(outcomes: &[Outcome]) -> Option<Failure> {
    let failures: Vec<&Failure> = outcomes
        .iter()
        .filter_map(|outcome| outcome.result.as_ref().err())
        .collect();
    if failures.is_empty() {
        return None;
    }
    let reason = reason(outcomes);
    if failures
        .iter()
        .any(|failure| matches!(failure, Failure::Retry { .. }))
    {
        return Some(Failure::Retry {
            reason,
            after: failures.into_iter().filter_map(wait).max(),
        });
    }
    Some(Failure::reject(reason))
}

fn wait(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Retry { after, .. } => *after,
        Failure::Defer { .. } | Failure::Reject { .. } => None,
    }
}

/// Names the targets that failed, each with its own reason.
fn reason(outcomes: &[Outcome]) -> String {
    let failed = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.url, outcome.result.as_ref().err()?)));
    failed
        .map(|(url, failure)| format!("{url}: {}", failure.reason()))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::http::Response;
    use landfall_sdk::serde_json::Value;
    use landfall_sdk::{Payload, json, testing};

    fn targets() -> testing::Host {
        testing::host().setting("targets", ["https://a.example/", "https://b.example/"])
    }

    #[test]
    fn every_target_gets_the_event() {
        let host =
            targets()
                .answer("https://a.example/", 200, "")
                .answer("https://b.example/", 202, "");
        forward(testing::event(json!({ "n": 1 }))).unwrap();
        let logs = [
            "info: POST https://a.example/: 200",
            "info: POST https://b.example/: 202",
        ];
        assert_eq!(host.logs(), logs);
        assert!(
            host.calls()
                .iter()
                .all(|call| call.body == Some(Payload::from("{\"n\":1}")))
        );
    }

    #[test]
    fn retries_name_the_failed_target() {
        let busy = Response {
            status: 503,
            headers: vec![("retry-after".into(), "9".into())],
            body: "".into(),
        };
        let host =
            targets()
                .answer_with("https://a.example/", busy)
                .answer("https://b.example/", 404, "");
        let reason = "https://a.example/: the call was answered with status 503; \
                      https://b.example/: the call was answered with status 404";
        let expected = Failure::retry_after(reason, Duration::from_secs(9));
        assert_eq!(forward(testing::event(json!({}))), Err(expected));
        assert_eq!(host.calls().len(), 2);
    }

    #[test]
    fn final_refusals_reject_the_event() {
        let _host =
            targets()
                .answer("https://a.example/", 200, "")
                .answer("https://b.example/", 410, "");
        let expected = Failure::reject("https://b.example/: the call was answered with status 410");
        assert_eq!(forward(testing::event(json!({}))), Err(expected));
    }

    #[test]
    fn targets_can_be_tables() {
        let target = json!({
            "url": "https://a.example/", "method": "PUT", "headers": { "x-from": "landfall" },
            "body": "{\"id\": {{ event.id | tojson }}}",
        });
        let host =
            testing::host()
                .setting("targets", [target])
                .answer("https://a.example/", 200, "");
        forward(testing::event(json!({}))).unwrap();
        let call = host.calls().remove(0);
        assert_eq!(
            (call.method.as_str(), &call.headers[0]),
            ("PUT", &("x-from".into(), "landfall".into()))
        );
        assert_eq!(
            call.body,
            Some("{\"id\": \"019c1234-5678-7abc-8def-0123456789ab\"}".into())
        );
    }

    #[test]
    fn targets_choose_what_they_get() {
        let picky =
            json!({ "url": "https://a.example/", "when": [{ "json": "/kind", "equals": "push" }] });
        let host = testing::host()
            .setting("targets", json!([picky, "https://b.example/"]))
            .setting("when", [json!({ "json": "/kind", "exists": true })])
            .answer("https://", 200, "");
        let calls = |body: Value| {
            let before = host.calls().len();
            forward(testing::event(body)).unwrap();
            host.calls().len() - before
        };
        assert_eq!(calls(json!({ "kind": "push" })), 2);
        assert_eq!(calls(json!({ "kind": "ping" })), 1);
        assert_eq!(calls(json!({})), 0);
        assert_eq!(
            host.logs().last().unwrap(),
            "info: not forwarded: json /kind is missing"
        );
    }

    #[test]
    fn wrong_settings_are_retried() {
        let _host = testing::host().setting("targets", [json!({ "uri": "https://a.example/" })]);
        let failure = forward(testing::event(json!({}))).unwrap_err();
        assert!(
            matches!(failure, Failure::Retry { reason, .. } if reason.starts_with("[settings]"))
        );
    }
}
