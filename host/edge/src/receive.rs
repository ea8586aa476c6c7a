//! The way of a request: find its hook, read it whole, prove it, run it, answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use http_body_util::{BodyExt, Limited};
use sha2::{Digest, Sha256};

use super::answer::{self, Stop};
use super::bodies::{BodyBuffer, Held};
use super::decode::{self, Encoding};
use super::idle::OnHangUp;
use super::prove::Door;
use super::refuse::{self, Caller, Why};
use super::{Edge, head, prove};
use landfall_dispatch::{Answered, DedupKey, Incoming, LedgerError, Target};
use landfall_hooks::{Found, Hook, Serving};
use landfall_model::{DedupId, Event, EventId, Mode};
use landfall_verify::{
    AuthScheme, SignedBody, StreamingMac, Unverified, Verdict, Verified, is_challenge,
    streaming_mac,
};

/// For the plugins directory to be read.
const STARTS_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const DRAIN_BYTES_MAX: usize = 16 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Handles every public request.
pub async fn receive(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let caller = Caller::of(&edge, &head, &body);
    let (is_last, worth_draining) = (head::is_last(&head), is_worth_draining(&head, &body));
    let response = match handle(&edge, &caller, head, &mut body).await {
        Ok(response) => response,
        Err(Refused { stop, hook }) => {
            if worth_draining && !stop.abandons_body() {
                drain(&mut body).await;
            }
            let response = refuse::refuse(&edge, stop, &caller, hook.as_deref());
            if body.is_end_stream() {
                response
            } else {
                answer::closing(response)
            }
        }
    };
    if is_last {
        answer::closing(response)
    } else {
        response
    }
}

/// A request that is not handled, and the hook that it was for, where one is known.
struct Refused {
    stop: Stop,
    hook: Option<Arc<Hook>>,
}

async fn handle(
    edge: &Edge,
    caller: &Caller,
    head: Parts,
    body: &mut Body,
) -> Result<Response, Refused> {
    if let Err(stop) = head::check(&head) {
        let hook = edge
            .hooks
            .table()
            .find(head.uri.path())
            .map(|found| found.hook);
        return Err(Refused { stop, hook });
    }
    let found = find(edge, head.uri.path())
        .await
        .map_err(|stop| Refused { stop, hook: None })?;
    let hook = found.hook.clone();
    handle_for(edge, &hook, caller, found, head, body)
        .await
        .map_err(|stop| Refused {
            stop,
            hook: Some(hook),
        })
}

