//! Sends a signed sample to a hook, as its provider would: to see the verdict and the event.

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use landfall_hooks::Hook;
use landfall_ledger::Filter;
use landfall_verify::{SampleError, SignedSample};
use serde::Serialize;
use serde_json::Value;

use super::event::event_path;
use super::sample::{Edits, command, for_hook, with_placeholder, with_wrong_secret};
use super::tamper::{Tamper, change_body};
use crate::fields::{Fields, link};
use crate::page::{Page, show, show_refused};
use crate::pretty::pretty;
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

/// The most characters of an answer on the page.
const ANSWER_MAX: usize = 10_000;
/// The most bytes of a body to edit.
const BODY_MAX: usize = 1 << 20;

#[derive(Template)]
#[template(path = "send.html")]
struct SendPage {
    page: Page,
    hooks: Vec<(String, bool)>,
    hook: String,
    /// The provider of the hook, or its scheme.
    provider: String,
    event: String,
    body: String,
    /// What the tamper switch changes; empty if there is no switch.
    tamper: &'static str,
    /// What a changed body proves of this hook; empty if the switch changes the body.
    tamper_note: String,
    is_tampered: bool,
    headers: Vec<(String, String)>,
    target: String,
    curl: String,
    curl_note: String,
    problem: String,
    sent: Option<SentView>,
}

struct SentView {
    status: u16,
    tone: &'static str,
    words: String,
    answer: String,
    /// Where the result is: the event, or the reason of the refusal.
    link: String,
    link_text: &'static str,
}

/// What was sent, in the audit record.
#[derive(Serialize)]
struct SentDetail {
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    event_type: String,
    bytes: usize,
    tampered: bool,
}

/// What came of it. The audit record has no body.
#[derive(Serialize)]
#[serde(untagged)]
enum Sent {
    Answered {
        answered: u16,
        #[serde(skip)]
        body: String,
    },
    Failed {
        error: String,
    },
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let mut view = send_page(&dashboard, &by, &fields);
    // A signed request makes an event, and who may only read makes none.
    if !by.session.may_change() {
        view.problem = "Samples are signed with the secret of the hook: log in with the token of \
                        admin.token to see and to send them."
            .to_owned();
        return show(&view);
    }
    if let Some(hook) = dashboard.setup.admin.hooks.named(&view.hook) {
        prepare(&dashboard, &hook, &mut view, None);
    }
    show(&view)
}

/// Signs the body as it was edited, tampers with the request if the switch is on, and sends it.
pub(crate) async fn send(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let mut view = send_page(&dashboard, &by, &fields);
    let Some(hook) = dashboard.setup.admin.hooks.named(&view.hook) else {
        view.problem = dashboard.no_hook(&view.hook);
        return show_refused(StatusCode::NOT_FOUND, &view, &view.problem);
    };

    // A form sends line ends as CR LF; the sample has LF.
    let body = fields.get("body").replace("\r\n", "\n").into_bytes();
    if body.len() > BODY_MAX {
        view.problem = format!("the body has more than {}", text::bytes(BODY_MAX as u64));
        return show_refused(StatusCode::PAYLOAD_TOO_LARGE, &view, &view.problem);
    }

    let Some(mut signed) = prepare(&dashboard, &hook, &mut view, Some(body)) else {
        return show_refused(StatusCode::UNPROCESSABLE_ENTITY, &view, &view.problem);
    };
    if view.is_tampered {
        signed = match tampered(&dashboard, &hook, &view, signed) {
            Ok(signed) => signed,
            Err(error) => {
                view.problem = text::visible(&error.to_string());
                return show(&view);
            }
        };
    }

    let last = newest(&dashboard, &view.hook).await;
    let detail = SentDetail {
        event_type: view.event.clone(),
        bytes: signed.body.len(),
        tampered: view.is_tampered,
    };
    let work = send_audited(&dashboard, signed);
    let sent = dashboard
        .api
        .audited(&by.caller, "send", Some(&view.hook), &detail, work);
    match sent.await {
        Ok(Sent::Answered { answered, body }) => {
            view.sent = Some(sent_view(&dashboard, &view.hook, answered, &body, last).await);
        }
        Ok(Sent::Failed { error }) => view.problem = text::visible(&error),
        Err(error) => {
            view.problem = text::visible(&error.to_string());
            return show_refused(StatusCode::SERVICE_UNAVAILABLE, &view, &view.problem);
        }
    }
    show(&view)
}

/// The request after it was tampered with, as the hook's scheme allows it.
fn tampered(
    dashboard: &Dashboard,
    hook: &Hook,
    view: &SendPage,
    mut signed: SignedSample,
) -> Result<SignedSample, SampleError> {
    match Tamper::of(hook) {
        Tamper::Body => {
            change_body(&mut signed.body);
            Ok(signed)
        }
        Tamper::Secret => with_wrong_secret(dashboard, hook, edits(view, Some(signed.body))),
        Tamper::Nothing => Ok(signed),
    }
}

async fn send_audited(dashboard: &Dashboard, signed: SignedSample) -> Sent {
    match (dashboard.setup.send)(signed).await {
        Ok((answered, body)) => Sent::Answered { answered, body },
        Err(error) => Sent::Failed {
            error: error.to_string(),
        },
    }
}

