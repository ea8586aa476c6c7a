//! A plain `wasi:http` component as a handler: it gets the verified request as an HTTP request, and its response is the outcome.
//! What it calls goes out through the same egress as `landfall:hook/http`.

use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderName;
use http::header::CONTENT_LENGTH;
use http_body_util::Full;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, WasiHttpView};

use super::reply;
use super::state::State;
use landfall_egress::CollectError;
use landfall_model::{Event, MemoryBudget, Outcome};

/// Which event it is, for who wants to be called only once for it.
const EVENT_ID: &str = "landfall-event";
const ATTEMPT: &str = "landfall-attempt";
/// Where the sender's request named no host.
const NO_HOST: &str = "localhost";

/// Runs one event. `path`, without its first slash, takes the place of the event's. An error is a trap.
pub async fn call(
    pre: &ProxyPre<State>,
    store: &mut Store<State>,
    event: &Event,
    number: u32,
    path: Option<&str>,
) -> wasmtime::Result<Outcome> {
    let request = match request(event, number, path) {
        Ok(request) => request,
        Err(error) => {
            return Ok(Outcome::Reject(format!(
                "the request cannot be handed over: {error}"
            )));
        }
    };
    let (answer, answered) = oneshot::channel();
    let memory = store.data().bounds.memory().clone();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let answer = http.new_response_outparam(answer)?;
    let proxy = pre.instantiate_async(&mut *store).await?;

    // The guest writes the body while it is read here.
    let mut run = pin!(
        proxy
            .wasi_http_incoming_handler()
            .call_handle(store, request, answer)
    );
    let mut read = pin!(read(answered, &memory));
    tokio::select! {
        biased;
        ran = &mut run => {
            ran?;
            Ok(left_to_read(read.as_mut()).unwrap_or_else(|| {
                Outcome::Trap("the handler ended before it finished the body of its response".into())
            }))
        }
        outcome = &mut read => match outcome {
            // What cannot be sent ends the attempt, whatever the guest goes on to do.
            Outcome::Trap(_) | Outcome::BadReply(_) | Outcome::OutOfMemory => Ok(outcome),
            outcome => run.await.map(|()| outcome),
        },
    }
}

/// The outcome, where all of the response has been written. To be called when the guest has ended: what is not there by
/// then never comes.
fn left_to_read(read: Pin<&mut impl Future<Output = Outcome>>) -> Option<Outcome> {
    // Tokio would make a long body wait for its next turn.
    tokio::task::unconstrained(read).now_or_never()
}

type Response = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

async fn read(answered: oneshot::Receiver<Response>, memory: &MemoryBudget) -> Outcome {
    let Ok(response) = answered.await else {
        return Outcome::Trap("the handler has ended without setting a response".into());
    };
    let response = match response {
        Ok(response) => response,
        Err(code) => {
            return Outcome::Retry {
                reason: format!("the handler answered with an error: {code:?}"),
                after: None,
            };
        }
    };
    let (head, body) = response.into_parts();
    match landfall_egress::collect(body, Some(memory)).await {
        Ok((body, _)) => reply::of_response(head.status, head.headers, body),
        Err(CollectError::Memory(_)) => Outcome::OutOfMemory,
        Err(CollectError::TooLarge) => Outcome::BadReply(format!("its body has more than {} bytes", reply::BODY_BYTES_MAX)),
        Err(CollectError::Broken(_)) => {
            Outcome::BadReply("the handler did not finish the body of its response, or wrote another length than it set in `content-length`".into())
        }
    }
}

fn request(
    event: &Event,
    number: u32,
    path: Option<&str>,
) -> http::Result<http::Request<Full<Bytes>>> {
    let host = event
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or(NO_HOST);
    let path = path.map_or_else(|| event.path.clone(), |path| format!("/{path}"));
    let path = match &event.query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let uri = http::Uri::builder()
        .scheme("http")
        .authority(host)
        .path_and_query(path)
        .build()?;
    let mut request = http::Request::builder()
        .method(event.method.clone())
        .uri(uri);
    // What only the host may say is not the sender's to say.
    for (name, value) in event
        .headers
        .iter()
        .filter(|(name, _)| !is_written_here(name))
    {
        request = request.header(name, value);
    }
    request
        .header(EVENT_ID, event.id.to_string())
        .header(ATTEMPT, number)
        .header(CONTENT_LENGTH, event.body.len())
        .body(Full::new(event.body.clone()))
}

/// Headers of the sender that the component does not get: they speak of the sender's connection, or only the host may
/// say them.
fn is_written_here(name: &HeaderName) -> bool {
    *name == EVENT_ID
        || *name == ATTEMPT
        || *name == CONTENT_LENGTH
        || DEFAULT_FORBIDDEN_HEADERS.contains(name)
}