async fn handle_for(
    edge: &Edge,
    hook: &Hook,
    caller: &Caller,
    found: Found,
    head: Parts,
    body: &mut Body,
) -> Result<Response, Stop> {
    prove::check_address(hook, caller)?;
    let is_event = check_method(hook, &head.method);
    if !hook.verifier.takes_challenges_by(&head.method) {
        is_event.as_ref().map_err(Stop::clone)?;
    }
    let target = hook.target();
    // In the other modes events wait for their component.
    if target.is_none() && hook.spec.mode == Mode::Sync {
        return Err(unavailable(hook));
    }
    // A hook that did not load has no rule to check with; the load error is the reason.
    if *hook.verifier.auth_scheme() == AuthScheme::Closed
        && matches!(hook.serving, Serving::Unavailable(_))
    {
        return Err(unavailable(hook));
    }
    let params = found.params.clone();
    let attributes = attributes(found, caller, &head);
    let request = Unverified {
        params,
        ..unverified(head)
    };
    let encoding = Encoding::of(&request.headers)?;
    let door = Door::of(hook, caller.address);
    let keys = prove::keys(edge, door);
    // A signature over decoded bytes cannot be computed while the encoded ones come.
    let signs_sent_bytes = encoding.is_none() || hook.verifier.signs_body() == SignedBody::Encoded;
    let mac = if signs_sent_bytes {
        streaming_mac(&hook.verifier, &request, &keys)
    } else {
        None
    };
    let max = encoding.map_or(hook.sizes.max_body, |_| {
        decode::encoded_max(hook.sizes.max_body)
    });
    let (body, mac, held) = read(edge, max, body, mac).await?;
    let request = Unverified { body, ..request };
    // Only a check with the method of a check is told that its proof is wrong.
    let method = request.method.clone();
    let is_challenge = is_event.is_err() && is_challenge(&hook.verifier, &request);
    let proven = match encoding {
        None => prove::prove(edge, door, request, &keys, mac)
            .await
            .map(|checked| (checked, held)),
        Some(encoding) => {
            prove::prove_encoded(edge, door, hook, request, (encoding, held), &keys, mac).await
        }
    };
    let (verified, _held) = match proven {
        Ok((Verdict::Challenge(answer), _)) => {
            return prove::answered(edge, hook, &method, answer).await;
        }
        Ok((Verdict::Verified(verified), held)) => (verified, held),
        Err(stop) if is_challenge => return Err(stop),
        Err(stop) => return Err(is_event.err().unwrap_or(stop)),
    };
    // It was let this far only because it might have been a challenge.
    is_event?;
    edge.counters.verified(
        &hook.spec.name,
        verified.fact("verified-by").unwrap_or_default(),
    );
    landfall_model::kill_point!("verified");
    let dedup = dedup_key(hook, &verified);
    let event = verified.into_event(&hook.spec.name, edge.clock.now(), attributes);
    let event_id = event.id;
    let mut on_hang_up = None;
    let response = match hook.spec.mode {
        Mode::Sync => {
            let target = target.ok_or_else(|| unavailable(hook))?;
            let slot = hook
                .slots
                .acquire(edge.limits.queue_timeout)
                .await
                .map_err(|_| Stop::Busy("concurrency"))?;
            let outcome = edge
                .delivery
                .sync(target, event, slot, hook.sync_limit())
                .await;
            answer::outcome(hook.verifier.answers(), outcome, event_id)
        }
        Mode::Async | Mode::Auto => match queue(edge, hook, target.as_ref(), event, dedup).await? {
            Answered::Reply(reply) => answer::reply(hook.verifier.answers(), reply, event_id),
            Answered::Refused(reply) => {
                on_hang_up = Some(unheard(edge, hook, event_id));
                answer::reply(hook.verifier.answers(), reply, event_id)
            }
            Answered::Accepted(event) => {
                landfall_model::kill_point!("before-answer");
                answer::accepted(hook.verifier.answers(), event)
            }
        },
    };
    let mut response = answer::sent(&edge.counters, hook, response);
    if let Some(on_hang_up) = on_hang_up {
        response.extensions_mut().insert(on_hang_up);
    }
    Ok(response)
}

/// Runs the event again that the handler refused, if its caller has hung up by then.
fn unheard(edge: &Edge, hook: &Hook, event: EventId) -> OnHangUp {
    let (delivery, name) = (edge.delivery.clone(), Arc::<str>::from(&*hook.spec.name));
    OnHangUp(Arc::new(move || delivery.refusal_is_unheard(event, &name)))
}

/// The answer comes when the event is on stable storage, and in `auto` with the handler's reply if that is in time.
async fn queue(
    edge: &Edge,
    hook: &Hook,
    target: Option<&Target>,
    event: Event,
    dedup: Option<DedupKey>,
) -> Result<Answered, Stop> {
    let incoming = Incoming {
        dedup,
        order_key: event.attribute("order-key").map(str::to_owned),
        is_answered_later: hook.spec.mode == Mode::Async,
        answer_within: hook.queued_limit(),
        event,
    };
    edge.delivery
        .take(incoming, target)
        .await
        .map_err(|error| match error {
            LedgerError::TooLarge { .. } => Stop::TooLargeToKeep(error.to_string()),
            error => Stop::NotKept(error.to_string()),
        })
}

fn dedup_key(hook: &Hook, verified: &Verified) -> Option<DedupKey> {
    let window = hook.spec.dedup.window;
    let id_match = hook.verifier.id_match();
    let key = match hook.spec.dedup.id {
        DedupId::Nothing => return None,
        DedupId::BodyDigest => Sha256::digest(&verified.request().body).to_vec(),
        DedupId::OfPack | DedupId::At(_) => verified.delivery_key()?.to_vec(),
    };
    Some(DedupKey {
        key,
        id_match,
        window,
    })
}

/// Neither endless nor still waiting for a `100 Continue`.
fn is_worth_draining(head: &Parts, body: &Body) -> bool {
    body.size_hint().lower() <= DRAIN_BYTES_MAX as u64 && !head.headers.contains_key(header::EXPECT)
}

/// Reads a body that is not needed, so that the connection can be used again. Where this reads less than the whole body, the
/// connection is closed after the answer.
async fn drain(body: &mut Body) {
    let rest = Limited::new(body, DRAIN_BYTES_MAX);
    let reading = async {
        let mut rest = std::pin::pin!(rest);
        while let Some(Ok(_)) = rest.frame().await {}
    };
    tokio::time::timeout(DRAIN_TIME_MAX, reading).await.ok();
}

