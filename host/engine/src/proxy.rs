//! A plain `wasi:http` component as a handler: it receives the verified request as an HTTP request,
//! and its response is the outcome. Its outgoing calls use the same egress as `landfall:http`.

use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderName;
use http::header::CONTENT_LENGTH;
use http_body_util::Full;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::ComponentExportIndex;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, WasiHttpView};

use super::state::AttemptState;
use super::{attempt, initialise, reply};
use landfall_egress::{BODY_BYTES_MAX, CollectError};
use landfall_model::{Event, MemoryBudget, Outcome};

/// The header with the id of the event, with which a component can recognise a repeated attempt.
const EVENT_ID: &str = "landfall-event";
const ATTEMPT: &str = "landfall-attempt";
/// The host of a request whose sender named none.
const NO_HOST: &str = "localhost";

const UNFINISHED: &str = "the handler ended before it finished the body of its response";
const NO_RESPONSE: &str = "the handler has ended without setting a response";

/// Runs one event. `init` runs before it. `path`, without its first slash, replaces the path of the
/// event. An error is a trap.
pub(crate) async fn call(
    pre: &ProxyPre<AttemptState>,
    init: Option<&ComponentExportIndex>,
    store: &mut Store<AttemptState>,
    event: &Event,
    number: u32,
    path: Option<&str>,
) -> wasmtime::Result<Outcome> {
    let request = match request(event, number, path) {
        Ok(request) => request,
        Err(error) => {
            return Ok(Outcome::reject(format!(
                "the request cannot be handed over: {error}"
            )));
        }
    };
    let (answer, answered) = oneshot::channel();
    let memory = store.data().limits.memory().clone();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let answer = http.new_response_outparam(answer)?;
    let proxy = match init {
        None => pre.instantiate_async(&mut *store).await?,
        Some(init) => {
            let pre = pre.instance_pre();
            let instance = Box::pin(initialise::instantiate(pre, store, init)).await?;
            Proxy::new(&mut *store, &instance)?
        }
    };

    let outcome = {
        // The guest writes the body while the host reads it.
        let mut run = pin!(proxy.wasi_http_incoming_handler().call_handle(
            &mut *store,
            request,
            answer
        ));
        let mut read = pin!(read(answered, &memory));

        tokio::select! {
            biased;
            ran = &mut run => {
                ran?;
                left_to_read(read.as_mut()).unwrap_or_else(|| Outcome::Trap(UNFINISHED.into()))
            }
            outcome = &mut read => match outcome {
                // A response that cannot be sent ends the attempt, even if the guest goes on.
                Outcome::Trap(_) | Outcome::BadReply(_) | Outcome::OutOfMemory => outcome,
                outcome => run.await.map(|()| outcome)?,
            },
        }
    };

    Ok(match outcome {
        Outcome::Trap(what) => attempt::early_end(&what, store.data()),
        outcome => outcome,
    })
}

/// The outcome, if the whole response has been written. The guest must have ended, so that nothing
/// more can arrive.
fn left_to_read(read: Pin<&mut impl Future<Output = Outcome>>) -> Option<Outcome> {
    // Without this, tokio would suspend the reading of a long body.
    tokio::task::unconstrained(read).now_or_never()
}

type Response = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

async fn read(answered: oneshot::Receiver<Response>, memory: &MemoryBudget) -> Outcome {
    let Ok(response) = answered.await else {
        return Outcome::Trap(NO_RESPONSE.into());
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
        Err(CollectError::TooLarge) => {
            Outcome::BadReply(format!("its body has more than {BODY_BYTES_MAX} bytes"))
        }
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
    let path_and_query = match &event.query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let uri = http::Uri::builder()
        .scheme("http")
        .authority(host)
        .path_and_query(path_and_query)
        .build()?;
    let mut request = http::Request::builder()
        .method(event.method.clone())
        .uri(uri);
    for (name, value) in event.headers.iter().filter(|(name, _)| !is_ours(name)) {
        request = request.header(name, value);
    }
    request
        .header(EVENT_ID, event.id.to_string())
        .header(ATTEMPT, number)
        .header(CONTENT_LENGTH, event.body.len())
        .body(Full::new(event.body.clone()))
}

/// Whether a header of the sender is left out: it describes the sender's connection, or only the
/// host may write it.
fn is_ours(name: &HeaderName) -> bool {
    *name == EVENT_ID
        || *name == ATTEMPT
        || *name == CONTENT_LENGTH
        || DEFAULT_FORBIDDEN_HEADERS.contains(name)
}
