//! Requests of which it is not known where they carry the token or the signature of their sender:
//! their hook is gone or has other rules, and the version that stored them did not record it. What
//! looks like a proof is masked, also where the request repeats it.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::multipart;
use crate::proof::{PART_BYTES_MIN, PROOFS_MAX, Proof, WORK_MAX, encoded, replaced};
use crate::proof_names::{ProofNames, looks_like_proof};
use crate::proof_places::{PARAM, ProofPlaces};
use landfall_model::{Event, MASKED, split_json_string};

/// Events that came from no sender, but from a handler or from the provider's API.
const WITHOUT_SENDER: [&str; 2] = ["emitted-by", "reconciled"];
const ORDER_KEY: &str = "order-key";
const SCHEME: &str = "verified-by-scheme";
/// Schemes that may read their proof from the path, whatever it looks like.
const OF_PATHS: [&str; 2] = ["token", "jwt"];
/// Documents and queries of URLs within each other.
const DEPTH_MAX: usize = 3;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Whether the event does not say where its request had the proof of its sender.
pub(crate) fn is_proof_unknown(event: &Event) -> bool {
    let mut others = WITHOUT_SENDER.iter();
    ProofPlaces::recorded(event).is_none() && !others.any(|name| event.attribute(name).is_some())
}

/// The event without anything that looks like a proof.
pub(crate) fn without_presumed_proof(event: &Event, names: &ProofNames) -> Event {
    let mut masking = Masking {
        names,
        proofs: BTreeSet::new(),
        segments: BTreeSet::new(),
    };
    let mut shown = event.clone();
    shown.query = event
        .query
        .as_deref()
        .map(|query| masking.pairs(query, ProofNames::has_parameter, 0));
    for (name, value) in &mut shown.headers {
        masking.header(name.as_str(), value);
    }
    for (name, value) in &mut shown.attributes {
        masking.attribute(name, value);
    }
    let scheme = event.attribute(SCHEME);
    let has_token = scheme.is_none_or(|scheme| OF_PATHS.contains(&scheme));
    shown.path = masking.path(&event.path, has_token);

    let content_type = event.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let is_form = content_type.starts_with("application/x-www-form-urlencoded");
    shown.body = match event.headers.get(CONTENT_TYPE).map(HeaderValue::to_str) {
        Some(Ok(sent)) if content_type.starts_with("multipart/form-data") => {
            masking.multipart(sent, &event.body)
        }
        _ => masking.body(&event.body, is_form),
    };

    masking.mask_repetitions(&mut shown, is_form);
    shown
}

/// A search for what looks like a proof.
struct Masking<'n> {
    names: &'n ProofNames,
    /// What has the name of a proof, and is masked wherever the request repeats it.
    proofs: BTreeSet<String>,
    /// Segments of the path that have the name of a proof.
    segments: BTreeSet<String>,
}

/// An object or an array of JSON that has begun.
struct Container {
    is_object: bool,
    expects_key: bool,
    /// Every value in it is a proof, because its own name is that of one.
    is_proof: bool,
    /// The present key is the name of a proof.
    is_key_of_proof: bool,
}

// === impl Masking ===