fn send_page(dashboard: &Dashboard, by: &Operator, fields: &Fields) -> SendPage {
    let names = dashboard.setup.admin.hooks.names();
    let chosen = match fields.get("hook") {
        "" if names.len() == 1 => names[0].to_string(),
        hook => hook.to_owned(),
    };
    SendPage {
        page: Page::new(dashboard, by, "Send a signed sample", "/send"),
        hooks: names
            .iter()
            .map(|name| (name.to_string(), **name == *chosen))
            .collect(),
        hook: chosen,
        provider: String::new(),
        event: text::field(fields.get("type")),
        body: String::new(),
        tamper: "",
        tamper_note: String::new(),
        is_tampered: fields.has("tamper"),
        headers: Vec::new(),
        target: String::new(),
        curl: String::new(),
        curl_note: String::new(),
        problem: String::new(),
        sent: None,
    }
}

/// Fills the page with the sample. `None` if there is none: the page says why.
fn prepare(
    dashboard: &Dashboard,
    hook: &Hook,
    view: &mut SendPage,
    body: Option<Vec<u8>>,
) -> Option<SignedSample> {
    let verify = &hook.spec.verify;
    view.provider = match (&verify.provider, &verify.scheme) {
        (Some(provider), _) => format!("signed as {provider} does"),
        (None, Some(scheme)) => format!("scheme {scheme:?}").to_lowercase(),
        (None, None) => "closed: no caller is allowed".to_owned(),
    };
    let tamper = Tamper::of(hook);
    view.tamper = tamper.label();
    view.tamper_note = tamper.note(hook);
    view.is_tampered &= tamper != Tamper::Nothing;
    let is_edited = body.is_some();
    let signed = match for_hook(dashboard, hook, edits(view, body)) {
        Ok(signed) => signed,
        Err(error) => {
            view.problem = text::visible(&error.to_string());
            return None;
        }
    };

    let as_curl = command(dashboard, hook, &signed);
    (view.curl, view.curl_note) = (as_curl.curl, as_curl.note);
    // A request that carries the secret is shown with a placeholder.
    let shown = if signed.carries_secret {
        with_placeholder(dashboard, hook, &signed)
    } else {
        Some(signed.clone())
    };
    let Some(shown) = shown else {
        return Some(signed);
    };
    let body = String::from_utf8_lossy(&shown.body).into_owned();
    view.body = match (is_edited, pretty(&body)) {
        (false, Some(pretty)) => pretty,
        _ => body,
    };
    view.target = text::line(&format!("{} {}", shown.method, shown.url), 500);
    let headers = shown.headers.iter();
    view.headers = headers
        .map(|(name, value)| (text::line(name, 200), text::line(value, 500)))
        .collect();
    Some(signed)
}

fn edits(view: &SendPage, body: Option<Vec<u8>>) -> Edits {
    let event = text::typed(view.event.trim());
    Edits {
        event: Some(event).filter(|event| !event.is_empty()),
        body,
    }
}

async fn sent_view(
    dashboard: &Dashboard,
    hook: &str,
    status: u16,
    body: &str,
    last: i64,
) -> SentView {
    let named: Option<Value> = serde_json::from_str(body).ok();
    let named = named.and_then(|answer| answer["event"].as_str().map(str::to_owned));
    let event = match named {
        Some(event) => Some(event),
        None => newer(dashboard, hook, last).await,
    };
    let is_refused = event.is_none() && status >= 400;
    let (link, link_text) = match event {
        Some(event) => (event_path(&event), "Open the event"),
        None if is_refused => (link("/why", &[("hook", hook)]), "Why it was refused"),
        None => (
            link("/events", &[("q", &format!("hook:{hook}"))]),
            "Events of the hook",
        ),
    };
    SentView {
        status,
        tone: if status < 400 { "good" } else { "bad" },
        words: match (status, is_refused) {
            (_, true) => "The request was refused.".to_owned(),
            (200..400, _) => "The request was accepted.".to_owned(),
            _ => "The request was accepted, and its event failed.".to_owned(),
        },
        answer: text::visible(&body.chars().take(ANSWER_MAX).collect::<String>()),
        link,
        link_text,
    }
}

/// The number of the newest delivery of a hook.
async fn newest(dashboard: &Dashboard, hook: &str) -> i64 {
    let filter = Filter {
        hook: Some(hook.to_owned()),
        limit: 1,
        ..Filter::default()
    };
    let ledger = &dashboard.setup.admin.ledger;
    let listed = ledger.list(filter).await.unwrap_or_default();
    listed.first().map_or(0, |one| one.delivery)
}

/// The event of the newest delivery, if it is newer than `last`. In mode `sync`, an event is stored
/// after its answer, so that it may not be there yet.
async fn newer(dashboard: &Dashboard, hook: &str, last: i64) -> Option<String> {
    let filter = Filter {
        hook: Some(hook.to_owned()),
        limit: 1,
        ..Filter::default()
    };
    let listed = dashboard.setup.admin.ledger.list(filter).await.ok()?;
    let newest = listed.into_iter().next()?;
    (newest.delivery > last).then_some(newest.event)
}
