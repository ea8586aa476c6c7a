//! One event: its way through the node, the request, the attempts, and what can be done with it.

use std::time::{Duration, SystemTime};

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use landfall_model::Mode;
use serde_json::{Value, json};

use super::row::{Row, Time, outcome_tone};
use crate::api::{self, ApiError, Delivery};
use crate::curl::{curl, quote};
use crate::fields::{Fields, segment};
use crate::page::{self, Forms, Page, go_to, show};
use crate::pretty::pretty;
use crate::state::{Dashboard, Operator, Shared};
use crate::{live, text};

/// The most bytes of a body on the page. The rest can be saved.
const BODY_MAX: usize = 256 << 10;
/// The most characters of a log line or of an answer of an outbound call.
const LINE_MAX: usize = 2_000;
/// The most attempts, and the most log lines and calls of one attempt, on the page.
const ATTEMPTS_MAX: usize = 100;
const LINES_MAX: usize = 500;

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    page: Page,
    view: EventView,
}

#[derive(Template)]
#[template(path = "event_live.html")]
struct EventFragment {
    page: Forms,
    view: EventView,
}

struct EventView {
    id: String,
    hook: String,
    event_type: String,
    delivery_id: String,
    /// Why there is no request to show; empty if there is one.
    problem: String,
    request_line: String,
    received: Time,
    headers: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    /// The body as sent, or in hexadecimal digits.
    raw: String,
    /// The body as indented JSON; empty if it is none.
    pretty: String,
    body_note: String,
    timeline: Vec<Step>,
    deliveries: Vec<Row>,
    attempts: Vec<AttemptView>,
    parent: Option<(String, String)>,
    children: Vec<(String, String)>,
    curl: String,
    save: String,
    is_dead: bool,
    is_pending: bool,
}

/// A line of the timeline.
struct Step {
    /// The time since the event was received.
    offset: String,
    what: String,
    detail: String,
    tone: &'static str,
    /// Whether the step is a part of the one before.
    is_part: bool,
}

/// How a hook answers callers.
#[derive(Debug, Clone, Copy)]
struct Answers {
    mode: Mode,
    /// The time in which it answers.
    within: Duration,
}

struct AttemptView {
    title: String,
    tone: &'static str,
    reason: String,
    started: Time,
    duration: String,
    memory: String,
    component: String,
    effects: String,
    calls: Vec<CallView>,
    log: Vec<(String, String)>,
    log_note: String,
}