impl Masking<'_> {
    /// One more than are masked one by one tells that there are too many.
    fn note(&mut self, proof: &str) {
        if proof.len() >= PART_BYTES_MIN && self.proofs.len() <= PROOFS_MAX {
            self.proofs.insert(proof.to_owned());
        }
    }

    fn header(&mut self, name: &str, value: &mut HeaderValue) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let is_named = self.names.has_header(name);
        if is_named {
            let without_scheme = text.rsplit([' ', '=']).next().unwrap_or_default();
            self.note(&text);
            self.note(without_scheme);
        }
        if is_named || looks_like_proof(&text) {
            *value = HeaderValue::from_static(MASKED);
        }
    }

    fn attribute(&mut self, name: &str, value: &mut String) {
        let param = name.strip_prefix(PARAM);
        let is_named = param.is_some_and(|param| self.names.has_parameter(param));
        if is_named {
            self.note(value);
            self.segments.insert(value.clone());
        }
        let may_be_proof = param.is_some() || name == ORDER_KEY;
        if is_named || (may_be_proof && looks_like_proof(value)) {
            MASKED.clone_into(value);
        }
    }

    /// `has_token`: the last segment may be a token, unless it is the only one.
    fn path(&self, path: &str, has_token: bool) -> String {
        let last = path.matches('/').count();
        let segments = path.split('/').enumerate().map(|(number, segment)| {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            let is_proof = (has_token && number == last && last > 1 && !segment.is_empty())
                || self.segments.contains(segment)
                || self.segments.contains(&*decoded)
                || looks_like_proof(&decoded);
            if is_proof { MASKED } else { segment }
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// `name=value&…`, of a query or a form. The rest stays byte for byte.
    fn pairs(
        &mut self,
        text: &str,
        is_name: fn(&ProofNames, &str) -> bool,
        depth: usize,
    ) -> String {
        let mut masked = Vec::new();
        for pair in text.split('&') {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
                masked.push(pair.to_owned());
                continue;
            };

            let shown = if is_name(self.names, &name) && !value.is_empty() {
                self.note(&value);
                Some(MASKED.to_owned())
            } else {
                self.value(&value, depth)
            };
            masked.push(match shown {
                Some(shown) => format!("{}={}", encoded(&name), encoded(&shown)),
                // A name without a value may be a token.
                None if value.is_empty() && looks_like_proof(&name) => MASKED.to_owned(),
                None => pair.to_owned(),
            });
        }
        masked.join("&")
    }

    /// What stands in the place of a value. `None`: itself.
    fn value(&mut self, value: &str, depth: usize) -> Option<String> {
        if is_document(value) {
            if depth == DEPTH_MAX {
                return Some(MASKED.to_owned());
            }
            let masked = self.json(value, depth + 1);
            return (masked != value).then_some(masked);
        }
        if looks_like_proof(value) || has_password(value) {
            return Some(MASKED.to_owned());
        }

        // Also of a fragment, in which browsers receive tokens.
        let (url, query) = value.split_at(value.find(['?', '#'])? + 1);
        if query.is_empty() || url.contains(char::is_whitespace) {
            return None;
        }
        if depth == DEPTH_MAX {
            return Some(MASKED.to_owned());
        }
        let masked = self.pairs(query, ProofNames::has_parameter, depth + 1);
        (masked != query).then(|| format!("{url}{masked}"))
    }

    /// A document of JSON. What is not masked stays byte for byte.
    fn json(&mut self, json: &str, depth: usize) -> String {
        let mut masked = String::with_capacity(json.len());
        let mut open: Vec<Container> = Vec::new();
        let mut rest = json;
        while let Some(at) = rest.find(['"', '{', '[', '}', ']', ',']) {
            let (before, from) = rest.split_at(at);
            masked.push_str(before);
            if from.starts_with('"') {
                let (literal, after) = split_json_string(from);
                match self.literal(open.last_mut(), literal, depth) {
                    Some(shown) => masked.push_str(&serde_json::Value::from(shown).to_string()),
                    None => masked.push_str(literal),
                }
                rest = after;
                continue;
            }

            let (mark, after) = from.split_at(1);
            match mark {
                "{" | "[" => open.push(Container::within(open.last(), mark == "{")),
                "," => {
                    if let Some(container) = open.last_mut() {
                        container.expects_key = container.is_object;
                    }
                }
                _ => drop(open.pop()),
            }
            masked.push_str(mark);
            rest = after;
        }

        masked.push_str(rest);
        masked
    }

    /// What stands in the place of a string. `None`: itself.
    fn literal(
        &mut self,
        container: Option<&mut Container>,
        literal: &str,
        depth: usize,
    ) -> Option<String> {
        // A string with half a character is no text.
        let text = serde_json::from_str::<String>(literal).ok();
        let Some(container) = container else {
            return Some(MASKED.to_owned());
        };

        if container.expects_key {
            container.expects_key = false;
            container.is_key_of_proof = text.is_none_or(|name| self.names.has_key(&name));
            return None;
        }
        match text {
            Some(text) if text.is_empty() => None,
            Some(text) if container.is_proof_next() => {
                self.note(&text);
                Some(MASKED.to_owned())
            }
            Some(text) => self.value(&text, depth),
            None => Some(MASKED.to_owned()),
        }
    }

    fn body(&mut self, body: &Bytes, is_form: bool) -> Bytes {
        // Schemes read a proof from text alone.
        let Ok(text) = std::str::from_utf8(body) else {
            return body.clone();
        };
        if is_document(text) {
            return self.json(text, 0).into();
        }

        let trimmed = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        let words = trimmed.split_whitespace().take(3).count();
        let has_pairs = trimmed.trim_end_matches('=').contains('=');
        // Of JSON, what is here ends early, has a byte order mark, or is a string.
        let may_be_token = trimmed.starts_with(['{', '[', '"'])
            || (words == 1 && !has_pairs)
            || (words == 2 && looks_like_proof(trimmed));
        if may_be_token {
            Bytes::from_static(MASKED.as_bytes())
        } else if is_form || words == 1 || self.has_proof_field(text) {
            self.pairs(text, ProofNames::has_field, 0).into()
        } else {
            body.clone()
        }
    }

    /// Whether a text is a form with a proof, whatever its content type says: schemes read it as
    /// one.
    fn has_proof_field(&self, text: &str) -> bool {
        let names = text.split('&').filter_map(|pair| pair.split_once('='));
        names
            .filter(|(name, _)| !name.contains(char::is_whitespace))
            .any(|(name, _)| {
                let decoded = percent_decode_str(name).decode_utf8_lossy();
                self.names.has_field(&decoded)
            })
    }

    fn multipart(&mut self, content_type: &str, body: &Bytes) -> Bytes {
        let whole = Bytes::from_static(MASKED.as_bytes());
        let Some(fields) = multipart::text_fields(content_type, body) else {
            return whole;
        };

        let mut masked = body.clone();
        let mut replacements = 0_usize;
        for (name, value) in fields {
            let shown = if self.names.has_field(&name) && !value.is_empty() {
                self.note(&value);
                Some(MASKED.to_owned())
            } else {
                self.value(&value, 0)
            };
            let Some(shown) = shown else { continue };
            replacements += 1;
            let work = replacements.saturating_mul(body.len());
            let is_too_much = replacements > PROOFS_MAX || (replacements > 1 && work > WORK_MAX);
            // A short one occurs elsewhere by chance.
            if is_too_much || value.len() < PART_BYTES_MIN {
                return whole;
            }
            masked = replaced(&masked, value.as_bytes(), shown.as_bytes());
        }
        masked
    }

    fn mask_repetitions(&self, shown: &mut Event, is_form: bool) {
        let work = self.proofs.len().saturating_mul(shown.body.len());
        if self.proofs.len() > PROOFS_MAX || work > WORK_MAX {
            shown.body = Bytes::from_static(MASKED.as_bytes());
        }
        for proof in &self.proofs {
            Proof::new(proof, MASKED.to_owned()).mask_event(shown, is_form);
        }
    }
}

// === impl Container ===

impl Container {
    fn within(parent: Option<&Container>, is_object: bool) -> Container {
        Container {
            is_object,
            expects_key: is_object,
            is_proof: parent.is_some_and(Container::is_proof_next),
            is_key_of_proof: false,
        }
    }

    /// Whether the next value is a proof.
    fn is_proof_next(&self) -> bool {
        self.is_proof || self.is_key_of_proof
    }
}

/// Whether a text is an object or an array of JSON.
fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Whether a text is a URL with a password.
fn has_password(text: &str) -> bool {
    let authority = text
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':') && !user.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::{HeaderMap, HeaderName, Method};
    use landfall_model::{EventId, PROOF_ATTRIBUTE};

    use super::*;

    const TOKEN: &str = "canary-of-9f3b7c";
    const RANDOM: &str = "9f3b7c55aa01d2e4c6";

    fn event(content_type: &'static str, body: &str) -> Event {
        let headers = [("content-type", content_type), ("x-event-copy", TOKEN)];
        let headers = headers.map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        Event {
            id: EventId::new(UNIX_EPOCH),
            hook: "gone".into(),
            received_at: UNIX_EPOCH,
            method: Method::POST,
            path: format!("/in/{RANDOM}/a%20b"),
            query: Some(format!("page=2&code={RANDOM}&next=x")),
            headers: HeaderMap::from_iter(headers),
            body: body.to_owned().into(),
            attributes: vec![
                ("param:key".into(), "short".into()),
                ("event-type".into(), "push".into()),
            ],
        }
    }

    fn shown(content_type: &'static str, body: &str) -> Event {
        without_presumed_proof(&event(content_type, body), &ProofNames::default())
    }

    fn shown_body(content_type: &'static str, body: &str) -> String {
        let body = shown(content_type, body).body;
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn documents_lose_what_looks_like_proofs() {
        for (body, expected) in [
            (
                r#"{"n":1.10, "auth":"canary-of-9f3b7c","url":"https://x/?t=canary-of-9f3b7c&a=1"}"#,
                r#"{"n":1.10, "auth":"(masked)","url":"https://x/?t=(masked)&a=1"}"#,
            ),
            (
                r#"{"\u0061uth":"canary-of\u002d9f3b7c","a":"\"b","keys":["x",{"y":"z"},3]}"#,
                r#"{"\u0061uth":"(masked)","a":"\"b","keys":["(masked)",{"y":"(masked)"},3]}"#,
            ),
            (
                r#"[{"value":[{"clientState":"s","ref":"refs/heads/main"}]}, "9f3b7c55aa01d2e4c6"]"#,
                r#"[{"value":[{"clientState":"(masked)","ref":"refs/heads/main"}]}, "(masked)"]"#,
            ),
            (
                r#"{"Message":"{\"token\":\"x\",\"n\":1}","author":"Ada","empty":{"token":""}}"#,
                r#"{"Message":"{\"token\":\"(masked)\",\"n\":1}","author":"Ada","empty":{"token":""}}"#,
            ),
            (
                r#"{"url":"https://x/?access_token=y#z"}"#,
                r#"{"url":"https://x/?access_token=(masked)"}"#,
            ),
            (
                r#"{"\ud800":"x","next":"/a?sig=y&b=1"}"#,
                r#"{"\ud800":"(masked)","next":"/a?sig=(masked)&b=1"}"#,
            ),
            (
                r#"{"url":"https://x/cb#access_token=y&n=1","db":"pg://a:b@h/x","at":"a@b c?"}"#,
                r#"{"url":"https://x/cb#access_token=(masked)&n=1","db":"(masked)","at":"a@b c?"}"#,
            ),
            (
                r#"{"text":"see https://x or mail: a@b"}"#,
                r#"{"text":"see https://x or mail: a@b"}"#,
            ),
            ("\u{feff}{\"token\":\"x\"}", MASKED),
            (r#""a canary""#, MASKED),
            ("12", MASKED),
            (r#"{"token":"cut"#, MASKED),
        ] {
            assert_eq!(shown_body("application/json", body), expected);
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(shown_body("application/json", &deep), deep);
    }

    #[test]
    fn forms_lose_what_looks_like_proofs() {
        const FORM: &str = "application/x-www-form-urlencoded";
        for (content_type, body, expected) in [
            (FORM, "a=b+c&token=canary%2D9f&d", "a=b+c&token=(masked)&d"),
            (
                FORM,
                "payload=%7B%22token%22%3A%22x%22%2C%22n%22%3A1%7D&a=1",
                "payload=%7B%22token%22%3A%22(masked)%22%2C%22n%22%3A1%7D&a=1",
            ),
            ("text/plain", "a=1&sig=x", "a=1&sig=(masked)"),
            (
                "text/plain",
                "token=x y&text=a b",
                "token=(masked)&text=a b",
            ),
            ("text/plain", "Bearer x", MASKED),
            (
                "text/plain",
                "basic words of a text",
                "basic words of a text",
            ),
            ("text/plain", "9f3b7c", MASKED),
            (FORM, "a-token", MASKED),
            ("text/plain", "YS10b2tlbg==", MASKED),
            ("text/plain", "a line of text", "a line of text"),
            ("text/plain", "", ""),
        ] {
            assert_eq!(shown_body(content_type, body), expected, "{body}");
        }

        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let multipart = "multipart/form-data; boundary=b";
        let body = |token: &str| format!("{}{}--b--\r\n", part("a", "kept"), part("token", token));
        assert_eq!(shown_body(multipart, &body(TOKEN)), body(MASKED));
        assert_eq!(shown_body(multipart, &body("x")), MASKED);
        assert_eq!(shown_body(multipart, "no form"), MASKED);
        let many: String = (0..200)
            .map(|number| part("a", &format!("Bearer {number}")))
            .collect();
        assert_eq!(shown_body(multipart, &format!("{many}--b--\r\n")), MASKED);
    }

    #[test]
    fn nested_queries_end_early() {
        let nested = |count: usize| format!("{{\"u\":\"{}a?token=x\"}}", "a?b=".repeat(count));
        for (count, expected) in [
            (1, "{\"u\":\"a?b=a%3Ftoken%3D(masked)\"}"),
            // Deeper than the stack of a thread.
            (100_000, "{\"u\":\"a?b=a%3Fb%3Da%253Fb%253D(masked)\"}"),
        ] {
            let body = nested(count);
            assert_eq!(shown_body("application/json", &body), expected, "{count}");
        }
    }

    #[test]
    fn heads_lose_what_looks_like_proofs() {
        let shown = shown(
            "application/json",
            &format!("{{\"secret\":\"{TOKEN}\",\"key\":\"of-the-path\"}}"),
        );
        assert_eq!(
            shown.path, "/in/(masked)/(masked)",
            "the last one may be a token"
        );
        assert_eq!(shown.query.as_deref(), Some("page=2&code=(masked)&next=x"));
        assert_eq!(shown.headers["x-event-copy"], MASKED, "a repetition");
        assert_eq!(shown.headers["content-type"], "application/json");
        assert_eq!(shown.attributes[0].1, MASKED);
        assert_eq!(shown.attributes[1].1, "push");

        let signed = [(SCHEME, "signature"), ("param:key", "a b")];
        for (path, attributes, expected) in [
            ("/in", &[][..], "/in"),
            ("/in/x", &[][..], "/in/(masked)"),
            ("/in/x", &signed[..1], "/in/x"),
            ("/in/a%20b/x", &signed[..], "/in/(masked)/x"),
        ] {
            let attributes = attributes.iter();
            let event = Event {
                path: path.to_owned(),
                attributes: attributes
                    .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                ..event("text/plain", "")
            };
            let shown = without_presumed_proof(&event, &ProofNames::default());
            assert_eq!(shown.path, expected);
        }
    }

    #[test]
    fn too_many_proofs_mask_the_body() {
        let many: Vec<String> = (0..200)
            .map(|number| format!("{{\"token\":\"number-{number}\"}}"))
            .collect();
        let body = format!("[{}]", many.join(","));
        assert_eq!(shown_body("application/json", &body), MASKED);
    }

    #[test]
    fn recorded_proofs_are_known() {
        let mut event = event("text/plain", "");
        assert!(is_proof_unknown(&event));
        for (name, value) in [
            (PROOF_ATTRIBUTE, "{\"at\":[]}"),
            ("emitted-by", "other"),
            ("reconciled", "1"),
        ] {
            event.attributes = vec![(name.to_owned(), value.to_owned())];
            assert!(!is_proof_unknown(&event), "{name}");
        }
        event.attributes = vec![(PROOF_ATTRIBUTE.to_owned(), "of a newer version".to_owned())];
        assert!(is_proof_unknown(&event));
    }
}
