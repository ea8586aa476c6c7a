//! What the caller receives, and the types that a handler may return for it.

use crate::{Json, Payload};
use serde::Serialize;

/// An HTTP response for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// The host writes `content-length`, `transfer-encoding`, `connection`, `date` and other
    /// hop-by-hop headers, and ignores them here.
    pub headers: Vec<(String, String)>,
    /// At most 8 MiB. Sent as it is.
    pub body: Payload,
}

impl Reply {
    /// An empty reply.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Payload::default(),
        }
    }

    /// An empty 200. Return `()` or `None` instead for the answer that the provider takes for
    /// success.
    pub fn ok() -> Self {
        Self::new(200)
    }

    /// A JSON reply.
    ///
    /// # Panics
    ///
    /// If `value` cannot be JSON, such as a map whose keys are not text. The host records the text
    /// as the outcome of the attempt.
    pub fn json(status: u16, value: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_string(value).expect("a reply is made of what JSON can hold");
        Self::of(status, "application/json", body.into())
    }

    /// A plain text reply.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::of(
            status,
            "text/plain; charset=utf-8",
            Payload::Text(text.into()),
        )
    }

    /// Adds a header. Headers of the same name stay.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn of(status: u16, content_type: &str, body: Payload) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body,
        }
    }
}

/// What a handler may return if it handled the event.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the reply of a handler",
    label = "write `Reply`, `Json<T>`, `String`, or `()` for the answer that the provider takes for success"
)]
pub trait IntoReply {
    /// The reply for the caller. `None`: the answer that the provider takes for success.
    fn into_reply(self) -> Option<Reply>;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Option<Reply> {
        Some(self)
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Option<Reply> {
        Some(Reply::json(200, &self.0))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Option<Reply> {
        Some(Reply::text(200, self))
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Option<Reply> {
        Some(Reply::text(200, self))
    }
}

/// `None` is the answer that the provider takes for success.
impl<R: IntoReply> IntoReply for Option<R> {
    fn into_reply(self) -> Option<Reply> {
        self.and_then(IntoReply::into_reply)
    }
}

/// The answer that the provider takes for success.
impl IntoReply for () {
    fn into_reply(self) -> Option<Reply> {
        None
    }
}
