//! Handles one request: finds its hook, reads its body, authenticates its sender, hands the event
//! to `dispatch`, and answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming as IncomingBody;
use sha2::{Digest, Sha256};

use super::activity::OnConnection;
use super::bodies::BodyReservation;
use super::caller::Caller;
use super::challenge::answer_challenge;
use super::decode::{self, Encoding};
use super::edge::Edge;
use super::read_body::{drain, is_worth_draining, read, without_body};
use super::refuse::Recorded;
use super::rejection::{Rejected, Rejection, Why};
use super::request_log::Answered;
use super::responses::OverBudget;
use super::target::AuthTarget;
use super::{answer, authenticate, client, excerpt, head, refuse};
use landfall_dispatch::{Answer, AnswerContent, DispatchError, Incoming, Target};
use landfall_hooks::{Hook, RouteMatch, Serving};
use landfall_metrics::{RequestOutcome, RunningRequest};
use landfall_model::{
    Admission, DedupId, DedupKey, Event, EventId, IdMatch, Mode, Outcome, Reply, TRACEPARENT,
    Timing,
};
use landfall_verify::{
    AuthScheme, SignedBody, Unverified, Verdict, Verified, is_challenge, streaming_mac,
};

/// How long a request waits until the plugins directory has been read.
const START_TIMEOUT: Duration = Duration::from_secs(3);
const RECHECK_INTERVAL: Duration = Duration::from_millis(10);
/// A turn that comes sooner than this is no overload, whatever `limits.queue_timeout` is.
const TURN_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// Handles every public request.
pub(crate) async fn receive(
    edge: &Edge,
    request: Request<IncomingBody>,
    peer: SocketAddr,
    connection: OnConnection,
) -> Response {
    // The future is moved several times for each request, so its largest step is boxed, and the
    // steps that few requests need.
    let started = Instant::now();
    let (head, mut body) = request.into_parts();
    let mut caller = Caller::of(&head, &body, peer, connection, &edge.trusted_proxies);
    caller.span = edge.tracer.request(caller.traceparent());
    let (is_last, worth_draining) = (head::is_last(&head), is_worth_draining(&head, &body));
    let response = match handle(edge, &caller, started, head, &mut body).await {
        Ok(Handled {
            hook,
            answer,
            running,
        }) => {
            let answered = Answered {
                hook: Some(&hook),
                event: answer.event,
                outcome: answer.outcome,
                status: answer.response.status().as_u16(),
                bytes: answer.bytes.unwrap_or(caller.announced),
                duration: started.elapsed(),
                reason: None,
            };
            running.answered(answered.outcome, answered.status, answered.duration);
            edge.request_log.write(&caller, &answered);
            edge.trace_request(&caller, started, &answered);
            answer.response
        }
        Err(Refused {
            rejected,
            hook,
            running,
        }) => {
            if worth_draining && !rejected.rejection.abandons_body() {
                Box::pin(drain(&mut body)).await;
            }

            let outcome = rejected.rejection.outcome();
            let Recorded {
                response,
                reason,
                is_suppressed,
            } = refuse::refuse(edge, rejected, &caller, hook.as_deref());
            let answered = Answered {
                hook: hook.as_deref(),
                event: None,
                outcome,
                status: response.status().as_u16(),
                bytes: caller.announced,
                duration: started.elapsed(),
                reason,
            };
            match running {
                Some(running) => running.answered(outcome, answered.status, answered.duration),
                None => edge.metrics.count_request(outcome, answered.status),
            }
            // A scanner cannot fill the log: after some lines, refusals of one kind are counted.
            if !is_suppressed {
                edge.request_log.write(&caller, &answered);
            }
            edge.trace_request(&caller, started, &answered);
            if body.is_end_stream() {
                response
            } else {
                answer::closing(response)
            }
        }
    };

    if client::is_trusted(peer.ip().to_canonical(), &edge.trusted_proxies) {
        // A proxy sends the requests of all hooks over its connections.
        edge.slots.leave_flow();
    }
    if is_last {
        answer::closing(response)
    } else {
        response
    }
}

/// An answered request.
struct Handled {
    hook: Arc<Hook>,
    answer: HookAnswer,
    running: RunningRequest,
}

/// The answer of a hook, and how its request ended.
struct HookAnswer {
    response: Response,
    outcome: RequestOutcome,
    /// The event that the caller is told of.
    event: Option<EventId>,
    /// The length of the body as the handler receives it.
    bytes: Option<u64>,
}

