//! The services of the two listeners. The public one is not a router: the boxes and the extensions of
//! one cost as much as to verify a short request.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use landfall_model::{Peer, PushSpec};
use tower::ServiceExt;

use super::activity::OnConnection;
use super::edge::Edge;
use super::{push, receive};

/// Answers the requests of a listener.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// The answer to one request, which the peer has sent on this connection. Each connection has
    /// an `Arc` of its own, so that the processors do not share its reference count.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        connection: OnConnection,
    ) -> impl Future<Output = Response> + Send + 'static;
}

/// Every public path. Hooks have their own table, which changes at run time.
#[derive(Clone)]
pub(crate) struct PublicService {
    pub(crate) edge: Arc<Edge>,
}

impl Service for PublicService {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        connection: OnConnection,
    ) -> Response {
        let edge = &self.edge;
        let is_head = request.method() == Method::HEAD;
        let response = if edge.push.is_some() && request.uri().path() == PushSpec::PATH {
            Box::pin(push::push(edge, request, peer, connection)).await
        } else {
            receive::receive(edge, request, peer, connection).await
        };

        with_length(response, is_head)
    }
}

impl Service for Router {
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        _: OnConnection,
    ) -> Response {
        request.extensions_mut().insert(Peer(peer));
        let router = Router::clone(&self);
        let response = router.oneshot(request.map(Body::new)).await;
        response.unwrap_or_else(|never| match never {})
    }
}

/// The response with the length of its body, and without the body if the request was `HEAD`.
fn with_length(mut response: Response, is_head: bool) -> Response {
    if let Some(bytes) = response.body().size_hint().exact() {
        let length = response.headers_mut().entry(CONTENT_LENGTH);
        length.or_insert_with(|| HeaderValue::from(bytes));
    }
    if is_head {
        *response.body_mut() = Body::empty();
    }

    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_length() {
        for (is_head, body_bytes) in [(false, 4), (true, 0)] {
            let response = with_length(Response::new(Body::from("text")), is_head);
            assert_eq!(response.headers()[CONTENT_LENGTH], "4");
            assert_eq!(response.body().size_hint().exact(), Some(body_bytes));
        }

        let empty = with_length(Response::new(Body::empty()), false);
        assert_eq!(empty.headers()[CONTENT_LENGTH], "0");
    }
}
