//! One event with its deliveries and attempts. Bodies are text or hexadecimal digits. Secrets and
//! signatures are masked.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::attempt::Attempt;
use super::delivery::{Delivery, deliveries};
use super::error::{ApiError, ApiPath, ApiQuery, Refusal, answered, failed, refusal};
use crate::events::Events;
use landfall_hooks::MaskedEvent;
use landfall_ledger::{Repeats, Shown, StoredTiming};
use landfall_model::recording::is_secret_header;
use landfall_model::{Event, EventId, MASKED, PROOF_ATTRIBUTE, is_shown_header};

const BODY_SHOWN_MAX: usize = 256 << 10;
const NO_EVENT: &str = "no event has this id";
/// Why values are masked that may be no secrets.
const PRESUMED: &str = "an older version stored this event, or it is a message of a broker that could not be read: where the request had \
                        the sender's token or signature is not known, so everything that looks like a credential is masked";
/// What a recording has in place of a masked value.
const REDACTED: &str = "[redacted]";

/// The parameters of one event.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowQuery {
    /// Include the whole body instead of its first 256 KiB.
    #[serde(default)]
    #[param(required = false)]
    whole: bool,
    /// Leave out the bytes of the body before this one.
    #[serde(default)]
    #[param(required = false)]
    body_from: usize,
    /// Include at most so many bytes of the body.
    body_max: Option<usize>,
}

/// One event with all that happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventDetail {
    /// The id of the event.
    id: String,
    /// The request, or why it cannot be shown.
    event: StoredEvent,
    /// How the sender was verified.
    verdict: EventVerdict,
    /// The event whose handler emitted this one.
    parent: Option<EventLink>,
    /// The events that the handler emitted.
    children: Vec<EventLink>,
    /// Newest first.
    deliveries: Vec<Delivery>,
    /// In ascending order.
    attempts: Vec<Attempt>,
    /// Its duplicates and conflicts.
    repeats: EventRepeats,
    /// How long the steps before its first attempt took.
    timing: EventTiming,
}

/// How long the steps before the first attempt took. Null: unknown, for example because a handler
/// emitted the event, a broker delivered it, or an older version stored it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTiming {
    /// From the end of the request to the verdict on its sender, in milliseconds: with the download
    /// of a key document and the decoding of the body, without what was computed while the body
    /// arrived.
    verify_ms: Option<f64>,
    /// From the end of the request until the event was written to the ledger, in milliseconds. The
    /// transaction was committed after that, and before the first attempt (mode `sync`: after the
    /// answer).
    stored_ms: Option<f64>,
}

/// The request of an event, or why it cannot be shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum StoredEvent {
    /// The request.
    Request(Box<EventRequest>),
    /// The body is no longer stored, is damaged, or is encrypted with a key that the node lacks.
    Missing(MissingEvent),
}

/// Why a request cannot be shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissingEvent {
    /// `pruned: …`, `erased: …`, `encrypted: …` or `corrupt: …`
    problem: &'static str,
}

/// A verified request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventRequest {
    /// The id of the event.
    id: String,
    /// The name of the hook.
    hook: String,
    /// In RFC 3339.
    received_at: String,
    /// The method as sent.
    method: String,
    /// The path as sent, without secrets.
    path: String,
    /// The query without secrets.
    query: Option<String>,
    /// Names and values. Values that may be secrets are masked.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    /// Names and values of what the host found out.
    #[schema(value_type = Vec<Vec<String>>)]
    attributes: Vec<(String, String)>,
    /// The length of the body as received.
    body_bytes: usize,
    /// Whether a token or a signature in the body is masked.
    body_masked: bool,
    /// The `body_from` with which the rest of the body is shown. Null at its end.
    body_next: Option<usize>,
    /// The body, or its first 256 KiB. The token or signature that the hook's scheme reads from it
    /// is masked.
    body: EventBody,
    /// Why more is masked than the token or signature of the sender: where the request had it is
    /// not known, so everything that looks like a credential is masked. Null: it is known.
    masked_because: Option<&'static str>,
}

/// A body: either `text` or `hex`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventBody {
    /// The body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The body in hexadecimal digits, if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// How the sender of an event was verified.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventVerdict {
    /// The scheme and the number of the secret in the hook file, such as `signature#2`.
    key: Option<String>,
    /// The scheme.
    scheme: Option<String>,
    /// The provider pack.
    provider: Option<String>,
}

/// Another event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventLink {
    /// Its id.
    event: String,
    /// The hook that emitted it, or that it was emitted for.
    hook: Option<String>,
}

/// The duplicates and conflicts of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventRepeats {
    /// Duplicates of the event, which did not run.
    duplicates: i64,
    /// When the last duplicate was received, in RFC 3339.
    last_duplicate_at: Option<String>,
    /// The id of the last duplicate in log lines.
    last_duplicate: Option<String>,
    /// Other events with the same identity and another body, which ran.
    conflicts: i64,
    /// The id of the last of them.
    last_conflict: Option<String>,
}