/// A rejected request, and its hook if one is known.
struct Refused {
    rejected: Rejected,
    hook: Option<Arc<Hook>>,
    running: Option<RunningRequest>,
}

async fn handle(
    edge: &Edge,
    caller: &Caller,
    started: Instant,
    head: Parts,
    body: &mut IncomingBody,
) -> Result<Handled, Refused> {
    if let Err(rejection) = head::check(&head) {
        let found = edge.hooks.table().find(head.uri.path());
        let hook = found.map(|found| found.hook);
        let running = hook.as_ref().map(|hook| hook.metrics.start_request());
        let request = excerpt::of_head(caller, hook.as_deref(), &head.headers);
        return Err(Refused {
            rejected: Rejected {
                rejection,
                request: Some(request),
            },
            hook,
            running,
        });
    }

    let RouteMatch { hook, params } =
        find(edge, head.uri.path(), started)
            .await
            .map_err(|rejection| Refused {
                rejected: Rejected {
                    rejection,
                    request: Some(excerpt::of_head(caller, None, &head.headers)),
                },
                hook: None,
                running: None,
            })?;
    let running = hook.metrics.start_request();
    match handle_for(edge, &hook, caller, params, head, body).await {
        Ok(answer) => Ok(Handled {
            hook,
            answer,
            running,
        }),
        Err(rejected) => Err(Refused {
            rejected,
            hook: Some(hook),
            running: Some(running),
        }),
    }
}

async fn handle_for(
    edge: &Edge,
    hook: &Hook,
    caller: &Caller,
    params: Vec<(String, String)>,
    head: Parts,
    body: &mut IncomingBody,
) -> Result<HookAnswer, Rejected> {
    wait_for_turn(edge, hook)
        .await
        .map_err(|rejection| Rejected {
            rejection,
            request: Some(excerpt::of_head(caller, Some(hook), &head.headers)),
        })?;
    let method_check = check_method(hook, &head.method);
    let target = hook.target();
    check_before_body(hook, caller, &method_check, target.is_some()).map_err(|rejection| {
        Rejected {
            rejection,
            request: Some(excerpt::of_head(caller, Some(hook), &head.headers)),
        }
    })?;

    let attributes = attributes(&params, caller);
    let head = Unverified {
        params,
        ..without_body(head)
    };
    // It would be two thirds of the future of a request, which is moved several times.
    let authenticated = Box::pin(authenticated(edge, hook, caller, head, body, method_check));
    let (verified, timing, _reservation) = match authenticated.await? {
        Authenticated::Event(verified, timing, reservation) => (verified, timing, reservation),
        Authenticated::Challenge(response) => {
            return Ok(HookAnswer {
                response,
                outcome: RequestOutcome::Challenge,
                event: None,
                bytes: None,
            });
        }
    };

    let dedup = match hook.spec.mode {
        Mode::Sync => None,
        Mode::Async | Mode::Auto => dedup_key(hook, &verified),
    };
    let bytes = verified.request().body.len() as u64;
    let event = verified.into_event(&hook.spec.name, edge.clock.now(), attributes);
    let event = hook.redacted(event).map_err(Rejection::Unreadable)?;
    let answer = match hook.spec.mode {
        Mode::Sync => match edge.dispatcher.admit(&hook.flow, &event) {
            Admission::Filtered(why) => {
                Box::pin(store_filtered(edge, hook, event, timing, why)).await?
            }
            Admission::Run | Admission::Hold(_) => {
                run_now(edge, hook, caller, target, event, timing).await?
            }
        },
        Mode::Async | Mode::Auto => {
            let target = target.map(|target| &**target);
            let event = (event, timing);
            Box::pin(store_and_answer(edge, hook, caller, target, event, dedup)).await?
        }
    };

    Ok(HookAnswer {
        response: answer::apply_rules(hook, answer.response),
        bytes: Some(bytes),
        ..answer
    })
}

/// Waits until the processors have time for a request of this hook. In mode `sync` it is refused
/// after `limits.queue_timeout`. In the other modes it waits: what is stored is not lost.
async fn wait_for_turn(edge: &Edge, hook: &Hook) -> Result<(), Rejection> {
    let wait_max = match hook.spec.mode {
        Mode::Sync => Some(edge.limits.queue_timeout.max(TURN_TIMEOUT_MIN)),
        Mode::Async | Mode::Auto => None,
    };
    let entered = hook.permits.request_flow().enter(wait_max).await;
    entered.map_err(|_| Rejection::Busy("processors"))
}