/// Before the directory has been read, nobody knows what is not there: the request that has started this node waits for that.
async fn find(edge: &Edge, path: &str) -> Result<Found, Stop> {
    let until = Instant::now() + STARTS_WITHIN;
    loop {
        let table = edge.hooks.table();
        match table.find(path) {
            Some(found) => return Ok(found),
            None if table.complete => return Err(Stop::UnknownPath),
            None if Instant::now() >= until => {
                return Err(Stop::Unavailable(Why::new(
                    "starting",
                    "the plugins directory has not been read yet",
                )));
            }
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

fn check_method(hook: &Hook, method: &Method) -> Result<(), Stop> {
    let taken = &hook.spec.methods;
    if taken.contains(method) {
        return Ok(());
    }
    let names: Vec<&str> = taken.iter().map(Method::as_str).collect();
    let allow = HeaderValue::from_str(&format!("{}, OPTIONS", names.join(", ")))
        .expect("method names are a header value");
    match *method {
        Method::OPTIONS => Err(Stop::Options(allow)),
        Method::HEAD if taken.contains(&Method::GET) => Err(Stop::Head),
        _ => Err(Stop::Method(allow)),
    }
}

/// The whole body, raw: no more than `max`, no later than the node waits, and never silent for long.
pub(super) async fn read(
    edge: &Edge,
    max: usize,
    body: &mut Body,
    mac: Option<StreamingMac>,
) -> Result<(Bytes, Option<StreamingMac>, Held), Stop> {
    if body.size_hint().lower() > max as u64 {
        return Err(Stop::TooLarge);
    }
    let reading = tokio::time::timeout(edge.limits.body_timeout, pieces(edge, max, body, mac));
    reading.await.unwrap_or(Err(Stop::SlowBody))
}

/// `mac` gets each piece as it comes.
async fn pieces(
    edge: &Edge,
    max: usize,
    body: &mut Body,
    mut mac: Option<StreamingMac>,
) -> Result<(Bytes, Option<StreamingMac>, Held), Stop> {
    // Most bodies come in one piece, which is not copied.
    let (mut first, mut of_first) = (Bytes::new(), edge.bodies.hold());
    let mut joined = BodyBuffer::new(edge.bodies.hold(), max);
    loop {
        let next = tokio::time::timeout(edge.limits.head_timeout, body.frame());
        let frame = match next.await.map_err(|_| Stop::SlowBody)? {
            None => break,
            Some(frame) => frame.map_err(|_| Stop::BadBody)?,
        };
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let bytes = first.len() + joined.len() + piece.len();
        if bytes > max {
            return Err(Stop::TooLarge);
        }
        if let Some(mac) = &mut mac {
            mac.update(&piece);
        }
        if first.is_empty() && joined.is_empty() {
            of_first.grow_to(piece.len())?;
            first = piece;
        } else {
            if !first.is_empty() {
                joined.extend(&std::mem::take(&mut first))?;
                of_first = edge.bodies.hold();
            }
            joined.extend(&piece)?;
        }
    }
    let (body, held) = if joined.is_empty() {
        (first, of_first)
    } else {
        joined.into_bytes()
    };
    Ok((body, mac, held))
}

/// Without its body.
pub(super) fn unverified(head: Parts) -> Unverified {
    Unverified {
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        method: head.method,
        params: Vec::new(),
        headers: head.headers,
        body: Bytes::new(),
        decoded: None,
    }
}

/// Why a hook has nothing to run.
fn unavailable(hook: &Hook) -> Stop {
    let why = match &hook.serving {
        Serving::Unavailable(why) => why.as_str(),
        Serving::Ready(_) => "the hook has nothing to run",
    };
    Stop::Unavailable(Why::new("unavailable", why))
}

/// What the edge knows of the request besides its bytes.
fn attributes(found: Found, caller: &Caller, head: &Parts) -> Vec<(String, String)> {
    let mut attributes = Vec::with_capacity(2 + found.params.len());
    if let Some(address) = caller.address {
        attributes.push(("client-address".to_owned(), address.to_string()));
    }
    if let Some(traceparent) = head
        .headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
    {
        attributes.push(("traceparent".to_owned(), traceparent.to_owned()));
    }
    attributes.extend(
        found
            .params
            .into_iter()
            .map(|(name, value)| (format!("param:{name}"), value)),
    );
    attributes
}