/// One event with its deliveries, attempts, outbound calls, log and effects.
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}",
    operation_id = "show_event",
    tag = "events",
    params(("id" = String, Path, description = "The id of an event, or the beginning of it"), ShowQuery),
    responses(
        (status = 200, body = EventDetail),
        (status = 400, description = "A parameter is wrong, or several events match", body = ApiError),
        (status = 404, description = "No event has this id", body = ApiError),
    )
)]
pub(crate) async fn show(
    State(events): State<Events>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<ShowQuery>,
) -> Response {
    let default = if query.whole {
        usize::MAX
    } else {
        BODY_SHOWN_MAX
    };
    let part = BodyPart {
        from: query.body_from,
        max: query.body_max.unwrap_or(default),
    };
    let shown = find(&events, &id).await;
    answered(shown.map(|(id, shown)| detail(&events, id, shown, part)))
}

/// The attempts of all deliveries of an event, in ascending order.
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}/attempts",
    operation_id = "list_attempts",
    tag = "events",
    params(("id" = String, Path, description = "The id of an event, or the beginning of it")),
    responses(
        (status = 200, body = Vec<Attempt>),
        (status = 400, description = "Several events match", body = ApiError),
        (status = 404, description = "No event has this id", body = ApiError),
    )
)]
pub(crate) async fn attempts(
    State(events): State<Events>,
    ApiPath(id): ApiPath<String>,
) -> Response {
    let shown = find(&events, &id).await;
    answered(shown.map(|(_, shown)| shown_attempts(shown)))
}

async fn find(events: &Events, typed: &str) -> Result<(EventId, Shown), Refusal> {
    let unknown = || refusal(StatusCode::NOT_FOUND, NO_EVENT);
    let id = events.event(typed).await?.ok_or_else(unknown)?;
    let shown = events.ledger.show(id).await.map_err(failed)?;
    Ok((id, shown.ok_or_else(unknown)?))
}

fn shown_attempts(shown: Shown) -> Vec<Attempt> {
    shown.attempts.into_iter().map(Attempt::from).collect()
}

/// The bytes of a body that are shown.
#[derive(Debug, Clone, Copy)]
struct BodyPart {
    from: usize,
    max: usize,
}

// === impl BodyPart ===

impl BodyPart {
    const WHOLE: BodyPart = BodyPart {
        from: 0,
        max: usize::MAX,
    };
}

fn detail(events: &Events, id: EventId, mut shown: Shown, part: BodyPart) -> EventDetail {
    let verdict = EventVerdict {
        key: attribute(&shown, "verified-by"),
        scheme: attribute(&shown, "verified-by-scheme"),
        provider: attribute(&shown, "provider"),
    };
    let parent = attribute(&shown, "caused-by").map(|event| EventLink {
        event,
        hook: attribute(&shown, "emitted-by"),
    });
    let event = match &shown.event {
        Some(Ok(event)) => {
            let masked = events.mask(event);
            StoredEvent::Request(Box::new(request(event, &masked, part)))
        }
        Some(Err(_)) if shown.lacks_key => StoredEvent::Missing(MissingEvent {
            problem: "encrypted: this node does not have the key; add it to ledger.encryption_keys",
        }),
        Some(Err(_)) => StoredEvent::Missing(MissingEvent {
            problem: "corrupt: what is stored is not what was accepted",
        }),
        None => StoredEvent::Missing(MissingEvent {
            problem: missing_problem(&shown),
        }),
    };

    let repeats = std::mem::take(&mut shown.repeats).into();
    let timing = shown.timing.into();
    let deliveries = deliveries(events, std::mem::take(&mut shown.deliveries));
    let attempts = shown_attempts(shown);
    let emitted = attempts
        .iter()
        .filter_map(|attempt| attempt.record.emitted_events.as_ref());
    let children = emitted.flatten().map(|(event, hook)| EventLink {
        event: event.clone(),
        hook: Some(hook.clone()),
    });
    EventDetail {
        id: id.to_string(),
        event,
        verdict,
        parent,
        children: children.collect(),
        deliveries,
        attempts,
        repeats,
        timing,
    }
}

/// Why the ledger has no body of an event.
fn missing_problem(shown: &Shown) -> &'static str {
    let is_erased = shown.deliveries.iter().any(|one| one.erased_at.is_some());
    if is_erased {
        "erased: an operator removed what the event contained; it cannot run again"
    } else {
        "pruned: the body is no longer kept"
    }
}

/// An attribute of the event; `None` if the event is pruned or corrupt.
fn attribute(shown: &Shown, name: &str) -> Option<String> {
    let event = shown.event.as_ref()?.as_ref().ok()?;
    event.attribute(name).map(str::to_owned)
}

/// `masked` is the event without the proof of its sender.
fn request(event: &Event, masked: &MaskedEvent<'_>, part: BodyPart) -> EventRequest {
    let headers = masked.event.headers.iter().map(|(name, value)| {
        let shown = if is_shown_header(name.as_str()) {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        } else {
            MASKED.to_owned()
        };
        (name.as_str().to_owned(), shown)
    });
    request_with(event, masked, headers.collect(), part)
}