/// What can be refused before the body is read. `method_check` may be an error that only an
/// ownership check may ignore.
fn check_before_body(
    hook: &Hook,
    caller: &Caller,
    method_check: &Result<(), Rejection>,
    can_run: bool,
) -> Result<(), Rejection> {
    authenticate::check_address(hook, caller)?;
    if !hook.verifier.takes_challenges_by(&caller.method) {
        method_check.clone()?;
    }

    check_can_serve(hook, can_run)
}

/// Refuses a request that the hook can neither run nor verify.
fn check_can_serve(hook: &Hook, can_run: bool) -> Result<(), Rejection> {
    // In the other modes, events wait for their component.
    if !can_run && hook.spec.mode == Mode::Sync {
        return Err(unavailable(hook));
    }

    // A hook that did not load has nothing to verify with. The reason is its load error.
    if *hook.verifier.auth_scheme() == AuthScheme::Closed
        && matches!(hook.serving, Serving::Unavailable(_))
    {
        return Err(unavailable(hook));
    }
    Ok(())
}

/// A request whose sender is authenticated.
#[expect(
    clippy::large_enum_variant,
    reason = "almost every request is an event, and a box would cost an allocation"
)]
enum Authenticated {
    /// The request becomes an event. Its body counts as memory until the reservation is dropped.
    Event(Verified, Timing, BodyReservation),
    /// The answer to an ownership check.
    Challenge(Response),
}

/// Reads the body and authenticates the sender. `method_check` may be an error that only an
/// ownership check may ignore.
async fn authenticated(
    edge: &Edge,
    hook: &Hook,
    caller: &Caller,
    head: Unverified,
    body: &mut IncomingBody,
    method_check: Result<(), Rejection>,
) -> Result<Authenticated, Rejected> {
    let with_head = |rejection| Rejected {
        rejection,
        request: Some(excerpt::of_head(caller, Some(hook), &head.headers)),
    };
    let encoding = Encoding::of(&head.headers).map_err(with_head)?;
    let auth = AuthTarget::of(hook, caller.address);
    let keys = authenticate::keys(edge, auth);
    // A signature over decoded bytes cannot be computed while the encoded bytes arrive.
    let signs_sent_bytes = encoding.is_none() || hook.verifier.signs_body() == SignedBody::Encoded;
    let mac = if signs_sent_bytes {
        streaming_mac(&hook.verifier, &head, &keys)
    } else {
        None
    };

    let max = encoding.map_or(hook.sizes.max_body, |_| {
        decode::encoded_max(hook.sizes.max_body)
    });
    let (body, mac, reservation) = read(edge, max, body, &caller.connection, mac)
        .await
        .map_err(with_head)?;
    let request = Unverified { body, ..head };
    let started = Instant::now();

    // Only an ownership check with the right method gets the reason of a failed proof.
    let method = request.method.clone();
    let is_periodic =
        hook.verifier.challenge_every().is_some() && is_challenge(&hook.verifier, &request);
    let is_challenge = method_check.is_err() && is_challenge(&hook.verifier, &request);
    let checked = match encoding {
        None => authenticate::authenticate(edge, auth, request, &keys, mac)
            .await
            .map(|verdict| (verdict, reservation)),
        Some(encoding) => {
            let encoded = (encoding, reservation);
            Box::pin(authenticate::authenticate_encoded(
                edge, auth, hook, request, encoded, &keys, mac,
            ))
            .await
        }
    };
    let verify = started.elapsed();
    hook.metrics.measure_verify(verify);
    edge.trace_verify(caller, hook, started, &checked);
    let (verified, reservation) = match checked {
        Ok((Verdict::Verified(verified), reservation)) => (verified, reservation),
        Ok((Verdict::Challenge(answer), _)) => {
            let answered = Box::pin(answer_challenge(edge, hook, &method, answer)).await;
            if is_periodic && answered.is_err() {
                hook.metrics.count_refused_challenge();
            }
            return Ok(Authenticated::Challenge(answered?));
        }
        Err(rejection) => {
            if is_periodic {
                hook.metrics.count_refused_challenge();
            }
            let rejection = if is_challenge {
                rejection
            } else {
                method_check.err().unwrap_or(rejection)
            };
            return Err(rejection.into());
        }
    };

    // The method was only accepted because the request could have been an ownership check.
    method_check?;

    let key = verified.fact("verified-by").unwrap_or_default();
    hook.metrics.count_verified(key);
    landfall_model::kill_point!("verified");
    let timing = Timing {
        read_at: Some(started),
        verify: Some(verify),
    };
    Ok(Authenticated::Event(verified, timing, reservation))
}

