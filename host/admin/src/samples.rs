//! Signed samples, as the admin API sends them.

use std::pin::Pin;
use std::sync::Arc;

/// Sends samples to the hooks of this node. The crate `landfall` implements it, so that this one
/// knows neither secrets nor the public listener.
pub trait SendSamples: Send + Sync {
    /// Signs a sample with the first secret of the hook, as its provider would, and sends it to
    /// the public listener. Returns when it is answered.
    fn send<'a>(&'a self, hook: &'a str, sample: SampleOrder) -> SendingSample<'a>;
}

/// The future of `SendSamples::send`. It is boxed, so that the trait can be used as an object.
pub type SendingSample<'a> =
    Pin<Box<dyn Future<Output = Result<SentSample, SampleRefused>> + Send + 'a>>;

/// As the admin API holds it.
pub type SharedSamples = Arc<dyn SendSamples>;

/// What to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampleOrder {
    /// The type of the event; `None`: that of the pack's sample.
    pub event_type: Option<String>,
    /// The body before it is signed; `None`: that of the pack's sample.
    pub body: Option<Vec<u8>>,
}

/// What came of a sample. Neither the request nor the body of the answer is here: both may contain
/// the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSample {
    /// The status of the answer.
    pub status: u16,
    /// The length of the signed body in bytes.
    pub bytes: usize,
    /// The event, if the answer names it or the ledger has it already.
    pub event: Option<String>,
}

/// Why no sample was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleRefused {
    /// No hook has this name.
    NoHook,
    /// The sample cannot be made: the hook is closed, or only its provider can sign. A sentence for
    /// the operator.
    NotPossible(String),
    /// The public listener did not answer. A sentence for the operator.
    Unanswered(String),
}
