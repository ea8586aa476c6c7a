//! The request before and after the check.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use crate::path_segments::{REMOVED, without_segments};
use landfall_model::{Event, EventId, HookName, remove_hop_by_hop};

/// Which form of a compressed body is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBody {
    /// The bytes as sent.
    #[default]
    Encoded,
    /// The bytes after decompression.
    Decoded,
}

/// A request that is not authenticated yet.
#[derive(Debug, Clone)]
pub struct Unverified {
    /// The method as sent.
    pub method: Method,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query without the question mark.
    pub query: Option<String>,
    /// The values of the `{NAME}` segments of the hook's path, percent-encoded as in the path.
    pub params: Vec<(String, String)>,
    /// The headers as sent.
    pub headers: HeaderMap,
    /// The body as sent.
    pub body: Bytes,
    /// The decompressed body; `None` if the body was not compressed, or `body` is already
    /// decompressed.
    pub decoded: Option<Bytes>,
}

/// A request that passed the check. With `scheme = "none"`, every request does.
#[derive(Debug, Clone)]
pub struct Verified {
    request: Unverified,
    facts: Vec<(String, String)>,
    delivery_key: Option<Vec<u8>>,
    /// The shared secret that was in the path. No attribute of the event may contain it.
    path_secret: Option<String>,
}

// === impl Unverified ===

impl Unverified {
    /// The body, decompressed if it was compressed.
    pub fn content(&self) -> &Bytes {
        self.decoded.as_ref().unwrap_or(&self.body)
    }

    /// Adds the decompressed body. If the provider signs the decompressed bytes, they replace the
    /// body as sent.
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

    /// Turns the request into one whose body was sent without compression.
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
    /// Called by `check` and `recovered` only. `path_secret`: the shared secret that was in the
    /// path. The request has no shared secret any more, except in its body.
    pub(super) fn new(
        request: Unverified,
        path_secret: Option<String>,
        facts: Vec<(String, String)>,
        delivery_key: Option<Vec<u8>>,
    ) -> Verified {
        Verified {
            request: request.without_encoding(),
            facts,
            delivery_key,
            path_secret,
        }
    }

    /// The request, without the shared secret.
    pub fn request(&self) -> &Unverified {
        &self.request
    }

    /// A fact that the check found, such as `event-type`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The key that identifies the delivery, one for all identity fields; `None` if the provider
    /// has no delivery identity, or a field is missing.
    pub fn delivery_key(&self) -> Option<&[u8]> {
        self.delivery_key.as_deref()
    }

    /// Turns the request into an event. `attributes` are added after the facts that the check
    /// found.
    pub fn into_event(
        self,
        hook: &HookName,
        at: SystemTime,
        attributes: Vec<(String, String)>,
    ) -> Event {
        let Verified {
            request,
            mut facts,
            path_secret,
            ..
        } = self;

        facts.extend(attributes.into_iter().filter_map(|(name, value)| {
            let value = without_secret(value, path_secret.as_deref())?;
            Some((name, value))
        }));

        let mut headers = request.headers;
        remove_hop_by_hop(&mut headers);

        Event {
            id: EventId::new(at),
            hook: hook.shared(),
            received_at: at,
            method: request.method,
            path: request.path,
            query: request.query,
            headers,
            body: request.body,
            attributes: facts,
        }
    }
}

/// An attribute without the secret of the path. `None`: it was the secret.
fn without_secret(value: String, secret: Option<&str>) -> Option<String> {
    let Some(secret) = secret else {
        return Some(value);
    };

    let left = without_segments(&value, secret);
    (left != REMOVED || value == REMOVED).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_no_secret() {
        for (value, left) in [
            ("s3cret", None),
            ("%73%33cret", None),
            ("a/s3cret", Some("a/-")),
            ("s3cret/a", Some("-/a")),
            ("other", Some("other")),
        ] {
            let found = without_secret(value.to_owned(), Some("s3cret"));
            assert_eq!(found.as_deref(), left, "{value}");
        }
        assert_eq!(without_secret("a".into(), None).as_deref(), Some("a"));
    }
}
