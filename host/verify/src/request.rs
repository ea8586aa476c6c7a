//! The request before and after the check.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use landfall_model::{Event, EventId, HookName, ValueLocation, remove_hop_by_hop};

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
    /// The values of the `{NAME}` segments of the hook's path, decoded.
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
    /// The secret path segment. No attribute of the event may contain it.
    secret_segment: Option<String>,
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
    /// Called by `check` and `recovered` only. Removes the shared secret from the request.
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
            // The body stays as it was sent.
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
            secret_segment,
            ..
        } = self;

        facts.extend(attributes.into_iter().filter_map(|(name, value)| {
            let value = without_segment(value, secret_segment.as_deref())?;
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

/// Replaces the last segment by `-` and returns it.
fn take_last_segment(path: &mut String) -> Option<String> {
    let start = path.rfind('/')? + 1;
    let segment = path.split_off(start);
    path.push('-');

    Some(segment)
}

/// An attribute without the segment of the path that was a secret. `None`: it was the secret.
fn without_segment(value: String, secret: Option<&str>) -> Option<String> {
    let Some(secret) = secret else {
        return Some(value);
    };
    if value == secret {
        return None;
    }
    match value.strip_suffix(secret) {
        Some(before) if before.ends_with('/') => Some(format!("{before}-")),
        _ => Some(value),
    }
}

/// Removes every parameter with this name from the query. The rest stays byte for byte.
fn without_query(query: Option<&str>, name: &str) -> Option<String> {
    let is_other =
        |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).all(|(key, _)| key != name);
    let others: Vec<&str> = query?.split('&').filter(is_other).collect();

    (!others.is_empty()).then(|| others.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_parameter_is_removed() {
        assert_eq!(
            without_query(Some("a=1&token=x&b=%20"), "token").as_deref(),
            Some("a=1&b=%20")
        );

        assert_eq!(
            without_query(Some("a=1&t%6fken=x"), "token").as_deref(),
            Some("a=1")
        );

        assert_eq!(without_query(Some("token=x"), "token"), None);
        assert_eq!(without_query(None, "token"), None);
    }
}
