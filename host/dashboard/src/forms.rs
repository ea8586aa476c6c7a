//! The forms of a session. Each form carries the token of the session, and the audit record has one
//! entry of each: a command makes its own before it changes something, and a form that is refused
//! before it comes to a command gets one here.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::errors::sentence;
use crate::fields::{FORM_MAX, Fields};
use crate::job_commands::{CANCEL, START};
use crate::page::{Problem, refuse};
use crate::state::{Operator, Shared};

/// The time that a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(5);
/// The most characters of a field in the audit record.
const FIELD_CHARACTERS_MAX: usize = 200;
/// The word of an unknown form in the audit record.
const FORM: &str = "form";
/// The form that ends the session: it changes nothing else, and readers have it too.
const LOGOUT: &str = "/logout";
/// The ends of the paths of forms, which are the words of their commands.
const COMMANDS: [&str; 10] = [
    "pause",
    "resume",
    "promote",
    "rollback",
    "reload",
    "replay",
    "retry-now",
    "discard",
    "erase",
    "send",
];

/// Fields of forms that the audit record has. Any other may be a secret that was sent to the wrong
/// place.
const RECORDED: [&str; 12] = [
    "command", "confirm", "event", "group", "hook", "q", "rate", "reason", "selected", "since",
    "tamper", "type",
];
/// Known fields that the audit record does not have: the token of the session, and the body of
/// a sample.
const NOT_RECORDED: [&str; 2] = ["csrf", "body"];
/// Words of the paths of forms.
const WORDS: [&str; 6] = ["bulk", "cancel", "events", "hooks", "missed", "shape"];

/// Passes on a form of this session.
pub(crate) async fn pass_on(
    dashboard: &Shared,
    by: &Operator,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let (fields, response) = match read_own(dashboard, by, request).await {
        Ok((request, fields)) => (fields, next.run(request).await),
        Err(refusal) => (Fields::default(), refusal),
    };
    if path != LOGOUT && !by.caller.is_recorded() {
        let refused = refusal(&response);
        record(dashboard, by, &path, &fields, refused).await;
    }

    response
}

/// Passes on a request that is no form. No page takes another method that asks for a change.
pub(crate) async fn pass_on_other(
    dashboard: &Shared,
    by: &Operator,
    mut request: Request,
    next: Next,
) -> Response {
    let (is_safe, path) = (request.method().is_safe(), request.uri().path().to_owned());
    request.extensions_mut().insert(by.clone());
    let response = next.run(request).await;
    if !is_safe {
        let refused = refusal(&response);
        record(dashboard, by, &path, &Fields::default(), refused).await;
    }

    response
}

/// Stores the entry of a request for a change that no page takes, if a session sent it.
pub(crate) async fn record_unknown(
    dashboard: &Shared,
    by: &Operator,
    asked: &Value,
    status: StatusCode,
) {
    let refused = (status.as_u16(), sentence(status));
    let api = &dashboard.api;
    api.record_refused(&by.caller, FORM, None, asked, refused)
        .await;
}

/// What a request asks for that comes to no page or from a refused sender, for the audit record.
/// `None`: its method changes nothing. Of the path, only the words of forms are kept: anything else
/// may be a secret.
pub(crate) fn asked(method: &Method, path: &str) -> Option<Value> {
    if method.is_safe() {
        return None;
    }

    let mut known = String::new();
    for segment in path.split('/').skip(1) {
        known.push('/');
        if !WORDS.contains(&segment) && !COMMANDS.contains(&segment) {
            known.push('…');
            break;
        }
        known.push_str(segment);
    }
    Some(json!({ "path": known }))
}

