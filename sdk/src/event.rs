//! The argument of a handler: the event, its body, and the types that an argument may have.
//!
//! The host has verified the event. Nothing here checks the sender.

use crate::{Failure, form};
use serde::de::DeserializeOwned;

/// One verified request. It is the same on every attempt; only [`attempt`](Self::attempt) differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// A UUIDv7, the same on every attempt. Use it as the idempotency key of your calls.
    pub id: String,
    /// The name of the hook that received it.
    pub hook: String,
    /// 1 on the first attempt.
    pub attempt: u32,
    /// RFC 3339, UTC, milliseconds: `2026-01-31T08:15:30.123Z`.
    pub received_at: String,
    /// Upper case: `POST`.
    pub method: String,
    /// As it was sent, still percent-encoded: `/github`.
    pub path: String,
    /// Without the question mark. A token that the host checked is removed.
    pub query: Option<String>,
    /// Names are in lower case. Order and repeats are kept. A header that carried a shared secret is removed.
    pub headers: Vec<(String, String)>,
    /// The bytes that were signed.
    pub body: Payload,
    /// Facts that the host found: `provider`, `event-type`, `delivery-id`, `param:NAME`, …
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// The body as a type of yours; one that does not fit can never succeed, so it is a [`Failure::Reject`]. Where the
    /// provider sends a form with the JSON document in one field, as GitHub's `payload`, that field counts.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let field = self
            .attribute("json-form-field")
            .and_then(|name| self.form_field(name));
        field
            .map_or_else(|| self.body.json(), |text| serde_json::from_str(&text))
            .map_err(|error| Failure::reject(format!("the body is not the JSON expected: {error}")))
    }

    /// The fields of an HTML form as a type of yours; a body that does not fit is a [`Failure::Reject`].
    #[cfg(feature = "form")]
    pub fn form<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_urlencoded::from_bytes(self.bytes())
            .map_err(|error| Failure::reject(format!("the body is not the form expected: {error}")))
    }

    /// The text fields of a form, `application/x-www-form-urlencoded` or `multipart/form-data`, in their order; files are left
    /// out. None where the body is no form.
    pub fn form_fields(&self) -> Option<Vec<(String, String)>> {
        form::fields(self.header("content-type")?, self.bytes())
    }

    /// The first field of this name of a form.
    pub fn form_field(&self, name: &str) -> Option<String> {
        self.form_fields()?
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// The body, if it is valid UTF-8.
    pub fn text(&self) -> Option<&str> {
        self.body.as_text()
    }

    /// The body as it was sent.
    pub fn bytes(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// A fact that the host found, such as `verified-by`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The text of the `{name}` segment of the hook's path.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known.strip_prefix("param:") == Some(name))
            .map(|(_, value)| value.as_str())
    }

    /// The provider's name for this kind of event: `push`, `invoice.paid`.
    pub fn event_type(&self) -> Option<&str> {
        self.attribute("event-type")
    }

    /// The provider that sent it: `github`.
    pub fn provider(&self) -> Option<&str> {
        self.attribute("provider")
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// A body: text if the bytes are valid UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Valid UTF-8.
    Text(String),
    /// Anything else.
    Binary(Vec<u8>),
}

impl Payload {
    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The bytes, of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The body read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        // Text is known to be UTF-8 and need not be checked again.
        match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Binary(bytes) => serde_json::from_slice(bytes),
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Binary(error.into_bytes()), Self::Text)
    }
}

/// A type that the argument of a handler may have.
#[diagnostic::on_unimplemented(
    message = "the argument of a handler is an `Event` or a `Json<T>`, not `{Self}`"
)]
pub trait FromEvent: Sized {
    /// Takes the event apart.
    fn from_event(event: Event) -> Result<Self, Failure>;
}

impl FromEvent for Event {
    fn from_event(event: Event) -> Result<Self, Failure> {
        Ok(event)
    }
}

/// A JSON body: as an argument the event's, as a return value the reply's (with status 200).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Json<T> {
    fn from_event(event: Event) -> Result<Self, Failure> {
        event.json().map(Json)
    }
}