/// The whole request for a run on a recording: only headers that may prove the sender are masked.
pub(super) fn request_to_run(events: &Events, event: &Event) -> EventRequest {
    let masked = events.mask(event);
    let headers = masked.event.headers.iter().map(|(name, value)| {
        let shown = if is_secret_header(name.as_str()) {
            REDACTED.to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        (name.as_str().to_owned(), shown)
    });
    request_with(event, &masked, headers.collect(), BodyPart::WHOLE)
}

fn request_with(
    event: &Event,
    masked: &MaskedEvent<'_>,
    headers: Vec<(String, String)>,
    part: BodyPart,
) -> EventRequest {
    let masked_because = masked.is_presumed.then_some(PRESUMED);
    let masked = &*masked.event;
    // Where the proof was is for the host alone.
    let attributes = masked
        .attributes
        .iter()
        .filter(|(name, _)| name != PROOF_ATTRIBUTE)
        .cloned()
        .collect();
    let (body, body_next) = EventBody::of(&masked.body, part);
    EventRequest {
        id: event.id.to_string(),
        hook: event.hook.to_string(),
        received_at: humantime::format_rfc3339_millis(event.received_at).to_string(),
        method: event.method.as_str().to_owned(),
        path: masked.path.clone(),
        query: masked.query.clone(),
        headers,
        attributes,
        body_bytes: event.body.len(),
        body_masked: masked.body != event.body,
        body_next,
        body,
        masked_because,
    }
}

// === impl EventBody ===

impl EventBody {
    /// The part, and where the rest begins.
    fn of(body: &[u8], part: BodyPart) -> (EventBody, Option<usize>) {
        let from = part.from.min(body.len());
        let end = from.saturating_add(part.max).min(body.len());
        let cut = &body[from..end];
        let text = match std::str::from_utf8(cut) {
            Ok(text) => Some(text),
            // The end may be inside a character. A part that shows nothing would have no end.
            Err(error)
                if end < body.len() && error.error_len().is_none() && error.valid_up_to() > 0 =>
            {
                std::str::from_utf8(&cut[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let shown = text.map_or(cut.len(), str::len);
        let next = from + shown;
        let body_next = (next < body.len() && shown > 0).then_some(next);
        let body = EventBody {
            hex: text.is_none().then(|| hex::encode(cut)),
            text: text.map(str::to_owned),
        };
        (body, body_next)
    }
}

// === impl EventTiming ===

impl From<StoredTiming> for EventTiming {
    fn from(timing: StoredTiming) -> EventTiming {
        EventTiming {
            verify_ms: timing.verify_us.map(millis),
            stored_ms: timing.stored_us.map(millis),
        }
    }
}

fn millis(us: i64) -> f64 {
    us as f64 / 1000.0
}

// === impl EventRepeats ===

impl From<Repeats> for EventRepeats {
    fn from(repeats: Repeats) -> EventRepeats {
        EventRepeats {
            duplicates: repeats.duplicates,
            last_duplicate_at: repeats.last_duplicate_at,
            last_duplicate: repeats.last_duplicate,
            conflicts: repeats.conflicts,
            last_conflict: repeats.last_conflict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a body, each of at most `max` bytes, and whether each is text.
    fn walk(body: &[u8], max: usize) -> Vec<(bool, Vec<u8>)> {
        let (mut parts, mut from) = (Vec::new(), Some(0));
        while let Some(start) = from {
            let (part, next) = EventBody::of(body, BodyPart { from: start, max });
            let bytes = match (&part.text, &part.hex) {
                (Some(text), None) => text.clone().into_bytes(),
                (None, Some(hex)) => hex::decode(hex).unwrap(),
                both => panic!("{both:?}"),
            };
            parts.push((part.text.is_some(), bytes));
            from = next;
        }
        parts
    }

    #[test]
    fn parts_make_the_whole_body() {
        let mixed = [b"text ", &[0xff, 0xfe][..], "é語🙂".as_bytes()].concat();
        for body in [
            &b""[..],
            b"{\"a\":1}",
            "é語🙂".as_bytes(),
            &[0xff; 9],
            &mixed,
            &"🙂".as_bytes()[..3],
        ] {
            for max in 1..12 {
                let joined: Vec<u8> = walk(body, max)
                    .into_iter()
                    .flat_map(|(_, bytes)| bytes)
                    .collect();
                assert_eq!(joined, body, "{max}");
            }
        }
        assert_eq!(
            walk("aé".as_bytes(), 2),
            [(true, b"a".to_vec()), (true, "é".as_bytes().to_vec())]
        );
    }

    #[test]
    fn parts_behind_the_end_are_empty() {
        let part = BodyPart { from: 9, max: 4 };
        let (body, next) = EventBody::of(b"abc", part);
        assert_eq!((body.text.as_deref(), next), (Some(""), None));
    }
}
