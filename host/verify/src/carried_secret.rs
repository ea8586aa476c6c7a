//! The shared secret that a request carries, such as a token. Nothing that the host or a component
//! gets of the request's head has it: neither where the scheme reads it, nor where the head repeats
//! it. A body stays as it was sent, also if the secret is in it.

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::auth_scheme::AuthScheme;
use crate::path_segments::{PART_BYTES_MIN, without_carrier};
use crate::request::Unverified;
use landfall_model::{MASKED, ValueLocation};

/// The hexadecimal digits of a digest that stands in the place of a fact.
const DIGEST_DIGITS: usize = 32;

/// A shared secret in the head of a request.
pub(crate) struct CarriedSecret {
    place: ValueLocation,
    /// As sent, with the prefix.
    carrier: String,
    /// As sent, without the prefix.
    sent: String,
    /// Without percent encoding, if the scheme reads it from the path.
    decoded: String,
}

// === impl CarriedSecret ===

impl CarriedSecret {
    /// `None`: the scheme reads no secret from the head, or the request has none there.
    pub(crate) fn find(scheme: &AuthScheme, request: &Unverified) -> Option<CarriedSecret> {
        let (place, prefix) = scheme.secret_carrier()?;
        let carrier = match &place {
            ValueLocation::Header(name) => {
                let value = request.headers.get(name.as_str())?;
                String::from_utf8_lossy(value.as_bytes().trim_ascii()).into_owned()
            }
            ValueLocation::Query(name) => parameter(request.query.as_deref()?, name)?,
            ValueLocation::Path(_) => request.path.rsplit('/').next()?.to_owned(),
            ValueLocation::Param(name) => {
                let mut params = request.params.iter();
                params.find(|(known, _)| known == name)?.1.clone()
            }
            ValueLocation::Json(_)
            | ValueLocation::Each(_)
            | ValueLocation::Form(_)
            | ValueLocation::Body(_)
            | ValueLocation::Claim(_) => return None,
        };

        let sent = without_prefix(&carrier, prefix).to_owned();
        let decoded = match &place {
            ValueLocation::Path(_) | ValueLocation::Param(_) => {
                percent_decode_str(&sent).decode_utf8_lossy().into_owned()
            }
            _ => sent.clone(),
        };
        (!sent.is_empty()).then_some(CarriedSecret {
            place,
            carrier,
            sent,
            decoded,
        })
    }

    /// The text in the path; `None` if the secret is elsewhere.
    pub(crate) fn in_path(&self) -> Option<&str> {
        match &self.place {
            ValueLocation::Path(_) | ValueLocation::Param(_) => Some(&self.carrier),
            _ => None,
        }
    }

    /// Removes the secret from the head of the request.
    pub(crate) fn remove(&self, request: &mut Unverified) {
        match &self.place {
            ValueLocation::Header(name) => drop(request.headers.remove(name.as_str())),
            ValueLocation::Query(name) => {
                let is_carrier = |pair: &str| has_name(pair, name);
                request.query = without_pairs(request.query.as_deref(), is_carrier);
            }
            _ => {}
        }

        if self.in_path().is_some() || self.is_long() {
            request.path = without_carrier(&request.path, &self.carrier, &self.sent);
        }
        if self.is_long() {
            for value in request.headers.values_mut() {
                if self.is_in(&String::from_utf8_lossy(value.as_bytes())) {
                    *value = HeaderValue::from_static(MASKED);
                }
            }
            request.query = without_pairs(request.query.as_deref(), |pair| {
                let mut pairs = form_urlencoded::parse(pair.as_bytes());
                pairs.any(|(name, value)| self.is_in(&name) || self.is_in(&value))
            });
        }
    }

    /// Replaces facts that contain the secret by digests. Facts of the same text stay the same.
    pub(crate) fn hide_in(&self, facts: &mut [(String, String)]) {
        for (_, value) in facts {
            let is_secret = [&self.sent, &self.decoded].contains(&&*value);
            if is_secret || (self.is_long() && self.is_in(value)) {
                let digest = hex::encode(Sha256::digest(value.as_bytes()));
                *value = format!("sha256:{}", &digest[..DIGEST_DIGITS]);
            }
        }
    }

    fn is_long(&self) -> bool {
        self.sent.len() >= PART_BYTES_MIN && self.decoded.len() >= PART_BYTES_MIN
    }

    fn is_in(&self, text: &str) -> bool {
        text.contains(&self.sent) || text.contains(&self.decoded)
    }
}

fn without_prefix<'a>(text: &'a str, prefix: &str) -> &'a str {
    match text.split_at_checked(prefix.len()) {
        Some((word, rest)) if word.eq_ignore_ascii_case(prefix) => rest.trim(),
        _ => text,
    }
}

/// The first decoded value of a query parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

fn has_name(pair: &str, name: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).any(|(known, _)| known == name)
}

