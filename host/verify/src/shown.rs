//! Events as people may see them: without the values by which their senders have proven themselves.
//! What the component sees is not changed.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::auth_scheme::AuthScheme;
use crate::request::Unverified;
use crate::schemes::each;
use crate::verifier::Verifier;
use crate::view::View;
use landfall_model::{Event, MASKED, ValueLocation, is_shown_header};

/// Shorter proofs occur in other texts by chance: they are masked where nothing stands beside them.
const PART_BYTES_MIN: usize = 8;
/// Before the name of an attribute that contains a segment of the path.
const PARAM: &str = "param:";

/// A value to mask, and what stands in its place.
#[derive(Debug, PartialEq, Eq)]
struct Proof {
    text: String,
    /// The text as it stands in a URL, in a form and in a string of JSON, where that differs.
    encoded: Vec<String>,
    shown: String,
}

// === impl Verifier ===

impl Verifier {
    /// The event without the token, the JWT's signature or the signature that the scheme reads from
    /// it, wherever the request repeats it. Borrowed if there is nothing to mask.
    pub fn without_proof<'a>(&self, event: &'a Event) -> Cow<'a, Event> {
        let mut shown = Cow::Borrowed(event);
        for place in self.auth_scheme.proof_places() {
            match place {
                // An accepted request has no such segment any more, and a claim is no proof.
                ValueLocation::Path(_) | ValueLocation::Claim(_) => {}
                ValueLocation::Header(name) => {
                    self.mask_values(&mut shown, place);
                    mask_header(&mut shown, name);
                }
                ValueLocation::Query(name) => {
                    self.mask_values(&mut shown, place);
                    mask_parameter(&mut shown, name);
                }
                ValueLocation::Json(_)
                | ValueLocation::Each(_)
                | ValueLocation::Form(_)
                | ValueLocation::Param(_)
                | ValueLocation::Body(_) => self.mask_values(&mut shown, place),
            }
        }

        shown
    }

    fn mask_values(&self, shown: &mut Cow<'_, Event>, place: &ValueLocation) {
        let request = request_of(shown);
        let view = View::new(&request, None).with_json_field(self.json_form_field.as_deref());
        let proofs: Vec<Proof> = values(&view, place)
            .into_iter()
            .filter_map(|text| self.proof(&text))
            .collect();
        // `View::field` reads a form whatever the content type is.
        let is_form = view.is_urlencoded() || matches!(place, ValueLocation::Form(_));
        for proof in proofs {
            let event = shown.to_mut();
            event.body = proof.mask_body(&event.body, is_form);
            for (_, value) in &mut event.headers {
                proof.mask_header_value(value);
            }
            event.path = proof.mask_path(&event.path);
            event.query = event.query.take().map(|query| proof.mask_form(&query));
            for (_, value) in &mut event.attributes {
                *value = proof.mask(value);
            }
        }
    }

    /// `None` if the value has nothing behind its prefix.
    fn proof(&self, value: &str) -> Option<Proof> {
        let prefix = self.auth_scheme.proof_prefix();
        let text = value.strip_prefix(prefix).unwrap_or(value);
        let shown = match (&self.auth_scheme, text.rsplit_once('.')) {
            // Its header and claims may be all that the request says.
            (AuthScheme::Jwt(_), Some((signed, _))) => format!("{signed}.{MASKED}"),
            _ => MASKED.to_owned(),
        };
        (!text.is_empty()).then(|| Proof::new(text, shown))
    }
}

// === impl Proof ===

impl Proof {
    fn new(text: &str, shown: String) -> Proof {
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let url = form.replace('+', "%20");
        let quoted = serde_json::Value::from(text).to_string();
        let literal = quoted[1..quoted.len() - 1].to_owned();

        let mut encoded = vec![form, url, literal];
        encoded.retain(|encoded| encoded != text);
        encoded.dedup();
        Proof {
            text: text.to_owned(),
            encoded,
            shown,
        }
    }

    /// A text without the proof.
    fn mask(&self, text: &str) -> String {
        if text == self.text {
            return self.shown.clone();
        }
        if self.text.len() < PART_BYTES_MIN {
            return text.to_owned();
        }

        let masked = text.replace(&self.text, &self.shown);
        self.encoded.iter().fold(masked, |masked, encoded| {
            masked.replace(encoded, &self.shown)
        })
    }

    fn mask_header_value(&self, value: &mut HeaderValue) {
        let Ok(text) = value.to_str() else {
            return;
        };

        let masked = self.mask(text);
        if masked != text {
            *value =
                HeaderValue::try_from(masked).unwrap_or_else(|_| HeaderValue::from_static(MASKED));
        }
    }

    fn mask_body(&self, body: &Bytes, is_form: bool) -> Bytes {
        let Ok(text) = std::str::from_utf8(body) else {
            // A file in a multipart form.
            return replaced(body, self.text.as_bytes(), self.shown.as_bytes());
        };

        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let masked = if is_json {
            // Also if the content type says that it is a form, as that of `curl -d` does.
            self.mask_literals(text)
        } else if is_form {
            self.mask_form(text)
        } else {
            text.replace(&self.text, &self.shown)
        };
        self.mask(&masked).into()
    }

