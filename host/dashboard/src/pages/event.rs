//! One event: its way through the node, the request, the attempts, and what can be done with it.

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::attempt::{AttemptView, attempt_view};
use super::request::{as_curl, body_text, request_line};
use super::row::{Row, Time};
use super::timeline::{Step, answers, timeline};
use super::values::{list, pairs, text_of, visible_pairs};
use crate::api::{self, ApiError, Delivery};
use crate::curl::quote;
use crate::fields::{Fields, segment};
use crate::page::{self, Forms, Page, go_to, show};
use crate::pretty::pretty;
use crate::state::{Dashboard, Operator, Shared};
use crate::{live, text};

/// The most attempts on the page.
const ATTEMPTS_MAX: usize = 100;

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
    is_waiting: bool,
    is_erased: bool,
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

/// Replays an event, makes its next attempt due, discards or erases it.
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
        "erase" if !fields.has("confirm") => {
            let error = refused(
                400,
                "a removal cannot be undone: tick the box to confirm it",
            );
            return page::problem(&dashboard, &by, &error);
        }
        "erase" => ("erase", json!({ "events": [id] })),
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
        ("replay", 0) if answer["erased"].as_u64().unwrap_or(0) > 0 => {
            "not replayed: the event is erased, and nothing is left to run".to_owned()
        }
        ("replay", 0) => "not replayed: no delivery of the event can run again".to_owned(),
        ("replay", _) => "replayed: a new delivery of the event runs".to_owned(),
        ("retry-now", 0) => "nothing waits for a retry".to_owned(),
        ("retry-now", _) => "the next attempt is due now".to_owned(),
        ("erase", 0) if answer["open"].as_u64().unwrap_or(0) > 0 => {
            "not erased: the event waits or runs; discard it first".to_owned()
        }
        ("erase", 0) => "the event was erased before".to_owned(),
        ("erase", _) => "erased: the fact of the event stays".to_owned(),
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
        is_waiting: deliveries.iter().any(|one| one.state == "waiting"),
        is_erased: deliveries.iter().any(|one| one.erased_at.is_some()),
        deliveries: deliveries.iter().map(Row::new).collect(),
        problem: text::visible(event["problem"].as_str().unwrap_or_default()),
        hook: text::line(&hook, 64),
        id,
    }
}

fn link_to(related: &Value) -> Option<(String, String)> {
    let hook = related["hook"].as_str().unwrap_or_default();
    Some((related["event"].as_str()?.to_owned(), text::line(hook, 64)))
}

/// The page of an event, for links of other pages.
pub(super) fn event_path(id: &str) -> String {
    format!("/events/{}", segment(id))
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
}