/// Removes pairs from a query. The rest stays byte for byte.
fn without_pairs(query: Option<&str>, is_removed: impl Fn(&str) -> bool) -> Option<String> {
    let query = query?;
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_removed(pair)).collect();
    if kept.len() == query.split('&').count() {
        return Some(query.to_owned());
    }

    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    const TOKEN: &str = "canary-9f3b7c";

    fn scheme(from: ValueLocation, prefix: &str) -> AuthScheme {
        AuthScheme::Token {
            from,
            prefix: prefix.to_owned(),
        }
    }

    fn request(headers: &[(&'static str, &str)], query: Option<&str>) -> Unverified {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Unverified {
            method: Method::POST,
            path: format!("/in/{TOKEN}/x"),
            query: query.map(str::to_owned),
            params: vec![("key".into(), TOKEN.into()), ("other".into(), "x".into())],
            headers: headers.collect::<HeaderMap>(),
            body: Bytes::from_static(b"{}"),
            decoded: None,
        }
    }

    #[test]
    fn heads_have_no_secret() {
        let repeated = format!("https://x.example/in?k={TOKEN}&a=1");
        let bearer = format!("Bearer {TOKEN}");
        let headers = [
            ("x-forwarded-uri", repeated.as_str()),
            ("authorization", bearer.as_str()),
            ("x-kept", "kept"),
        ];
        for (from, prefix) in [
            (ValueLocation::Header("Authorization".into()), "bearer "),
            (ValueLocation::Query("k".into()), ""),
            (ValueLocation::Param("key".into()), ""),
        ] {
            let mut request = request(&headers, Some(&format!("a=1&k={TOKEN}&b=%20")));
            let scheme = scheme(from, prefix);
            let secret = CarriedSecret::find(&scheme, &request).unwrap();
            secret.remove(&mut request);
            let left = format!("{} {:?}", request.path, request.headers);
            assert!(!left.contains(TOKEN), "{left}");
            assert_eq!(request.path, "/in/-/x");
            assert_eq!(request.query.as_deref(), Some("a=1&b=%20"));
            assert_eq!(request.headers["x-kept"], "kept");
        }
    }

    #[test]
    fn segments_with_a_prefix_are_removed() {
        let mut request = request(&[], None);
        request.path = format!("/in/tok_{TOKEN}");
        let scheme = scheme(ValueLocation::Path("last".into()), "tok_");
        let secret = CarriedSecret::find(&scheme, &request).unwrap();
        secret.remove(&mut request);
        assert_eq!(request.path, "/in/-");
        assert_eq!(secret.in_path(), Some(&*format!("tok_{TOKEN}")));
    }

    #[test]
    fn encoded_segments_are_removed() {
        let mut request = request(&[("x-url", "/in/canary-9f3b7c")], None);
        request.path = "/in/%63anary-9f3b7c".into();
        request.params = vec![("key".into(), "%63anary-9f3b7c".into())];
        let scheme = scheme(ValueLocation::Param("key".into()), "");
        let secret = CarriedSecret::find(&scheme, &request).unwrap();
        secret.remove(&mut request);
        assert_eq!(request.path, "/in/-");
        assert_eq!(request.headers["x-url"], MASKED);
    }

    #[test]
    fn short_secrets_leave_other_texts() {
        let mut request = request(&[("x-a", "abcdef"), ("x-token", "abc")], Some("a=abc"));
        let scheme = scheme(ValueLocation::Header("X-Token".into()), "");
        let secret = CarriedSecret::find(&scheme, &request).unwrap();
        secret.remove(&mut request);
        assert_eq!(request.headers.len(), 1);
        assert_eq!(request.headers["x-a"], "abcdef");
        assert_eq!(request.query.as_deref(), Some("a=abc"));
    }

    #[test]
    fn facts_have_no_secret() {
        let request = request(&[], None);
        let scheme = scheme(ValueLocation::Param("key".into()), "");
        let secret = CarriedSecret::find(&scheme, &request).unwrap();
        let mut facts = [TOKEN, &format!("7/{TOKEN}"), "push", TOKEN]
            .map(|value| ("order-key".to_owned(), value.to_owned()));
        secret.hide_in(&mut facts);
        assert!(!format!("{facts:?}").contains(TOKEN), "{facts:?}");
        assert_eq!(facts[0], facts[3]);
        assert_ne!(facts[0], facts[1]);
        assert_eq!(facts[2].1, "push");
    }

    #[test]
    fn bodies_are_not_heads() {
        let request = request(&[], None);
        for from in [
            ValueLocation::Json("/key".into()),
            ValueLocation::Body("whole".into()),
        ] {
            assert!(CarriedSecret::find(&scheme(from, ""), &request).is_none());
        }
        assert!(CarriedSecret::find(&AuthScheme::Open, &request).is_none());
    }
}
