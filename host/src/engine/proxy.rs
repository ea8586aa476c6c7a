//! A plain `wasi:http` component as a handler: it gets the verified request as an HTTP request, and its response is the outcome.
//! What it calls goes out through the same egress as `landfall:hook/http`.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use super::reply;
use super::state::State;
use crate::model::{Event, Outcome};

/// Which event it is, for who wants to be called only once for it.
const EVENT_ID: &str = "landfall-event";
const ATTEMPT: &str = "landfall-attempt";
/// Where the sender's request named no host.
const NO_HOST: &str = "localhost";

/// Runs one event. An error is a trap.
pub async fn call(
    pre: &ProxyPre<State>,
    store: &mut Store<State>,
    event: &Event,
    number: u32,
) -> wasmtime::Result<Outcome> {
    let request = match request(event, number) {
        Ok(request) => request,
        Err(error) => return Ok(Outcome::Reject(format!("the request cannot be handed over: {error}"))),
    };
    let (answer, answered) = oneshot::channel();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let answer = http.new_response_outparam(answer)?;
    let proxy = pre.instantiate_async(&mut *store).await?;
    // The guest writes its body while it is read here.
    let read = async {
        let Ok(response) = answered.await else {
            return Outcome::Trap("the handler has ended without setting a response".into());
        };
        match response {
            Ok(response) => {
                let (head, body) = response.into_parts();
                match Limited::new(body, reply::BODY_BYTES_MAX).collect().await {
                    Ok(body) => reply::of_response(head.status, head.headers, body.to_bytes()),
                    Err(error) => Outcome::BadReply(format!("its body cannot be read: {error}")),
                }
            }
            Err(code) => {
                Outcome::Retry { reason: format!("the handler answered with an error: {code:?}"), after: None }
            }
        }
    };
    let (ran, outcome) = tokio::join!(proxy.wasi_http_incoming_handler().call_handle(store, request, answer), read);
    ran.map(|()| outcome)
}

fn request(event: &Event, number: u32) -> http::Result<http::Request<Full<Bytes>>> {
    let host = event.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(NO_HOST);
    let path = match &event.query {
        Some(query) => format!("{}?{query}", event.path),
        None => event.path.clone(),
    };
    let uri = http::Uri::builder().scheme("http").authority(host).path_and_query(path).build()?;
    let mut request = http::Request::builder().method(event.method.clone()).uri(uri);
    // What only the host may say is not the sender's to say.
    for (name, value) in event.headers.iter().filter(|(name, _)| *name != EVENT_ID && *name != ATTEMPT) {
        request = request.header(name, value);
    }
    request.header(EVENT_ID, event.id.to_string()).header(ATTEMPT, number).body(Full::new(event.body.clone()))
}
