//! Does what the key `case` of the JSON body says. Components in other languages do the same.
//!
//! - `none`: no reply. `text`: the text `hello`. `fields`: JSON of the fields `provider`, `event_type` and `delivery_id`.
//! - `defer`: defers with `not ready`, after `after_s` seconds if that is given, until the setting `ready` is true; then the text
//!   `ready`.
//! - `retry`: fails on attempt 1 with `failed on purpose`, after `after_s` seconds if that is given; then the text `attempt N`.
//! - `reject`: rejects with `rejected on purpose`. `reject-reply`: the same with the reply 409 and JSON `{"error": "conflict"}`.
//! - `send-all`: one `GET` of each of `urls` in one call; JSON of how each ended: a status, or the name of an error.
//! - `http-error`: one call of `url` with `method`, `headers`, `body` and `timeout_ms`; the text of how it ended.
//! - `keys`: `POST url` twice, `PUT url`, `POST url?other`, and `POST url` with an `idempotency-key` of its own, all with the body
//!   `same`. Then, if `fail` is true, fails on attempt 1 with `failed on purpose`; otherwise JSON of the statuses.
//!
//! Everything else is rejected with `unknown case`.

use landfall_sdk::http::{HttpError, Request, Response, send_all};
use landfall_sdk::serde::Deserialize;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, IntoReply, Json, Reply, handler, json, settings};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(crate = "landfall_sdk::serde", tag = "case", rename_all = "kebab-case")]
enum Case {
    None,
    Text,
    Fields,
    Defer { after_s: Option<u64> },
    Retry { after_s: Option<u64> },
    Reject,
    RejectReply,
    SendAll { urls: Vec<String> },
    HttpError(Call),
    Keys { url: String, fail: Option<bool> },
}

#[derive(Deserialize)]
#[serde(crate = "landfall_sdk::serde")]
struct Call {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    timeout_ms: Option<u64>,
}

#[handler]
fn on_event(event: Event) -> Result<Option<Reply>, Failure> {
    let case = event.json().map_err(|_| Failure::reject("unknown case"))?;
    match case {
        Case::None => Ok(None),
        Case::Text => Ok("hello".into_reply()),
        Case::Fields => Ok(Json(json!({
            "provider": event.provider,
            "event_type": event.event_type,
            "delivery_id": event.delivery_id,
        }))
        .into_reply()),
        Case::Defer { after_s } => defer(after_s.map(Duration::from_secs)),
        Case::Retry { after_s } => retry(&event, after_s.map(Duration::from_secs)),
        Case::Reject => Err(Failure::reject("rejected on purpose")),
        Case::RejectReply => {
            let reply = Reply::json(409, &json!({ "error": "conflict" }));
            Err(Failure::reject("rejected on purpose").with_reply(reply))
        }
        Case::SendAll { urls } => {
            let ends = send_all(urls.into_iter().map(Request::get));
            let ends: Vec<Value> = ends.into_iter().map(end).collect();
            Ok(Json(ends).into_reply())
        }
        Case::HttpError(call) => Ok(match end(call.request().send()) {
            Value::String(name) => name.into_reply(),
            status => status.to_string().into_reply(),
        }),
        Case::Keys { url, fail } => {
            let statuses = keys(&url)?;
            match fail {
                Some(true) => retry(&event, None).map(|_| Json(statuses).into_reply()),
                _ => Ok(Json(statuses).into_reply()),
            }
        }
    }
}

fn defer(after: Option<Duration>) -> Result<Option<Reply>, Failure> {
    if settings::get("ready").as_deref() == Some("true") {
        return Ok("ready".into_reply());
    }
    Err(Failure::Defer {
        reason: "not ready".into(),
        after,
    })
}

fn retry(event: &Event, after: Option<Duration>) -> Result<Option<Reply>, Failure> {
    if event.attempt > 1 {
        return Ok(format!("attempt {}", event.attempt).into_reply());
    }
    Err(Failure::Retry {
        reason: "failed on purpose".into(),
        after,
    })
}

/// The status of a response, or the name of an error.
fn end(result: Result<Response, HttpError>) -> Value {
    result.map_or_else(
        |error| error.name().into(),
        |response| response.status.into(),
    )
}

impl Call {
    fn request(self) -> Request {
        Request {
            method: self.method.unwrap_or_else(|| "GET".into()),
            url: self.url,
            headers: self.headers,
            body: self.body.map(Into::into),
            timeout: self.timeout_ms.map(Duration::from_millis),
        }
    }
}

/// The statuses of calls of which two are the same.
fn keys(url: &str) -> Result<Vec<u16>, Failure> {
    let other = format!("{url}?other");
    let calls = [
        Request::post(url),
        Request::post(url),
        Request::put(url),
        Request::post(other),
        Request::post(url).header("idempotency-key", "own"),
    ];
    let send = |call: Request| match call.body("same").send() {
        Ok(response) => Ok(response.status),
        Err(error) => Err(Failure::retry(error.name())),
    };
    calls.into_iter().map(send).collect()
}
