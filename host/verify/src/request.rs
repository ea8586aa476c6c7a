//! The request before and after the check.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use landfall_model::{Event, EventId, HookName, ValueLocation};

/// What of a compressed body is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBody {
    /// The bytes as sent.
    #[default]
    Encoded,
    /// The bytes after `Content-Encoding` is undone.
    Decoded,
}

/// A request that has proven nothing yet.
#[derive(Debug, Clone)]
pub struct Unverified {
    /// As sent.
    pub method: Method,
    /// As sent, percent-encoded.
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
    /// The `{NAME}` segments of the hook's path, decoded.
    pub params: Vec<(String, String)>,
    /// As sent.
    pub headers: HeaderMap,
    /// Every byte, as sent.
    pub body: Bytes,
    /// The body after `Content-Encoding` was undone; none where it had none, or where `body` is decoded already.
    pub decoded: Option<Bytes>,
}

/// A request whose sender has proven itself (or need not: `scheme = "none"`).
#[derive(Debug, Clone)]
pub struct Verified {
    request: Unverified,
    facts: Vec<(String, String)>,
    delivery_key: Option<Vec<u8>>,
    /// Of the path; no attribute may repeat it.
    secret_segment: Option<String>,
}

// === impl Unverified ===

impl Unverified {
    /// What the body says: decoded where it was encoded.
    pub fn content(&self) -> &Bytes {
        self.decoded.as_ref().unwrap_or(&self.body)
    }

    /// With the body decoded. Where the decoded bytes are signed, nothing is left of the encoded ones.
    pub fn with_decoded(self, decoded: Bytes, signed: SignedBody) -> Unverified {
        let request = Unverified {
            decoded: Some(decoded),
            ..self
        };

        match signed {
            SignedBody::Encoded => request,
            SignedBody::Decoded => request.without_encoding(),
        }
    }

    /// As if the sender had not encoded the body.
    fn without_encoding(mut self) -> Unverified {
        if let Some(decoded) = self.decoded.take() {
            self.body = decoded;
            self.headers.remove(CONTENT_ENCODING);
            self.headers.remove(CONTENT_LENGTH);
        }

        self
    }
}

// === impl Verified ===

impl Verified {
    /// Only the check makes these. What carried a shared secret is taken out of the request here.
    pub(super) fn new(
        mut request: Unverified,
        carried_secret: Option<&ValueLocation>,
        facts: Vec<(String, String)>,
        delivery_key: Option<Vec<u8>>,
    ) -> Verified {
        request = request.without_encoding();
        let mut secret_segment = None;
        match carried_secret {
            Some(ValueLocation::Header(name)) => drop(request.headers.remove(name.as_str())),
            Some(ValueLocation::Query(name)) => {
                request.query = without_query(request.query.as_deref(), name)
            }
            Some(ValueLocation::Path(_)) => secret_segment = take_last_segment(&mut request.path),
            // The body stays as it was signed and sent.
            Some(
                ValueLocation::Json(_)
                | ValueLocation::Each(_)
                | ValueLocation::Form(_)
                | ValueLocation::Param(_)
                | ValueLocation::Body(_)
                | ValueLocation::Claim(_),
            )
            | None => {}
        }

        Verified {
            request,
            facts,
            delivery_key,
            secret_segment,
        }
    }

    /// The request, without what was secret.
    pub fn request(&self) -> &Unverified {
        &self.request
    }

    /// One fact that the check found, such as `event-type`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// What identifies the delivery, one key for all its fields; none where the provider names no identity, or a field is absent.
    pub fn delivery_key(&self) -> Option<&[u8]> {
        self.delivery_key.as_deref()
    }

    /// The event of this request; `attributes` come after the facts that the check found.
    pub fn into_event(
        self,
        hook: &HookName,
        at: SystemTime,
        attributes: Vec<(String, String)>,
    ) -> Event {
        let Verified {
            request,
            mut facts,
            secret_segment,
            ..
        } = self;

        facts.extend(
            attributes
                .into_iter()
                .filter(|(_, value)| Some(value) != secret_segment.as_ref()),
        );

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

/// Leaves a `-` in its place.
fn take_last_segment(path: &mut String) -> Option<String> {
    let start = path.rfind('/')? + 1;
    let segment = path.split_off(start);
    path.push('-');

    Some(segment)
}

/// The query without every parameter of that name; the rest byte for byte.
fn without_query(query: Option<&str>, name: &str) -> Option<String> {
    let is_other =
        |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).all(|(key, _)| key != name);
    let kept: Vec<&str> = query?.split('&').filter(is_other).collect();

    (!kept.is_empty()).then(|| kept.join("&"))
}
