//! Creates a task for each event: Google Cloud Tasks calls a URL with it, now or later.
//! Source: cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_calls::{Condition, google, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

const ENDPOINT: &str = "https://cloudtasks.googleapis.com";
/// The name is taken: the task was made by an earlier attempt.
const TAKEN: u16 = 409;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    project: String,
    location: String,
    queue: String,
    /// What the task calls: a template.
    url: Template,
    /// A template; without it the body goes out as it came.
    body: Option<Template>,
    /// Templates by name.
    #[serde(default)]
    headers: BTreeMap<String, Template>,
    /// A time as RFC 3339 has it: a template; without it the task is due at once.
    at: Option<Template>,
    /// In whose name it calls, with an ID token.
    account: Option<String>,
    /// Of that token; the URL, if nothing else.
    audience: Option<String>,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn cloud_tasks(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "created") {
        return Ok(());
    }
    let Settings {
        project,
        location,
        queue,
        endpoint,
        ..
    } = &settings;
    let endpoint = endpoint
        .as_deref()
        .unwrap_or(ENDPOINT)
        .trim_end_matches('/');
    let parent = format!("projects/{project}/locations/{location}/queues/{queue}");
    // The same for every attempt, so that it is made once.
    let name = format!("{parent}/tasks/{}", event.id);
    let task = json!({ "task": settings.task(&event, &name)? });
    let answer = send(Request::post(format!("{endpoint}/v2/{parent}/tasks")).json(&task))?;
    if answer.status == TAKEN {
        log::info(format!("created by an earlier attempt: {name}"));
    } else {
        google::checked(answer, &["INVALID_ARGUMENT"])?;
        log::info(format!("created: {name}"));
    }
    Ok(())
}

impl Settings {
    fn task(&self, event: &Event, name: &str) -> Result<Map<String, Value>, Failure> {
        let body = match &self.body {
            Some(template) => template.render(event)?.into_bytes(),
            None => event.bytes().to_vec(),
        };
        let mut headers = Map::new();
        if let Some(content_type) = event.header("content-type").filter(|_| self.body.is_none()) {
            headers.insert("Content-Type".into(), content_type.into());
        }
        for (name, template) in &self.headers {
            headers.insert(name.clone(), template.render(event)?.into());
        }
        let url = self.url.render(event)?;
        let mut request = json!({ "url": url, "httpMethod": "POST", "headers": headers, "body": STANDARD.encode(body) });
        if let Some(account) = &self.account {
            let audience = self.audience.as_ref().unwrap_or(&url);
            request["oidcToken"] = json!({ "serviceAccountEmail": account, "audience": audience });
        }
        let mut task = Map::from_iter([
            ("name".to_owned(), name.into()),
            ("httpRequest".to_owned(), request),
        ]);
        if let Some(at) = &self.at {
            task.insert("scheduleTime".into(), at.render(event)?.into());
        }
        Ok(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::testing::{self, Host};

    const TASKS: &str =
        "https://cloudtasks.googleapis.com/v2/projects/p/locations/l/queues/q/tasks";

    fn host() -> Host {
        let host = testing::host()
            .setting("project", "p")
            .setting("location", "l")
            .setting("queue", "q");
        host.setting("url", "https://work.example/{{ event.json.id }}")
            .setting("account", "a@p")
    }

    #[test]
    fn tasks_have_event_names_and_tokens() {
        let host = host()
            .setting("at", "{{ event.json.at }}")
            .answer(TASKS, 200, "{}");
        let event = testing::event(json!({ "id": 5, "at": "2030-01-01T00:00:00Z" }));
        cloud_tasks(event).unwrap();
        let name = "projects/p/locations/l/queues/q/tasks/019c1234-5678-7abc-8def-0123456789ab";
        assert_eq!(host.logs(), [format!("info: created: {name}")]);
        let sent = sent(&host);
        let task = &sent["task"];
        assert_eq!(
            (task["name"].as_str(), task["scheduleTime"].as_str()),
            (Some(name), Some("2030-01-01T00:00:00Z"))
        );
        let token = json!({ "serviceAccountEmail": "a@p", "audience": "https://work.example/5" });
        assert_eq!(
            (
                &task["httpRequest"]["oidcToken"],
                task["httpRequest"]["url"].as_str()
            ),
            (&token, Some("https://work.example/5"))
        );
    }

    #[test]
    fn existing_tasks_succeed_missing_queues_retry() {
        for (status, code, waits) in [
            (409, "ALREADY_EXISTS", None),
            (404, "NOT_FOUND", Some(true)),
            (429, "RESOURCE_EXHAUSTED", Some(true)),
            (400, "INVALID_ARGUMENT", Some(false)),
        ] {
            let error = json!({ "error": { "status": code, "message": "m" } });
            let _host = host().answer(TASKS, status, error.to_string());
            let outcome = cloud_tasks(testing::event(json!({})));
            let found = outcome
                .err()
                .map(|failure| matches!(failure, Failure::Retry { .. }));
            assert_eq!(found, waits, "{code}");
        }
    }
}