/// Mode `sync`: runs the event without storing it first. The answer is its outcome.
async fn run_now(
    edge: &Edge,
    hook: &Hook,
    caller: &Caller,
    target: Option<&Arc<Target>>,
    event: Event,
    timing: Timing,
) -> Result<HookAnswer, Rejection> {
    let event_id = event.id;
    let target = target.ok_or_else(|| unavailable(hook))?;
    let permit = hook
        .permits
        .acquire(edge.limits.queue_timeout)
        .await
        .map_err(|_| Rejection::Busy("concurrency"))?;
    let outcome = edge
        .dispatcher
        .run_sync(target, event, timing, permit, hook.sync_limit())
        .await;
    let outcome = with_counted_reply(edge, caller, outcome).map_err(|over| {
        edge.metrics.count_dropped_reply(over.reason());
        Rejection::NoResponseMemory(over)
    })?;
    let counted = match outcome {
        Outcome::Done(_) => RequestOutcome::Replied,
        Outcome::Reject { .. } => RequestOutcome::Rejected,
        _ => RequestOutcome::Failed,
    };
    Ok(HookAnswer {
        response: answer::outcome(hook.verifier.answers(), outcome, event_id),
        outcome: counted,
        event: Some(event_id),
        bytes: None,
    })
}

/// Mode `sync`: stores an event that is filtered, and answers as an accepted event is answered.
async fn store_filtered(
    edge: &Edge,
    hook: &Hook,
    event: Event,
    timing: Timing,
    why: String,
) -> Result<HookAnswer, Rejection> {
    let event_id = event.id;
    let stored = edge.dispatcher.store_filtered(event, timing, why).await;
    stored.map_err(not_kept)?;
    Ok(HookAnswer {
        response: answer::accepted(hook.verifier.answers(), event_id),
        outcome: RequestOutcome::Accepted,
        event: Some(event_id),
        bytes: None,
    })
}

/// The same outcome. The body of its reply counts as memory until the client has read it.
fn with_counted_reply(
    edge: &Edge,
    caller: &Caller,
    outcome: Outcome,
) -> Result<Outcome, OverBudget> {
    Ok(match outcome {
        Outcome::Done(Some(reply)) => Outcome::Done(Some(counted(edge, caller, reply)?)),
        Outcome::Reject {
            reason,
            reply: Some(reply),
        } => Outcome::Reject {
            reason,
            reply: Some(counted(edge, caller, reply)?),
        },
        outcome => outcome,
    })
}

fn counted(edge: &Edge, caller: &Caller, reply: Reply) -> Result<Reply, OverBudget> {
    let body = edge
        .responses
        .count(caller.connection.responses(), reply.body)?;
    Ok(Reply { body, ..reply })
}

/// Modes `async` and `auto`: stores the event, then answers with the handler's reply or with the
/// accepted answer.
async fn store_and_answer(
    edge: &Edge,
    hook: &Hook,
    caller: &Caller,
    target: Option<&Target>,
    event: (Event, Timing),
    dedup: Option<DedupKey>,
) -> Result<HookAnswer, Rejection> {
    let event_id = event.0.id;
    let accepted = queue(edge, hook, target, event, dedup).await?;
    let rules = hook.verifier.answers();
    let event = Some(accepted.event);
    let (response, outcome) = match accepted.content {
        AnswerContent::Reply(reply) => match counted(edge, caller, reply) {
            Ok(reply) => {
                let response = answer::reply(rules, reply, event_id);
                (response, RequestOutcome::Replied)
            }
            Err(over) => {
                let response = answer::accepted(rules, accepted.event);
                let status = response.status().as_u16();
                refuse::record_dropped_reply(edge, over, caller, hook, status);
                (response, RequestOutcome::Accepted)
            }
        },
        AnswerContent::Rejected => {
            let response = answer::rejected(accepted.event);
            (response, RequestOutcome::Rejected)
        }
        AnswerContent::Accepted => {
            landfall_model::kill_point!("before-answer");
            let response = answer::accepted(rules, accepted.event);
            (response, RequestOutcome::Accepted)
        }
    };
    Ok(HookAnswer {
        response,
        outcome,
        event,
        bytes: None,
    })
}

