//! Requests that no operation takes: an unknown path, or a method that the endpoint does not have.
//! Those that ask for a change are in the audit record.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};

use super::audit::{Change, RefusedChange};
use super::command::Frame;
use super::error::{NO_ENDPOINT, NO_METHOD, unknown_endpoint};
use super::operations::OPERATIONS;
use crate::role::Caller;

/// What the audit record calls such a request.
const UNKNOWN: &str = "unknown";
/// Methods that the record names.
static METHODS: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The answer to every other path below `/api/`.
pub(crate) fn unknown_routes<S: Clone + Send + Sync + 'static>(frame: &Frame) -> Router<S> {
    let recorded = middleware::from_fn_with_state(frame.clone(), record);
    ["/api", "/api/", "/api/{*path}"]
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route(path, any(unknown_endpoint).layer(recorded.clone()))
        })
}

/// Stores an entry for a request that asks for a change, after it was refused.
pub(crate) async fn record(State(frame): State<Frame>, request: Request, next: Next) -> Response {
    let asked = asked(request.method(), request.uri().path());
    let caller = request.extensions().get::<Caller>().cloned();
    let answer = next.run(request).await;

    if let (Some(detail), Some(caller)) = (asked, caller) {
        let why = match answer.status() {
            StatusCode::METHOD_NOT_ALLOWED => NO_METHOD,
            _ => NO_ENDPOINT,
        };
        let refused = RefusedChange::new(answer.status().as_u16(), why);
        let change = Change::new(UNKNOWN, None, &detail);
        frame.record_refused(&caller, change, refused).await;
    }

    answer
}

/// What a request asks for, for the audit record. `None`: its method changes nothing. Of the path,
/// only the words of endpoints are kept: anything else may be a secret.
pub(crate) fn asked(method: &Method, path: &str) -> Option<Value> {
    if method.is_safe() {
        return None;
    }

    let method = METHODS.iter().find(|known| *known == method);
    let method = method.map_or("other", Method::as_str);
    Some(json!({ "method": method, "path": known_path(path) }))
}

/// The path up to the first segment that is no word of an endpoint.
fn known_path(path: &str) -> String {
    let mut known = String::new();
    for segment in path.split('/').skip(1) {
        known.push('/');
        if !is_word(segment) {
            known.push('…');
            break;
        }
        known.push_str(segment);
    }
    known
}

fn is_word(segment: &str) -> bool {
    let words = OPERATIONS.iter().flat_map(|one| one.path.split('/'));
    let mut words = words.filter(|word| !word.is_empty() && !word.starts_with('{'));
    ["mcp", "metrics"].contains(&segment) || words.any(|word| word == segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_paths_are_kept() {
        for (path, known) in [
            ("/api/v1/replay", "/api/v1/replay"),
            ("/api/v1/hooks/q/pause", "/api/v1/hooks/…"),
            ("/api/v2/canary", "/api/…"),
            ("/canary", "/…"),
            ("/api/", "/api/…"),
            ("/metrics", "/metrics"),
            ("/api/v1/{hook}", "/api/v1/…"),
            ("*", ""),
        ] {
            assert_eq!(known_path(path), known, "{path}");
        }
    }

    #[test]
    fn methods_are_named_or_other() {
        for (method, name) in [("POST", Some("POST")), ("canary", Some("other"))] {
            let detail = asked(&method.parse().unwrap(), "/api").unwrap();
            assert_eq!(detail["method"].as_str(), name);
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert_eq!(asked(&method, "/api"), None);
        }
    }
}
