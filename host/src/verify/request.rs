//! The request before and after the check.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::place;
use crate::model::{Event, EventId, HookName, Place};

/// A request that has proven nothing yet.
#[derive(Debug, Clone)]
pub struct Unverified {
    /// As sent.
    pub method: Method,
    /// As sent, percent-encoded.
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
    /// As sent.
    pub headers: HeaderMap,
    /// Every byte, as sent.
    pub body: Bytes,
}

/// A request whose sender has proven itself (or need not: `scheme = "none"`).
#[derive(Debug, Clone)]
pub struct Verified {
    request: Unverified,
    facts: Vec<(String, String)>,
}

// === impl Verified ===

impl Verified {
    /// Only the check makes these. What carried a shared secret is taken out of the request here.
    pub(super) fn new(
        mut request: Unverified,
        carried_secret: Option<&Place>,
        facts: Vec<(String, String)>,
    ) -> Verified {
        match carried_secret {
            Some(Place::Header(name)) => drop(request.headers.remove(name.as_str())),
            Some(Place::Query(name)) => request.query = place::without_query(request.query.as_deref(), name),
            Some(Place::Json(_)) | None => {}
        }
        Verified { request, facts }
    }

    /// The request, without what was secret.
    pub fn request(&self) -> &Unverified {
        &self.request
    }

    /// One fact that the check found, such as `event-type`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The event of this request; `attributes` come after the facts that the check found.
    pub fn into_event(self, hook: &HookName, at: SystemTime, attributes: Vec<(String, String)>) -> Event {
        let Verified { request, mut facts } = self;
        facts.extend(attributes);
        Event {
            id: EventId::new(at),
            hook: hook.shared(),
            received_at: at,
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body,
            attributes: facts,
        }
    }
}
