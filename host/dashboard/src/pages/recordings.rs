//! Recorded attempts: what they saw and did, the command that runs them on another component, and
//! what came of it.

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::row::{Time, short};
use super::tries::{self, TryRow};
use super::values::{list, text_of};
use crate::api;
use crate::curl::quote;
use crate::fields::{Fields, link};
use crate::page::{Page, show};
use crate::pretty::pretty;
use crate::state::{Operator, Shared};
use crate::text;

/// Recordings on one page.
const SHOWN: &str = "25";
/// The first characters of a digest, which tell versions apart.
const DIGEST_SHOWN: usize = 12;

#[derive(Template)]
#[template(path = "recordings.html")]
struct RecordingsPage {
    page: Page,
    hook: String,
    hooks: Vec<(String, bool)>,
    is_failed: bool,
    since: String,
    recordings: Vec<RecordingView>,
    is_filtered: bool,
    older: String,
    /// The command that runs these attempts on another component; empty without a hook.
    command: String,
    /// Its published reports.
    tries: Vec<TryRow>,
    problem: String,
}

struct RecordingView {
    started: Time,
    event: String,
    short: String,
    attempt: String,
    outcome: String,
    component: String,
    calls: usize,
    rows: usize,
    /// The parts that were cut, and how many values are masked.
    notes: String,
    /// Indented JSON.
    content: String,
}

/// A page, as `GET /api/v1/recordings` answers it.
#[derive(Debug, Default, Deserialize)]
struct Found {
    recordings: Vec<Entry>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    attempt: u32,
    outcome: String,
    started_at: String,
    event: Option<Value>,
    recording: Option<Value>,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let names = dashboard.setup.admin.hooks.names();
    let hook = match fields.get("hook") {
        "" if names.len() == 1 => names[0].to_string(),
        hook => hook.to_owned(),
    };
    let failed = if fields.has("failed") { "true" } else { "" };
    let filter = [
        ("hook", hook.as_str()),
        ("failed", failed),
        ("since", fields.get("since")),
        ("event", fields.get("event")),
    ];
    let before = [("before", fields.get("before")), ("limit", SHOWN)];
    let asked = link("/recordings", &[&filter[..], &before[..]].concat());
    let (found, problem) = match api::get::<Found>(&dashboard.api, &asked).await {
        Ok(found) => (found, String::new()),
        Err(error) => (Found::default(), text::visible(&error.text)),
    };

    let tries = if hook.is_empty() {
        Ok(Vec::new())
    } else {
        tries::rows(&dashboard.api, &hook).await
    };
    let (tries, problem) = match tries {
        Ok(tries) => (tries, problem),
        Err(error) => (Vec::new(), text::visible(&error.text)),
    };
    let older = found.next.as_ref().map(|next| {
        let all = [&filter[..], &[("before", next.as_str())]].concat();
        link("/recordings", &all)
    });
    show(&RecordingsPage {
        page: Page::new(&dashboard, &by, "Recordings", "/recordings"),
        hooks: names
            .iter()
            .map(|name| (name.to_string(), **name == *hook))
            .collect(),
        is_failed: !failed.is_empty(),
        since: text::field(fields.get("since")),
        recordings: found.recordings.iter().map(recording_view).collect(),
        is_filtered: filter[1..].iter().any(|(_, value)| !value.is_empty()),
        older: older.unwrap_or_default(),
        command: command(&hook, !failed.is_empty()),
        tries,
        hook: text::line(&hook, 64),
        problem,
    })
}

fn command(hook: &str, is_failed: bool) -> String {
    if hook.is_empty() {
        return String::new();
    }
    let failed = if is_failed { " --failed" } else { "" };
    format!(
        "landfall try NEW.wasm --hook {}{failed} --publish",
        quote(hook)
    )
}

fn recording_view(entry: &Entry) -> RecordingView {
    let recording = entry.recording.clone().unwrap_or_default();
    let event = entry.event.as_ref().map(|event| text_of(&event["id"]));
    let event = event.unwrap_or_default();
    let digest = text_of(&recording["component"]);
    let content = pretty(&recording.to_string());
    RecordingView {
        started: Time::new(&entry.started_at),
        short: short(&event),
        event,
        attempt: entry.attempt.to_string(),
        outcome: text::line(&entry.outcome, 40),
        component: text::line(digest.get(..DIGEST_SHOWN).unwrap_or(&digest), 40),
        calls: list(&recording["calls"]).len(),
        rows: list(&recording["result"]["rows"]).len(),
        notes: notes(&recording),
        content: text::visible(&content.unwrap_or_else(|| recording.to_string())),
    }
}

fn notes(recording: &Value) -> String {
    let cut: Vec<&str> = list(&recording["truncated"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let masked = recording["masked_values"].as_u64().unwrap_or(0);
    let mut notes = Vec::new();
    if !cut.is_empty() {
        notes.push(format!("cut: {}", text::line(&cut.join(", "), 100)));
    }
    if masked > 0 {
        notes.push(text::count(masked, "masked value", "masked values"));
    }
    notes.join(", ")
}