struct CallView {
    line: String,
    result: String,
    answer: String,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(id): Path<String>,
) -> Response {
    match view(&dashboard, &id).await {
        Ok(view) => show(&EventPage {
            page: Page::new(&dashboard, &by, &format!("Event {}", view.id), "/events"),
            view,
        }),
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

pub(crate) async fn live(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(id): Path<String>,
) -> Response {
    if let Err(mut error) = view(&dashboard, &id).await {
        // Text that is no id is the address of no event.
        if error.status == 400 {
            error.status = 404;
        }
        return page::problem(&dashboard, &by, &error);
    }

    let (shared, forms) = (dashboard.clone(), Forms::new(&by));
    live::stream(dashboard, by.session, move || {
        let (shared, id, page) = (shared.clone(), id.clone(), forms.clone());
        async move {
            let view = view(&shared, &id).await.ok()?;
            EventFragment { page, view }.render().ok()
        }
    })
}

/// The whole body as a file. It is never shown as a page.
pub(crate) async fn body(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(id): Path<String>,
) -> Response {
    let path = format!("/events/{}?whole=true", segment(&id));
    let shown: Value = match api::get(&dashboard.api, &path).await {
        Ok(shown) => shown,
        Err(error) => return page::problem(&dashboard, &by, &error),
    };

    let body = &shown["event"]["body"];
    let name = format!("{}.txt", text_of(&shown["id"]));
    match (body["text"].as_str(), body["hex"].as_str()) {
        (Some(text), _) => page::download(&name, "application/octet-stream", text.to_owned()),
        (None, hex) => {
            let name = name.replace(".txt", ".hex");
            let hex = hex.unwrap_or_default().to_owned();
            page::download(&name, "application/octet-stream", hex)
        }
    }
}

/// Replays an event, makes its next attempt due, or discards it.
pub(crate) async fn operate(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path((id, command)): Path<(String, String)>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let (what, order) = match command.as_str() {
        // A discarded event runs again too: the operator has opened it.
        "replay" => ("replay", json!({ "events": [id], "again": true })),
        "retry-now" => ("retry-now", json!({ "events": [id] })),
        "discard" if !fields.has("confirm") => {
            let error = refused(
                400,
                "a discard cannot be undone: tick the box to confirm it",
            );
            return page::problem(&dashboard, &by, &error);
        }
        "discard" => (
            "discard",
            json!({ "events": [id], "reason": fields.get("reason") }),
        ),
        _ => return page::problem(&dashboard, &by, &refused(404, "no command has this name")),
    };

    let path = format!("/{what}");
    let answer = api::post::<Value>(&dashboard.api, &by.caller, &path, &order).await;
    match answer {
        Ok(answer) => {
            dashboard.notify(&by, &describe(what, &answer));
            go_to(&event_path(&id))
        }
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

fn refused(status: u16, text: &str) -> ApiError {
    ApiError {
        status,
        text: text.to_owned(),
    }
}

/// What a command did, as a sentence.
fn describe(what: &str, answer: &Value) -> String {
    let changed = answer["events"].as_u64().or(answer["deliveries"].as_u64());
    let waiting = answer["waiting"].as_u64().unwrap_or(0);
    match (what, changed.unwrap_or(0)) {
        ("replay", 0) if waiting > 0 => "not replayed: the event waits or runs already".to_owned(),
        ("replay", 0) => "not replayed: no delivery of the event can run again".to_owned(),
        ("replay", _) => "replayed: a new delivery of the event runs".to_owned(),
        ("retry-now", 0) => "nothing waits for a retry".to_owned(),
        ("retry-now", _) => "the next attempt is due now".to_owned(),
        (_, 0) => "nothing was discarded: no delivery is dead or pending".to_owned(),
        (_, 1) => "the delivery is discarded".to_owned(),
        (_, count) => format!("{count} deliveries are discarded"),
    }
}

async fn view(dashboard: &Dashboard, id: &str) -> Result<EventView, ApiError> {
    let path = format!("/events/{}", segment(id));
    let shown: Value = api::get(&dashboard.api, &path).await?;
    Ok(event_view(dashboard, &shown))
}

fn event_view(dashboard: &Dashboard, shown: &Value) -> EventView {
    let event = &shown["event"];
    let id = text_of(&shown["id"]);
    let deliveries: Vec<Delivery> =
        serde_json::from_value(shown["deliveries"].clone()).unwrap_or_default();
    let hook = event["hook"]
        .as_str()
        .map(str::to_owned)
        .or_else(|| deliveries.first().map(|one| one.hook.clone()))
        .unwrap_or_default();
    let received_at = deliveries
        .first()
        .map_or("", |one| one.received_at.as_str());
    let attempts = list(&shown["attempts"]);
    let newest = attempts.len().saturating_sub(ATTEMPTS_MAX);
    let headers = pairs(&event["headers"]);

    let attributes = pairs(&event["attributes"]);
    let attribute = |name: &str| {
        let found = attributes.iter().find(|(known, _)| known == name);
        text::line(found.map_or("", |(_, value)| value.as_str()), 200)
    };
    let answers = answers(dashboard, &hook, shown);
    let (raw, body_note) = body_text(event);
    let pretty = event["body"]["text"].as_str().and_then(pretty);
    EventView {
        timeline: timeline(shown, &deliveries, attempts, received_at, answers),
        request_line: request_line(event),
        received: Time::new(received_at),
        curl: as_curl(dashboard, event, &headers),
        save: format!("landfall events save {} --as real", quote(&id)),
        headers: visible_pairs(headers),
        event_type: attribute("event-type"),
        delivery_id: attribute("delivery-id"),
        attributes: visible_pairs(attributes),
        raw,
        pretty: pretty.map(|text| text::visible(&text)).unwrap_or_default(),
        body_note,
        attempts: attempts[newest..].iter().rev().map(attempt_view).collect(),
        parent: link_to(&shown["parent"]),
        children: list(&shown["children"])
            .iter()
            .filter_map(link_to)
            .collect(),
        is_dead: deliveries.iter().any(|one| one.state == "dead"),
        is_pending: deliveries.iter().any(|one| one.state == "pending"),
        deliveries: deliveries.iter().map(Row::new).collect(),
        problem: text::visible(event["problem"].as_str().unwrap_or_default()),
        hook: text::line(&hook, 64),
        id,
    }
}

fn timeline(
    shown: &Value,
    deliveries: &[Delivery],
    attempts: &[Value],
    received_at: &str,
    answers: Option<Answers>,
) -> Vec<Step> {
    let verdict = &shown["verdict"];
    let mut steps = vec![Step::new("0 ms", "Received", String::new(), "plain")];
    if verdict["scheme"] == "none" {
        let detail = "the hook accepts every caller".to_owned();
        steps.push(Step::new("", "Not verified", detail, "busy"));
    } else if let Some(key) = verdict["key"].as_str() {
        let scheme = verdict["scheme"].as_str().unwrap_or("a scheme");
        let provider = verdict["provider"].as_str().unwrap_or("no provider pack");
        let what = match key.rsplit_once('#') {
            Some((_, number)) => format!("Verified by key {}", text::line(number, 20)),
            None => format!("Verified by {}", text::line(key, 80)),
        };
        steps.push(Step::new(
            "",
            &what,
            text::line(&format!("{scheme}, {provider}"), 120),
            "good",
        ));
    }
    for (number, one) in deliveries.iter().rev().enumerate() {
        let answers = answers.filter(|_| number == 0);
        let what = if one.replayed { "Replayed" } else { "Stored" };
        steps.push(Step::new(
            "",
            &format!("{what} as delivery {}", one.delivery),
            String::new(),
            "plain",
        ));
        if answers.is_some_and(|answers| answers.mode == Mode::Async) {
            let detail = "as soon as it was stored, because the mode of the hook is async";
            steps.push(Step::new("", "Answered", detail.to_owned(), "plain"));
        }
        let own = attempts
            .iter()
            .filter(|attempt| attempt["delivery"].as_i64() == Some(one.delivery));
        for (number, attempt) in own.take(ATTEMPTS_MAX).enumerate() {
            add_attempt(&mut steps, attempt, received_at);
            let answers = answers.filter(|_| number == 0);
            steps.extend(answers.and_then(|answers| answers.step(attempt, received_at)));
        }
        steps.push(last_step(one));
    }

    steps
}

fn add_attempt(steps: &mut Vec<Step>, attempt: &Value, received_at: &str) {
    let outcome = attempt["outcome"].as_str().unwrap_or("unknown");
    let ms = attempt["duration_ms"].as_f64().unwrap_or(0.0);
    let started = attempt["started_at"].as_str().unwrap_or_default();
    let number = attempt["number"].as_u64().unwrap_or(0);
    let what = format!("Attempt {number}: {}", text::line(outcome, 40));
    let mut detail = text::duration(ms);
    if let Some(reason) = attempt["reason"]
        .as_str()
        .filter(|reason| !reason.is_empty())
    {
        detail.push_str(&format!(": {}", text::line(reason, 300)));
    }

    steps.push(Step::new(
        &offset(received_at, started),
        &what,
        detail,
        outcome_tone(outcome),
    ));
    let effects = effects(&attempt["record"]);
    if !effects.is_empty() {
        steps.push(Step::part("Effects".to_owned(), effects));
    }
    for call in list(&attempt["record"]["calls"]).iter().take(LINES_MAX) {
        let call = call_view(call);
        steps.push(Step::part(call.line, call.result));
    }
}

/// How the hook answers callers now; `None` for an event without a caller.
fn answers(dashboard: &Dashboard, hook: &str, shown: &Value) -> Option<Answers> {
    let attributes = pairs(&shown["event"]["attributes"]);
    if attributes.iter().any(|(name, _)| name == "emitted-by") {
        return None;
    }

    let hook = dashboard.setup.admin.hooks.named(hook)?;
    Some(Answers {
        mode: hook.spec.mode,
        within: match hook.spec.mode {
            Mode::Sync => hook.sync_limit(),
            Mode::Async | Mode::Auto => hook.queued_limit(),
        },
    })
}

/// How a delivery stands.
fn last_step(one: &Delivery) -> Step {
    let row = Row::new(one);
    let what = match one.state.as_str() {
        "done" => "Done".to_owned(),
        "dead" => "Dead: no further attempt is made".to_owned(),
        "running" => "Runs now".to_owned(),
        _ => capitalised(&row.state),
    };
    let detail = [row.reason.as_str(), row.notes.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    Step::new("", &what, detail, row.tone)
}

fn attempt_view(attempt: &Value) -> AttemptView {
    let record = &attempt["record"];
    let outcome = attempt["outcome"].as_str().unwrap_or("unknown");
    let log = list(&record["log"]).iter().take(LINES_MAX).map(|line| {
        (
            text::line(line[0].as_str().unwrap_or("info"), 10),
            text::visible(&clip(line[1].as_str().unwrap_or_default())),
        )
    });
    let count = |name: &str| record[name].as_u64().unwrap_or(0);
    AttemptView {
        title: format!(
            "Delivery {}, attempt {}: {}",
            attempt["delivery"].as_i64().unwrap_or(0),
            attempt["number"].as_u64().unwrap_or(0),
            text::line(outcome, 40)
        ),
        tone: outcome_tone(outcome),
        reason: text::visible(attempt["reason"].as_str().unwrap_or_default()),
        started: Time::new(attempt["started_at"].as_str().unwrap_or_default()),
        duration: text::duration(attempt["duration_ms"].as_f64().unwrap_or(0.0)),
        memory: text::bytes(count("memory_bytes")),
        component: text::line(record["component"].as_str().unwrap_or("unknown"), 64),
        effects: match effects(record) {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        },
        calls: list(&record["calls"])
            .iter()
            .take(LINES_MAX)
            .map(call_view)
            .collect(),
        log: log.collect(),
        log_note: match record["log_truncated"].as_bool() {
            Some(true) => {
                "The handler wrote more than an attempt may: the rest was dropped.".to_owned()
            }
            _ => String::new(),
        },
    }
}

/// What an attempt stores if it succeeds; empty: nothing.
fn effects(record: &Value) -> String {
    const EFFECTS: [(&str, &str, &str); 3] = [
        ("rows", "row", "rows"),
        ("kv_writes", "value", "values"),
        ("emitted", "emitted event", "emitted events"),
    ];
    let counted = EFFECTS.map(|(name, one, more)| (record[name].as_u64().unwrap_or(0), one, more));
    let shown: Vec<String> = counted
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, more)| text::count(*count, one, more))
        .collect();
    shown.join(", ")
}

fn call_view(call: &Value) -> CallView {
    let ms = text::duration(call["ms"].as_f64().unwrap_or(0.0));
    let result = match (call["status"].as_u64(), call["error"].as_str()) {
        (Some(status), _) => format!("{status} in {ms}"),
        (None, error) => format!(
            "{} after {ms}: {}",
            error.unwrap_or("failed"),
            call["reason"].as_str().unwrap_or("no reason is known")
        ),
    };
    CallView {
        line: text::line(
            &format!(
                "{} {}",
                call["method"].as_str().unwrap_or("?"),
                call["url"].as_str().unwrap_or("?")
            ),
            300,
        ),
        result: text::line(&result, 300),
        answer: text::visible(&clip(call["answer"].as_str().unwrap_or_default())),
    }
}

/// The body, and what is to know about it.
fn body_text(event: &Value) -> (String, String) {
    let bytes = event["body_bytes"].as_u64().unwrap_or(0);
    let size = text::bytes(bytes);
    let (shown, form) = match (
        event["body"]["text"].as_str(),
        event["body"]["hex"].as_str(),
    ) {
        (Some(text), _) => (text::visible(text), "text"),
        (None, hex) => (
            hex.unwrap_or_default().to_owned(),
            "not text: in hexadecimal digits",
        ),
    };
    let note = if bytes as usize > BODY_MAX {
        format!(
            "{size}, {form}. The first {} are shown.",
            text::bytes(BODY_MAX as u64)
        )
    } else {
        format!("{size}, {form}.")
    };
    (shown, note)
}

fn request_line(event: &Value) -> String {
    let query = event["query"].as_str().map(|query| format!("?{query}"));
    let line = format!(
        "{} {}{}",
        event["method"].as_str().unwrap_or("?"),
        event["path"].as_str().unwrap_or("?"),
        query.unwrap_or_default()
    );
    text::line(&line, 500)
}

/// Masked headers are left out: the node that receives the command refuses it if they prove the
/// sender.
fn as_curl(dashboard: &Dashboard, event: &Value, headers: &[(String, String)]) -> String {
    let (Some(method), Some(path)) = (event["method"].as_str(), event["path"].as_str()) else {
        return String::new();
    };
    let target = match event["query"].as_str() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let known: Vec<(String, String)> = headers
        .iter()
        .filter(|(_, value)| value != "(masked)")
        .cloned()
        .collect();
    let body: &[u8] = match (event["body"]["text"].as_str(), event["body_bytes"].as_u64()) {
        (Some(text), Some(bytes)) if text.len() as u64 == bytes => text.as_bytes(),
        // Not text, or not whole: `body.bin`.
        _ => &[0xff],
    };
    curl(method, &dashboard.public_url(&target), &known, body)
}

fn link_to(related: &Value) -> Option<(String, String)> {
    let hook = related["hook"].as_str().unwrap_or_default();
    Some((related["event"].as_str()?.to_owned(), text::line(hook, 64)))
}

/// The milliseconds between two times in RFC 3339.
fn ms_between(from: &str, to: &str) -> Option<f64> {
    let since = |text: &str| {
        let at = humantime::parse_rfc3339_weak(text).ok()?;
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(since.as_secs_f64() * 1000.0)
    };
    Some(since(to)? - since(from)?)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pairs = list(value).iter();
    pairs
        .map(|pair| (text_of(&pair[0]), text_of(&pair[1])))
        .collect()
}

fn visible_pairs(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (text::line(&name, 200), text::line(&value, LINE_MAX)))
        .collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn clip(text: &str) -> String {
    let mut cut: String = text.chars().take(LINE_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A time after the reception.
fn after(ms: f64) -> String {
    format!("+{}", text::duration(ms.max(0.0).round()))
}

fn offset(from: &str, to: &str) -> String {
    ms_between(from, to).map_or_else(String::new, after)
}

/// The page of an event, for links of other pages.
pub(super) fn event_path(id: &str) -> String {
    format!("/events/{}", segment(id))
}

// === impl Answers ===

impl Answers {
    /// The answer after the first attempt; `None` in mode `async`, which answers before it.
    fn step(self, attempt: &Value, received_at: &str) -> Option<Step> {
        let started = attempt["started_at"].as_str().unwrap_or_default();
        let waited = ms_between(received_at, started)?.max(0.0);
        let ended = waited + attempt["duration_ms"].as_f64().unwrap_or(0.0);
        let is_done = attempt["outcome"] == "done";
        let is_in_time = ended <= self.within.as_secs_f64() * 1000.0;
        let detail = match (self.mode, is_done, is_in_time) {
            (Mode::Async, ..) => return None,
            (_, true, true) => match attempt["status"].as_u64() {
                Some(status) => format!("with the handler's reply, status {status}"),
                None => "as the provider expects it".to_owned(),
            },
            (Mode::Sync, _, false) => "with 504: the attempt took longer".to_owned(),
            (Mode::Sync, false, true) => "with a failure, which the mode sync passes on".to_owned(),
            (Mode::Auto, false, true) => "as accepted: the attempt failed".to_owned(),
            (Mode::Auto, _, false) => {
                let within = text::duration(self.within.as_secs_f64() * 1000.0);
                format!("as accepted after {within}: the attempt took longer")
            }
        };
        let ended = if is_in_time {
            after(ended)
        } else {
            String::new()
        };
        Some(Step::new(&ended, "Answered", detail, "plain"))
    }
}

// === impl Step ===

impl Step {
    fn new(offset: &str, what: &str, detail: String, tone: &'static str) -> Step {
        Step {
            offset: offset.to_owned(),
            what: what.to_owned(),
            detail,
            tone,
            is_part: false,
        }
    }

    fn part(what: String, detail: String) -> Step {
        Step {
            what,
            detail,
            is_part: true,
            ..Step::new("", "", String::new(), "plain")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_described() {
        for (what, answer, text) in [
            (
                "replay",
                json!({ "events": 1 }),
                "replayed: a new delivery of the event runs",
            ),
            (
                "replay",
                json!({ "events": 0, "waiting": 1 }),
                "not replayed: the event waits or runs already",
            ),
            (
                "retry-now",
                json!({ "deliveries": 0 }),
                "nothing waits for a retry",
            ),
            (
                "discard",
                json!({ "deliveries": 2 }),
                "2 deliveries are discarded",
            ),
        ] {
            assert_eq!(describe(what, &answer), text);
        }
    }

    #[test]
    fn answers_follow_the_mode() {
        let answers = |mode| Answers {
            mode,
            within: Duration::from_secs(8),
        };
        let attempt = |outcome, ms: f64, status: Option<u16>| json!({ "outcome": outcome, "duration_ms": ms, "status": status, "started_at": "2026-01-31T08:15:30.010Z" });
        for (mode, attempt, offset, detail) in [
            (
                Mode::Auto,
                attempt("done", 20.0, Some(201)),
                "+30 ms",
                "with the handler's reply, status 201",
            ),
            (
                Mode::Auto,
                attempt("retry", 20.0, None),
                "+30 ms",
                "as accepted: the attempt failed",
            ),
            (
                Mode::Auto,
                attempt("done", 9_000.0, None),
                "",
                "as accepted after 8.0 s: the attempt took longer",
            ),
            (
                Mode::Sync,
                attempt("trap", 1.0, None),
                "+11 ms",
                "with a failure, which the mode sync passes on",
            ),
        ] {
            let step = answers(mode)
                .step(&attempt, "2026-01-31T08:15:30Z")
                .unwrap();
            assert_eq!(
                (step.offset.as_str(), step.detail.as_str()),
                (offset, detail)
            );
        }
        let done = attempt("done", 1.0, None);
        assert!(
            answers(Mode::Async)
                .step(&done, "2026-01-31T08:15:30Z")
                .is_none()
        );
    }

    #[test]
    fn offsets_count_from_the_reception() {
        assert_eq!(
            offset("2026-01-31T08:15:30.000Z", "2026-01-31T08:15:30.120Z"),
            "+120 ms"
        );
        assert_eq!(offset("", "2026-01-31T08:15:30Z"), "");
    }

    #[test]
    fn failed_calls_say_why() {
        let call = json!({ "method": "GET", "url": "https://x/\u{1b}", "ms": 3.0, "error": "denied", "reason": "not allowed" });
        let view = call_view(&call);
        assert_eq!(view.line, "GET https://x/\u{241b}");
        assert_eq!(view.result, "denied after 3 ms: not allowed");
    }
}
