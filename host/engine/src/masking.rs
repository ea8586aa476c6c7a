//! Removes from recordings what may not be stored: the secrets that a component knows, values whose
//! names say that they are secret, and what `[redact]` of the hook removes. A value that is removed
//! at one place is removed wherever it occurs, so that what a component makes of a masked value is
//! what is recorded.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use landfall_model::recording::is_secret_header;
use landfall_model::{Event, MASKED, Redact, Secret};

/// What stands in the place of a value.
const REDACTED: &str = "[redacted]";
/// Shorter values occur everywhere by chance.
const VALUE_BYTES_MIN: usize = 6;
const VALUE_BYTES_MAX: usize = 8 << 10;
/// The most values that are learned from the bodies of one attempt.
const VALUES_MAX: usize = 64;
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
    secrets: Vec<Secret>,
    redaction: Option<Arc<dyn Redact>>,
    learned: usize,
    /// A value was found that exceeds a limit, and is not masked.
    is_full: bool,
}

// === impl Masking ===

impl Masking {
    /// `secrets`: what the component knows. `redaction`: `[redact]` of the hook.
    pub(crate) fn new(secrets: &[Secret], redaction: Option<Arc<dyn Redact>>) -> Masking {
        Masking {
            secrets: secrets.to_vec(),
            redaction,
            learned: 0,
            is_full: false,
        }
    }

    /// How many values were learned.
    pub(crate) fn learned(&self) -> usize {
        self.learned
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
        if let Ok(json) = serde_json::from_slice::<Value>(body) {
            self.learn_names(&json);
            self.learn_redacted(&json, body, content_type);
        } else if let Ok(text) = std::str::from_utf8(body)
            && content_type.is_some_and(|kind| kind.contains("form-urlencoded"))
        {
            self.learn_pairs(text, &[]);
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

    fn learn_secret(&mut self, text: &str) {
        let is_masked = text.contains(REDACTED) || text.contains(MASKED);
        if text.len() < VALUE_BYTES_MIN || is_masked || text.contains("://") {
            return;
        }
        let secret = Secret::new(text.as_bytes().to_vec());
        if self.secrets.contains(&secret) {
            return;
        }
        if text.len() > VALUE_BYTES_MAX || self.learned >= VALUES_MAX {
            self.is_full = true;
            return;
        }
        self.secrets.push(secret);
        self.learned += 1;
    }

    /// A text without what may not be stored.
    pub(crate) fn text(&self, text: &str) -> String {
        landfall_egress::redacted(&self.secrets, text).into_owned()
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
        landfall_egress::redacted_bytes(&self.secrets, body)
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

/// What a component receives in a run on a recording in place of a secret. It is masked like a
/// secret, so that it has one spelling, however the component encodes it.
pub(crate) fn placeholder() -> Secret {
    Secret::new(REDACTED)
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
        let mut masking = Masking::new(&[], None);
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
    fn redacted_values_go_everywhere() {
        let mut masking = Masking::new(&[], Some(Arc::new(WithoutEmail)));
        masking.learn(br#"{"email":"a@canary.example","n":1}"#, None);
        let row = Bytes::from_static(br#"{"contact":"a@canary.example"}"#);
        assert_eq!(masking.body(&row, None), r#"{"contact":"[redacted]"}"#);
        let body = Bytes::from_static(br#"{"email":"b@b","n":1}"#);
        assert_eq!(masking.body(&body, None), r#"{"email":"[redacted]","n":1}"#);
    }

    #[test]
    fn received_headers_are_learned() {
        let mut masking = Masking::new(&[], None);
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
        let mut masking = Masking::new(&[], None);
        masking.learn(list(VALUES_MAX).as_bytes(), None);
        masking.learn(list(VALUES_MAX).as_bytes(), None);
        assert!(!masking.is_full());
        masking.learn(list(VALUES_MAX + 1).as_bytes(), None);
        assert!(masking.is_full());

        let mut masking = Masking::new(&[], None);
        masking.learn_variable("API_TOKEN", &"x".repeat(VALUE_BYTES_MAX + 1));
        assert!(masking.is_full());
    }

    #[test]
    fn secret_headers_are_masked() {
        let masking = Masking::new(&[Secret::new(b"canary".to_vec())], None);
        let masked = masking.headers([
            ("set-cookie", "id=1"),
            ("authorization", "Bearer x"),
            ("x-note", "a canary"),
        ]);
        let values: Vec<&str> = masked.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["(masked)", "(masked)", "a [redacted]"]);
    }
}
