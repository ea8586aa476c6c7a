//! The answer that the host sends itself, without running the component.

use crate::refusal::Refusal;

/// A response that the host sends itself, without running the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Content type and text of the body.
    pub body: Option<(&'static str, String)>,
    /// Headers besides `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// An address of the provider that the host must call to confirm the subscription.
    pub confirm: Option<String>,
    /// A secret that the provider sends in the request. The host stores it under the hook's first
    /// secret reference, unless that already has a value.
    pub pair: Option<String>,
    /// Why the ownership check failed, for the operator. The caller only gets `status`.
    pub refused: Option<Box<Refusal>>,
}

// === impl Answer ===

impl Default for Answer {
    fn default() -> Answer {
        Answer {
            status: 200,
            body: None,
            headers: Vec::new(),
            confirm: None,
            pair: None,
            refused: None,
        }
    }
}