/// The whole form. A sender that is slow or silent does not keep its connection: others, such as
/// probes, wait for it.
pub(crate) async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(FORM_TIMEOUT, to_bytes(body, FORM_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the form is too large",
        )),
        Err(_) => {
            let text = "the form did not arrive within 5 s";
            Err(refuse(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}

/// The request with its fields, if the session may send it and the form is its own.
async fn read_own(
    dashboard: &Shared,
    by: &Operator,
    request: Request,
) -> Result<(Request, Fields), Response> {
    if !by.session.may_change() && request.uri().path() != LOGOUT {
        dashboard.setup.admin.guard.report_reader(&by.caller);
        let text = "this session may only read: log in with the token of admin.token";
        return Err(refuse(StatusCode::FORBIDDEN, text));
    }

    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let fields = Fields::of_body(&body);
    if !by.session.is_own_form(fields.get("csrf")) {
        let text = "the form does not belong to this session: load the page again";
        return Err(refuse(StatusCode::FORBIDDEN, text));
    }

    let mut request = Request::from_parts(parts, body.into());
    request.extensions_mut().insert(fields.clone());
    request.extensions_mut().insert(by.clone());
    Ok((request, fields))
}

/// Stores the entry of a form that came to no command.
async fn record(
    dashboard: &Shared,
    by: &Operator,
    path: &str,
    fields: &Fields,
    (status, why): (u16, String),
) {
    let hook = Some(fields.get("hook")).filter(|hook| !hook.is_empty());
    let detail = detail(path, fields);
    let api = &dashboard.api;
    api.record_refused(&by.caller, action(path), hook, &detail, (status, &why))
        .await;
}

/// Status and reason of a form that came to no command.
fn refusal(response: &Response) -> (u16, String) {
    let status = response.status();
    let why = match response.extensions().get::<Problem>() {
        Some(Problem(text)) => text,
        None if status.as_u16() < 400 => "the form came to no command",
        None => sentence(status),
    };
    (status.as_u16(), why.to_owned())
}

/// The word of a form in the audit record.
fn action(path: &str) -> &'static str {
    let end = path.rsplit('/').next().unwrap_or_default();
    match end {
        "bulk" => START,
        "cancel" => CANCEL,
        _ => COMMANDS
            .into_iter()
            .find(|word| *word == end)
            .unwrap_or(FORM),
    }
}

/// What a form asked for: the known fields, and the number of the others.
fn detail(path: &str, fields: &Fields) -> Map<String, Value> {
    let mut detail = Map::from_iter([("path".to_owned(), short(path))]);
    let left_out = fields.names().filter(|name| !is_known(name)).count();
    if left_out > 0 {
        detail.insert("fields_left_out".to_owned(), left_out.into());
    }
    for name in RECORDED.into_iter().filter(|name| fields.has(name)) {
        let mut values: Vec<Value> = fields.all(name).iter().map(|value| short(value)).collect();
        let value = match values.len() {
            1 => values.swap_remove(0),
            _ => Value::Array(values),
        };
        detail.insert(name.to_owned(), value);
    }
    detail
}

fn is_known(field: &str) -> bool {
    RECORDED.contains(&field) || NOT_RECORDED.contains(&field)
}

fn short(text: &str) -> Value {
    let text: String = text.chars().take(FIELD_CHARACTERS_MAX).collect();
    Value::String(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_a_word() {
        for (path, word) in [
            ("/bulk", "start-job"),
            ("/bulk/7/cancel", "cancel-job"),
            ("/hooks/bulk/pause", "pause"),
            ("/events/%ff/retry-now", "retry-now"),
            ("/send", "send"),
            ("/hooks/in/explode", "form"),
        ] {
            assert_eq!(action(path), word, "{path}");
        }
    }

    #[test]
    fn details_have_no_token() {
        let fields = Fields::of_query(Some("csrf=0a&hook=in&event=1&event=2&body=secret"));
        assert_eq!(
            Value::Object(detail("/send", &fields)),
            json!({ "path": "/send", "hook": "in", "event": ["1", "2"] })
        );
    }

    #[test]
    fn unknown_fields_are_counted() {
        let fields = Fields::of_query(Some("csrf=0a&hook=in&canary=1&password=canary&path=canary"));
        assert_eq!(
            Value::Object(detail("/send", &fields)),
            json!({ "path": "/send", "hook": "in", "fields_left_out": 3 })
        );
    }

    #[test]
    fn only_words_of_paths_are_kept() {
        for (path, known) in [
            ("/reload", "/reload"),
            ("/hooks/canary/pause", "/hooks/…"),
            ("/canary", "/…"),
            ("/", "/…"),
        ] {
            let asked = asked(&Method::PUT, path).unwrap();
            assert_eq!(asked, json!({ "path": known }), "{path}");
        }
        assert_eq!(asked(&Method::HEAD, "/reload"), None);
    }
}
