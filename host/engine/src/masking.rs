//! Removes from recordings what may not be stored: the secrets that a component knows, values whose
//! names say that they are secret, and what `[redact]` of the hook removes. A value that is removed
//! at one place is removed wherever it occurs, so that what a component makes of a masked value is
//! what is recorded.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

use landfall_egress::Redactor;
use landfall_model::recording::is_secret_header;
use landfall_model::{Event, MASKED, Redact, Secret};

/// What stands in the place of a value.
pub(crate) const REDACTED: &str = "[redacted]";
/// Shorter values occur everywhere by chance.
pub(crate) const VALUE_BYTES_MIN: usize = 6;
const VALUE_BYTES_MAX: usize = 8 << 10;
/// The most values that are learned from the bodies of one attempt.
const VALUES_MAX: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What serde_json says of a text with more levels than it reads.
const TOO_DEEP: &str = "recursion limit exceeded";
/// The ends of names whose values are secret. `token_endpoint` is not one of them.
const SECRET_ENDS: [&str; 15] = [
    "token",
    "secret",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "credential",
    "credentials",
    "passphrase",
    "private_key",
    "privatekey",
    "session_id",
    "sessionid",
];
/// Query parameters whose values are secret, besides those.
const SECRET_PARAMETERS: [&str; 3] = ["key", "sig", "signature"];

/// Masks the texts and bodies of one attempt.
pub(crate) struct Masking {
    /// What the component knows.
    known: Arc<Redactor>,
    learned: Vec<Secret>,
    /// Of both, since the last value was learned.
    all: OnceLock<Redactor>,
    redaction: Option<Arc<dyn Redact>>,
    /// A value was found that exceeds a limit, and is not masked.
    is_full: bool,
}

// === impl Masking ===

impl Masking {
    /// `known`: the secrets that the component knows. `redaction`: `[redact]` of the hook.
    pub(crate) fn new(known: Arc<Redactor>, redaction: Option<Arc<dyn Redact>>) -> Masking {
        Masking {
            known,
            learned: Vec::new(),
            all: OnceLock::new(),
            redaction,
            is_full: false,
        }
    }

    /// What removes the values. It is made once, after the last value was learned.
    fn redactor(&self) -> &Redactor {
        if self.learned.is_empty() {
            return &self.known;
        }
        self.all.get_or_init(|| {
            let known = self.known.secrets().iter();
            Redactor::new(known.chain(&self.learned).cloned().collect())
        })
    }

    /// How many values were learned.
    pub(crate) fn learned(&self) -> usize {
        self.learned.len()
    }