/// Returns when the event is on stable storage. In mode `auto`, waits for the handler's reply until
/// `answer_within`.
async fn queue(
    edge: &Edge,
    hook: &Hook,
    target: Option<&Target>,
    (event, timing): (Event, Timing),
    dedup: Option<DedupKey>,
) -> Result<Answer, Rejection> {
    let incoming = Incoming {
        dedup,
        order_key: event.attribute("order-key").map(str::to_owned),
        is_answered_later: hook.spec.mode == Mode::Async,
        answer_within: hook.queued_limit(),
        timing,
        flow: hook.flow.clone(),
        event,
    };
    let accepted = edge.dispatcher.accept(incoming, target).await;
    accepted.map_err(not_kept)
}

/// The event is not stored.
fn not_kept(error: DispatchError) -> Rejection {
    if error.is_too_large() {
        Rejection::TooLargeToKeep(error.to_string())
    } else {
        Rejection::NotKept(error.to_string())
    }
}

fn dedup_key(hook: &Hook, verified: &Verified) -> Option<DedupKey> {
    let window = hook.spec.dedup.window;
    let mut id_match = hook.verifier.id_match();
    let mut key = match hook.spec.dedup.id {
        DedupId::Nothing => return None,
        DedupId::BodyDigest => Sha256::digest(&verified.request().body).to_vec(),
        DedupId::OfPack | DedupId::At(_) => verified.delivery_key()?.to_vec(),
    };

    // The ledger compares stored bodies. Two bodies can be the same without what is removed.
    if id_match == IdMatch::IdAndBody && hook.spec.redact.reads_bodies() {
        key.extend_from_slice(b"\0sent\0");
        key.extend_from_slice(&Sha256::digest(&verified.request().body));
        id_match = IdMatch::Id;
    }
    Some(DedupKey {
        key,
        id_match,
        window,
    })
}

/// Finds the hook of a path, for a request that began at `started`. Until the plugins directory has
/// been read, an unknown path is not final, so the request waits.
async fn find(edge: &Edge, path: &str, started: Instant) -> Result<RouteMatch, Rejection> {
    loop {
        let table = edge.hooks.table();
        match table.find(path) {
            Some(found) => return Ok(found),
            None if table.complete => return Err(Rejection::UnknownPath),
            None if started.elapsed() >= START_TIMEOUT => {
                return Err(Rejection::Unavailable(Why::new(
                    "starting",
                    "the plugins directory has not been read yet",
                )));
            }
            None => tokio::time::sleep(RECHECK_INTERVAL).await,
        }
    }
}

fn check_method(hook: &Hook, method: &Method) -> Result<(), Rejection> {
    let accepted = &hook.spec.methods;
    if accepted.contains(method) {
        return Ok(());
    }

    let names: Vec<&str> = accepted.iter().map(Method::as_str).collect();
    let allow = HeaderValue::from_str(&format!("{}, OPTIONS", names.join(", ")))
        .expect("method names are a header value");
    match *method {
        Method::OPTIONS => Err(Rejection::Options(allow)),
        Method::HEAD if accepted.contains(&Method::GET) => Err(Rejection::Head),
        _ => Err(Rejection::Method(allow)),
    }
}

/// Why a hook has no component.
fn unavailable(hook: &Hook) -> Rejection {
    let why = match &hook.serving {
        Serving::Unavailable(why) => why.as_str(),
        Serving::Ready(_) => "the hook has nothing to run",
    };

    Rejection::Unavailable(Why::new("unavailable", why))
}

/// The event attributes that come from the connection and the path.
fn attributes(params: &[(String, String)], caller: &Caller) -> Vec<(String, String)> {
    let mut attributes = Vec::with_capacity(2 + params.len());
    if let Some(address) = caller.address {
        attributes.push(("client-address".to_owned(), address.to_string()));
    }

    let traceparent = match &caller.span {
        Some(span) => Some(span.context.to_string()),
        None => caller.traceparent().map(str::to_owned),
    };
    attributes.extend(traceparent.map(|value| (TRACEPARENT.to_owned(), value)));
    attributes.extend(
        params
            .iter()
            .map(|(name, value)| (format!("param:{name}"), value.clone())),
    );
    attributes
}
