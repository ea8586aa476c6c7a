//! The argument of a handler: the event, its body, and the types that an argument may have.
//!
//! The host has verified the event. Nothing here checks the sender.

use crate::{Failure, form, json};
use serde::de::DeserializeOwned;

/// A webhook request that the host has verified, or an event that another hook has emitted. It is
/// the same on every attempt and every replay, except for [`attempt`](Self::attempt) and the
/// attributes that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// A UUIDv7. The same on every attempt and every replay.
    pub id: String,
    /// The name of the hook that received it. One component may serve several hooks.
    pub hook: String,
    /// 1 on the first attempt. A replay begins at 1 again.
    pub attempt: u32,
    /// When the host had read the whole request. RFC 3339, UTC, milliseconds:
    /// `2026-01-31T08:15:30.123Z`.
    pub received_at: String,
    /// The provider pack that verified it: `github`. `None` if the hook file names a scheme
    /// instead, and for emitted events.
    pub provider: Option<String>,
    /// The provider's name for this kind of event: `push`, `invoice.paid`. For an emitted event,
    /// what the emitting hook wrote. Not every provider signs it.
    pub event_type: Option<String>,
    /// The provider's id of this delivery, if it has one. If it has several parts, they are joined
    /// by `/`.
    pub delivery_id: Option<String>,
    /// Upper case: `POST`.
    pub method: String,
    /// As sent, percent-encoded: `/github`. A last segment that was a shared secret is `-`.
    pub path: String,
    /// As sent, without the question mark. A parameter that was a shared secret is removed.
    pub query: Option<String>,
    /// Names are in lower case. The values of a repeated name have the order in which they were
    /// sent. Hop-by-hop headers and a header that was a shared secret are removed.
    pub headers: Vec<(String, String)>,
    /// Every byte of the body as it was sent. The host only undoes a `Content-Encoding`.
    pub body: Payload,
    /// Facts that the host found: `verified-by`, `client-address`, `param:NAME`, … Each name occurs
    /// at most once.
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// The body as a type of yours. A body that does not fit is a [`Failure::Reject`], because it
    /// can never succeed; its reason names the place in the document. If the provider sends a form
    /// that has the JSON document in one field, such as GitHub's `payload`, that field is read.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let field = self
            .attribute("json-form-field")
            .and_then(|name| self.form_field(name));
        field
            .map_or_else(|| json::read(&self.body), |text| json::read_text(&text))
            .map_err(|error| Failure::reject(format!("the body is not the JSON expected: {error}")))
    }

    /// The same event; if it is a form, [`json`](Self::json) reads this field of it, whatever the
    /// host found.
    #[cfg(feature = "github")]
    pub(crate) fn with_json_body(&self, field: &str) -> std::borrow::Cow<'_, Self> {
        use std::borrow::Cow;
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !is_form || self.attribute("json-form-field").is_some() {
            return Cow::Borrowed(self);
        }
        let mut event = self.clone();
        event
            .attributes
            .push(("json-form-field".into(), field.into()));
        Cow::Owned(event)
    }

    /// The fields of an HTML form as a type of yours. A body that does not fit is a
    /// [`Failure::Reject`].
    #[cfg(feature = "form")]
    pub fn form<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_urlencoded::from_bytes(self.bytes())
            .map_err(|error| Failure::reject(format!("the body is not the form expected: {error}")))
    }

    /// The text fields of a form (`application/x-www-form-urlencoded` or `multipart/form-data`) in
    /// their order, without files. `None` if the body is not a form.
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
    message = "`{Self}` cannot be an argument of a handler",
    label = "this is not read from an event",
    note = "arguments are `Event`, `Json<T>` (the body), `Settings<T>` (the hook's settings) and the types of `providers`"
)]
pub trait FromEvent: Sized {
    /// Takes the event apart.
    fn from_event(event: Event) -> Result<Self, Failure>;

    /// The same for a handler that has several arguments: the event is also for the others.
    fn from_event_ref(event: &Event) -> Result<Self, Failure> {
        Self::from_event(event.clone())
    }
}

impl FromEvent for Event {
    fn from_event(event: Event) -> Result<Self, Failure> {
        Ok(event)
    }
}

/// A JSON body. As an argument, the event's. As a return value, the reply's, with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Json<T> {
    fn from_event(event: Event) -> Result<Self, Failure> {
        Self::from_event_ref(&event)
    }

    fn from_event_ref(event: &Event) -> Result<Self, Failure> {
        event.json().map(Json)
    }
}