    /// Whether a value is not masked, because there are too many or it is too long: what was
    /// recorded may not be stored.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Learns the values of an event's body and query, and of headers that may prove the sender.
    pub(crate) fn learn_event(&mut self, event: &Event) {
        for (name, value) in &event.headers {
            self.learn_header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        }
        if let Some(query) = &event.query {
            self.learn_pairs(query, &SECRET_PARAMETERS);
        }
        let kind = event.headers.get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok());
        self.learn(&event.body, kind);
    }

    /// Learns the values of a body that may not be stored.
    pub(crate) fn learn(&mut self, body: &[u8], content_type: Option<&str>) {
        let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        if let Ok(json) = serde_json::from_slice::<Value>(text) {
            self.learn_names(&json);
            self.learn_redacted(&json, text, content_type);
        } else if let Ok(text) = std::str::from_utf8(text) {
            if content_type.is_some_and(|kind| kind.contains("form-urlencoded")) {
                self.learn_pairs(text, &[]);
            }
            if text.trim_start().starts_with(['{', '[']) {
                self.learn_documents(text);
            }
        }
    }

    /// Learns the values of several documents, such as one in each line, up to one that is broken.
    fn learn_documents(&mut self, text: &str) {
        for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            match document {
                Ok(json) => self.learn_names(&json),
                Err(error) => {
                    // What is nested deeper was not read, and may have values to mask.
                    self.is_full |= error.to_string().starts_with(TOO_DEEP);
                    return;
                }
            }
        }
    }

    /// Learns the password and the secret parameters of a URL, in its query and its fragment.
    pub(crate) fn learn_url(&mut self, url: &str) {
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((_, password)) = user.split_once(':')
        {
            self.learn_secret(password);
        }
        for pairs in url.split(['?', '#']).skip(1) {
            self.learn_pairs(pairs, &SECRET_PARAMETERS);
        }
    }

    /// Learns what a received header has: a proof as a whole and without its scheme, the values of
    /// cookies, and the secret parameters of a URL. The name is in lower case.
    pub(crate) fn learn_header(&mut self, name: &str, value: &str) {
        if !is_secret_header(name) {
            if value.contains("://") || name == "location" {
                self.learn_url(value);
            }
            return;
        }

        self.learn_secret(value);
        if name.contains("cookie") {
            // What follows the first pair of `set-cookie` are its attributes.
            let pairs_max = if name == "set-cookie" { 1 } else { usize::MAX };
            for (_, value) in value
                .split(';')
                .take(pairs_max)
                .filter_map(|pair| pair.split_once('='))
            {
                self.learn_secret(value.trim().trim_matches('"'));
            }
        } else if name.ends_with("authorization")
            && let Some((_, credentials)) = value.trim().split_once(' ')
        {
            self.learn_secret(credentials.trim());
        }
    }

    /// Learns the secret values of `[settings]`.
    pub(crate) fn learn_settings(&mut self, settings: &Map<String, Value>) {
        settings
            .iter()
            .for_each(|(name, value)| self.learn_named(name, value));
    }

    /// Learns a variable of the environment whose name says that it is secret.
    pub(crate) fn learn_variable(&mut self, name: &str, value: &str) {
        if is_secret_name(name) {
            self.learn_secret(value);
        }
    }

    /// Learns a value of `kv`, whose key may say that it is secret.
    pub(crate) fn learn_value(&mut self, key: &str, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) if is_secret_name(key) && !text.starts_with(['{', '[']) => {
                self.learn_secret(text);
            }
            _ => self.learn(value, None),
        }
    }

    fn learn_names(&mut self, json: &Value) {
        match json {
            Value::Object(object) => {
                for (name, value) in object {
                    self.learn_named(name, value);
                }
            }
            Value::Array(list) => list.iter().for_each(|one| self.learn_names(one)),
            _ => {}
        }
    }

    fn learn_named(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) if is_secret_name(name) => self.learn_secret(text),
            Value::Array(list) => list.iter().for_each(|one| self.learn_named(name, one)),
            other => self.learn_names(other),
        }
    }

    /// What `[redact]` removes from this body.
    fn learn_redacted(&mut self, json: &Value, body: &[u8], content_type: Option<&str>) {
        let Some(redaction) = self.redaction.clone() else {
            return;
        };
        if let Cow::Owned(redacted) = redaction.apply(body, content_type) {
            let redacted: Value = serde_json::from_slice(&redacted).unwrap_or_default();
            self.learn_removed(json, Some(&redacted));
        }
    }

    fn learn_removed(&mut self, before: &Value, after: Option<&Value>) {
        match before {
            _ if after == Some(before) => {}
            Value::Object(object) => {
                for (name, value) in object {
                    self.learn_removed(value, after.and_then(|after| after.get(name)));
                }
            }
            Value::Array(list) => {
                for (place, value) in list.iter().enumerate() {
                    self.learn_removed(value, after.and_then(|after| after.get(place)));
                }
            }
            Value::String(text) => self.learn_secret(text),
            Value::Number(number) => self.learn_secret(&number.to_string()),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn learn_pairs(&mut self, pairs: &str, names: &[&str]) {
        for (name, value) in pairs.split('&').filter_map(|pair| pair.split_once('=')) {
            if is_secret_name(name) || names.contains(&name) {
                self.learn_secret(value);
                // As the component reads it, and may pass it on.
                if value.contains(['%', '+']) {
                    let spaced = value.replace('+', " ");
                    let decoded = percent_encoding::percent_decode_str(&spaced);
                    self.learn_secret(&decoded.decode_utf8_lossy());
                }
            }
        }
    }

    /// Learns a value that may not be stored.
    pub(crate) fn learn_secret(&mut self, text: &str) {
        let is_masked = text.contains(REDACTED) || text.contains(MASKED);
        if text.len() < VALUE_BYTES_MIN || is_masked {
            return;
        }
        // A URL stays, apart from what is secret in it.
        if text.contains("://") {
            self.learn_url(text);
            return;
        }
        let secret = Secret::new(text.as_bytes().to_vec());
        if self.known.secrets().contains(&secret) || self.learned.contains(&secret) {
            return;
        }
        if text.len() > VALUE_BYTES_MAX || self.learned.len() >= VALUES_MAX {
            self.is_full = true;
            return;
        }
        self.learned.push(secret);
        self.all.take();
    }

    /// A text without what may not be stored.
    pub(crate) fn text(&self, text: &str) -> String {
        self.redactor().text(text).into_owned()
    }

    /// A body without what may not be stored.
    pub(crate) fn body(&self, body: &Bytes, content_type: Option<&str>) -> Bytes {
        let body = match &self.redaction {
            Some(redaction) => match redaction.apply(body, content_type) {
                Cow::Owned(redacted) => Bytes::from(redacted),
                Cow::Borrowed(_) => body.clone(),
            },
            None => body.clone(),
        };
        self.redactor().bytes(body)
    }

    /// The body of an outbound call or of its answer, without what may not be stored.
    pub(crate) fn message(&self, body: &Bytes, content_type: Option<&str>) -> Bytes {
        self.body(body, Some(content_type.unwrap_or_default()))
    }

    /// Headers without what may not be stored. Names are in lower case.
    pub(crate) fn headers<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<(String, String)> {
        let masked = headers.into_iter().map(|(name, value)| {
            let value = if is_secret_header(name) {
                MASKED.to_owned()
            } else {
                self.text(value)
            };
            (name.to_owned(), value)
        });
        masked.collect()
    }
}

/// Removes what a component receives in a run on a recording in place of a secret. It is masked
/// like a secret, so that it has one spelling, however the component encodes it.
pub(crate) fn placeholder() -> Arc<Redactor> {
    static PLACEHOLDER: LazyLock<Arc<Redactor>> =
        LazyLock::new(|| Arc::new(Redactor::new([Secret::new(REDACTED)].into())));
    PLACEHOLDER.clone()
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

/// The value of `content-type`, if it is one of these headers.
pub(crate) fn content_type(headers: &[(String, String)]) -> Option<&str> {
    headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removes the value at `/email`.
    #[derive(Debug)]
    struct WithoutEmail;

    impl Redact for WithoutEmail {
        fn apply<'a>(&self, body: &'a [u8], _: Option<&str>) -> Cow<'a, [u8]> {
            let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
                return Cow::Borrowed(body);
            };
            match json.get_mut("email") {
                Some(email) => *email = REDACTED.into(),
                None => return Cow::Borrowed(body),
            }
            Cow::Owned(json.to_string().into_bytes())
        }
    }

    #[test]
    fn secret_names_are_learned() {
        let mut masking = Masking::new(Arc::default(), None);
        let body = br#"{"access_token":"canary-1","token_type":"Bearer","token_endpoint":"https://a.example/x"}"#;
        masking.learn(body, None);
        masking.learn(
            b"client_secret=canary-2&scope=all",
            Some("application/x-www-form-urlencoded"),
        );
        masking.learn_url("https://a.example/?key=canary-3&q=visible");
        masking.learn_value("oauth_token", b"canary-4");
        assert_eq!(masking.learned(), 4);

        let text = masking.text("canary-1 canary-2 canary-3 canary-4 Bearer visible");
        assert_eq!(
            text,
            "[redacted] [redacted] [redacted] [redacted] Bearer visible"
        );
        let body = masking.body(&Bytes::from_static(body), None);
        assert!(body.starts_with(br#"{"access_token":"[redacted]","token_type":"Bearer""#));
    }

    #[test]
    fn secrets_are_learned_wherever_they_are() {
        let mut masking = Masking::new(Arc::default(), None);
        for body in [
            "{\"refresh_token\":[\"canary-1\",{\"secret\":\"canary-2\"}]}",
            "\u{feff}{\"token\":\"canary-3\"}",
            "{\"token\":\"canary-4\"}\n{\"token\":\"canary-5\"}\n",
            "{\"db_secret\":\"postgres://user:canary-6@db.example/x?sig=canary-7\"}",
        ] {
            masking.learn(body.as_bytes(), None);
        }
        let text = (1..=7).map(|number| format!("canary-{number}"));
        let text = masking.text(&text.collect::<Vec<_>>().join(" "));
        assert_eq!(text, [REDACTED; 7].join(" "));
        assert!(masking.text("postgres://user").contains("postgres"));
        assert!(!masking.is_full());

        let deep = "[".repeat(130) + "{\"token\":\"canary-8\"}" + &"]".repeat(130);
        masking.learn(deep.as_bytes(), None);
        assert!(masking.is_full(), "what cannot be read is not stored");
    }

    /// What was made before a value was learned does not outlive that.
    #[test]
    fn later_values_are_removed_too() {
        let mut masking = Masking::new(Arc::default(), None);
        for number in 0..3 {
            let (value, next) = (format!("canary-{number}"), format!("canary-{}", number + 1));
            masking.learn_variable("API_TOKEN", &value);
            assert_eq!(masking.text(&value), REDACTED);
            assert_eq!(masking.text(&next), next);
        }
        assert_eq!(masking.text("canary-0 canary-2"), "[redacted] [redacted]");
    }

    #[test]
    fn redacted_values_go_everywhere() {
        let mut masking = Masking::new(Arc::default(), Some(Arc::new(WithoutEmail)));
        masking.learn(br#"{"email":"a@canary.example","n":1}"#, None);
        let row = Bytes::from_static(br#"{"contact":"a@canary.example"}"#);
        assert_eq!(masking.body(&row, None), r#"{"contact":"[redacted]"}"#);
        let body = Bytes::from_static(br#"{"email":"b@b","n":1}"#);
        assert_eq!(masking.body(&body, None), r#"{"email":"[redacted]","n":1}"#);
    }

    #[test]
    fn received_headers_are_learned() {
        let mut masking = Masking::new(Arc::default(), None);
        masking.learn_header("set-cookie", "sid=canary-1; Path=/; SameSite=Strict");
        masking.learn_header("authorization", "Bearer canary-2");
        masking.learn_header("location", "/back?code=plain-1#access_token=canary-3");
        masking.learn_header("x-next", "https://a.example/?sig=canary%2F4");
        let text = masking.text("canary-1 canary-2 canary-3 canary/4 plain-1 Strict");
        assert_eq!(
            text,
            "[redacted] [redacted] [redacted] [redacted] plain-1 Strict"
        );
    }

    #[test]
    fn values_beyond_the_limits_count() {
        let list = |count: usize| {
            let tokens = (0..count)
                .map(|number| serde_json::json!({ "token": format!("canary-{number:03}") }));
            Value::from_iter(tokens).to_string()
        };
        let mut masking = Masking::new(Arc::default(), None);
        masking.learn(list(VALUES_MAX).as_bytes(), None);
        masking.learn(list(VALUES_MAX).as_bytes(), None);
        assert!(!masking.is_full());
        masking.learn(list(VALUES_MAX + 1).as_bytes(), None);
        assert!(masking.is_full());

        let mut masking = Masking::new(Arc::default(), None);
        masking.learn_variable("API_TOKEN", &"x".repeat(VALUE_BYTES_MAX + 1));
        assert!(masking.is_full());
    }

    #[test]
    fn secret_headers_are_masked() {
        let known = [Secret::new(b"canary".to_vec())];
        let masking = Masking::new(Arc::new(Redactor::new(known.into())), None);
        let masked = masking.headers([
            ("set-cookie", "id=1"),
            ("authorization", "Bearer x"),
            ("x-note", "a canary"),
        ]);
        let values: Vec<&str> = masked.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["(masked)", "(masked)", "a [redacted]"]);
    }
}