    /// Masks the names and values of `name=value&…`. The rest stays byte for byte.
    fn mask_form(&self, form: &str) -> String {
        let pairs = form.split('&').map(|pair| {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
                return pair.to_owned();
            };
            let shown = self.mask(&self.mask_literals(&value));
            let shown_name = self.mask(&name);
            if shown == value && shown_name == name {
                pair.to_owned()
            } else {
                format!("{}={}", encoded(&shown_name), encoded(&shown))
            }
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Masks the strings of JSON, however their characters are escaped. The rest stays byte for
    /// byte.
    fn mask_literals(&self, json: &str) -> String {
        let mut masked = String::with_capacity(json.len());
        let mut rest = json;
        while let Some(start) = rest.find('"') {
            let (before, from) = rest.split_at(start);
            let (literal, after) = from.split_at(literal_bytes(from));
            masked.push_str(before);
            match self.masked_literal(literal) {
                Some(shown) => masked.push_str(&shown),
                None => masked.push_str(literal),
            }
            rest = after;
        }

        masked.push_str(rest);
        masked
    }

    /// `None` if the string does not contain the proof.
    fn masked_literal(&self, literal: &str) -> Option<String> {
        if !literal.contains('\\') && !literal.contains(&self.text) {
            return None;
        }

        let value: String = serde_json::from_str(literal).ok()?;
        let shown = self.mask(&value);
        (shown != value).then(|| serde_json::Value::from(shown).to_string())
    }

    /// Masks segments of a path.
    fn mask_path(&self, path: &str) -> String {
        let segments = path.split('/').map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            if self.mask(&decoded) == decoded {
                segment
            } else {
                MASKED
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// The request that became this event.
fn request_of(event: &Event) -> Unverified {
    let params = event.attributes.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(PARAM)?;
        Some((name.to_owned(), value.clone()))
    });
    Unverified {
        method: event.method.clone(),
        path: event.path.clone(),
        query: event.query.clone(),
        params: params.collect(),
        headers: event.headers.clone(),
        body: event.body.clone(),
        decoded: None,
    }
}

/// The values that the scheme reads at this location, as text.
fn values(view: &View<'_>, place: &ValueLocation) -> Vec<String> {
    if let ValueLocation::Each(pointer) = place {
        let texts = each(view, pointer).unwrap_or_default();
        return texts.into_iter().map(str::to_owned).collect();
    }

    let found = view.find(place, false).ok();
    let texts = found.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
    texts.into_iter().collect()
}

fn mask_header(shown: &mut Cow<'_, Event>, name: &str) {
    // Readers do not get the others.
    if !is_shown_header(&name.to_ascii_lowercase()) || !shown.headers.contains_key(name) {
        return;
    }

    for (known, value) in shown.to_mut().headers.iter_mut() {
        if known.as_str().eq_ignore_ascii_case(name) {
            *value = HeaderValue::from_static(MASKED);
        }
    }
}

/// Masks every query parameter of this name.
fn mask_parameter(shown: &mut Cow<'_, Event>, name: &str) {
    let Some(query) = &shown.query else {
        return;
    };

    let pairs = query.split('&').map(|pair| {
        let is_proof = form_urlencoded::parse(pair.as_bytes()).any(|(known, _)| known == name);
        if is_proof {
            format!("{}={MASKED}", encoded(name))
        } else {
            pair.to_owned()
        }
    });
    let masked = pairs.collect::<Vec<_>>().join("&");
    if masked != *query {
        shown.to_mut().query = Some(masked);
    }
}

/// Encoded for a query or a form. The mask stays readable.
fn encoded(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace("%28masked%29", MASKED)
}

/// The bytes of the JSON string at the beginning of this text, with its quotes.
fn literal_bytes(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }

    text.len()
}

fn replaced(bytes: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let (mut made, mut rest) = (Vec::with_capacity(bytes.len()), 0);
    for found in memchr::memmem::find_iter(bytes, from) {
        made.extend_from_slice(&bytes[rest..found]);
        made.extend_from_slice(to);
        rest = found + from.len();
    }

    made.extend_from_slice(&bytes[rest..]);
    made.into()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::{HeaderMap, Method};
    use landfall_model::{EventId, VerifySpec};

    use super::*;
    use crate::Packs;

    const SECRET: &str = "canary-9f3b7c";

    fn event(content_type: &'static str, query: Option<&str>, body: &str) -> Event {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        headers.insert("x-event-proof", HeaderValue::from_static(SECRET));
        Event {
            id: EventId::new(UNIX_EPOCH),
            hook: "in".into(),
            received_at: UNIX_EPOCH,
            method: Method::POST,
            path: format!("/in/{SECRET}/a%20b"),
            query: query.map(str::to_owned),
            headers,
            body: body.to_owned().into(),
            attributes: vec![
                ("param:key".into(), SECRET.into()),
                ("event-type".into(), "push".into()),
            ],
        }
    }

    fn shown(verify: &str, event: &Event) -> Event {
        let secret = if verify.contains("\"signature\"") || verify.contains("\"token\"") {
            "secret = \"env:SECRET\"\n"
        } else {
            ""
        };
        let typed: VerifySpec = toml::from_str(&format!("{verify}\n{secret}")).unwrap();
        let verifier = Verifier::build(&typed, &Packs::default()).unwrap();
        verifier.without_proof(event).into_owned()
    }

    #[test]
    fn tokens_in_bodies_are_masked() {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        for (from, content_type, body, expected) in [
            (
                "{ json = \"/auth\" }",
                JSON,
                r#"{"n":1.10, "auth":"canary-9f3b7c","url":"https://x/?t=canary-9f3b7c"}"#,
                r#"{"n":1.10, "auth":"(masked)","url":"https://x/?t=(masked)"}"#,
            ),
            (
                "{ json = \"/auth\" }",
                JSON,
                r#"{"auth":"canary\u002d9f3b7c","a":"\"b"}"#,
                r#"{"auth":"(masked)","a":"\"b"}"#,
            ),
            (
                "{ json = \"/auth\" }",
                JSON,
                r#"{"auth":"abc","text":"abcdef","n":1}"#,
                r#"{"auth":"(masked)","text":"abcdef","n":1}"#,
            ),
            (
                "{ each = \"/value/*/state\" }",
                JSON,
                r#"{"value":[{"state":"canary-9f3b7c"},{"state":"canary-9f3b7c"}]}"#,
                r#"{"value":[{"state":"(masked)"},{"state":"(masked)"}]}"#,
            ),
            (
                "{ form = \"token\" }",
                FORM,
                "a=b+c&token=canary%2D9f3b7c",
                "a=b+c&token=(masked)",
            ),
            (
                "{ json = \"/auth\" }",
                FORM,
                r#"{"auth":"s&c+r=/t\u002d\"1","b":"https://x/?t=s%26c%2Br%3D%2Ft-%221"}"#,
                r#"{"auth":"(masked)","b":"https://x/?t=(masked)"}"#,
            ),
            (
                "{ form = \"token\" }",
                "text/plain",
                "token=canary%2D9f3b7c&canary-9f3b7c=1",
                "token=(masked)&(masked)=1",
            ),
            ("{ body = \"whole\" }", "text/plain", SECRET, "(masked)"),
        ] {
            let verify = format!("scheme = \"token\"\nfrom = {from}");
            let event = event(content_type, None, body);
            let shown = shown(&verify, &event);
            assert_eq!(
                std::str::from_utf8(&shown.body).unwrap(),
                expected,
                "{from}"
            );
        }
    }

    #[test]
    fn tokens_in_heads_are_masked() {
        let event = event("text/plain", Some("a=1&sig%6e=x&b"), "{}");
        let param = shown("scheme = \"token\"\nfrom = { param = \"key\" }", &event);
        assert_eq!(param.path, "/in/(masked)/a%20b");
        assert_eq!(param.attributes[0].1, MASKED);
        assert_eq!(param.attributes[1].1, "push");

        let header = "scheme = \"token\"\nfrom = { header = \"X-Event-Proof\" }";
        assert_eq!(shown(header, &event).headers["x-event-proof"], MASKED);
        assert_eq!(
            shown(header, &event).path,
            "/in/(masked)/a%20b",
            "its repetition"
        );
        let json = "scheme = \"token\"\nfrom = { json = \"/auth\" }";
        let event = Event {
            body: format!("{{\"auth\":\"{SECRET}\"}}").into(),
            ..event
        };
        assert_eq!(shown(json, &event).headers["x-event-proof"], MASKED);
        let query = "scheme = \"signature\"\nfrom = { query = \"sign\" }\nalgorithm = \"hmac-sha256\"\n\
                     encoding = \"hex\"\npayload = [\"{body}\"]";
        assert_eq!(
            shown(query, &event).query.as_deref(),
            Some("a=1&sign=(masked)&b")
        );
    }

    #[test]
    fn tokens_keep_their_claims() {
        let verify = "scheme = \"jwt\"\nfrom = { body = \"whole\" }\n[jwt]\nalgorithms = [\"RS256\"]\njwks = \"https://keys.example/\"\nclaims = { iss = \"https://x.example\", aud = \"in\" }";
        let event = event("text/plain", None, "head.claims.mac");
        assert_eq!(&shown(verify, &event).body[..], b"head.claims.(masked)");
    }

    #[test]
    fn payloads_are_shown() {
        let body = "{\"token\":\"canary-9f3b7c\"}";
        let event = event("application/json", Some("token=x"), body);
        for verify in [
            "scheme = \"none\"",
            "scheme = \"token\"\nfrom = { header = \"X-Token\" }",
            "scheme = \"token\"\nfrom = { json = \"/other\" }",
            "provider = \"github\"\nsecret = \"env:SECRET\"",
        ] {
            let shown = shown(verify, &event);
            assert_eq!(&shown.body[..], body.as_bytes(), "{verify}");
            assert_eq!(shown.query, event.query, "{verify}");
            assert_eq!(shown.path, event.path, "{verify}");
        }
    }
}
