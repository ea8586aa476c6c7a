//! The answer that the host sends itself, without running the component.

use crate::refusal::Refusal;

/// What to send back instead of running the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of the answer.
    pub status: u16,
    /// Content type and bytes.
    pub body: Option<(&'static str, String)>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Call this address of the provider: it asks to be confirmed.
    pub confirm: Option<String>,
    /// A secret that the provider hands over: keep it where the hook's first secret is, unless there is one.
    pub pair: Option<String>,
    /// Why the check is not passed, for the operator; `status` is what the caller gets then.
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
