//! Messages that a broker delivers by calling the node. The answer to the call settles the message.

use std::sync::Mutex;

use tokio::sync::oneshot;

use landfall_model::lock;

use super::broker::PushAnswer;

/// A call that waits for its answer.
pub(crate) struct PushCall(Mutex<Option<oneshot::Sender<PushAnswer>>>);

// === impl PushCall ===

impl PushCall {
    /// A call, and the receiver of its answer.
    pub fn new() -> (PushCall, oneshot::Receiver<PushAnswer>) {
        let (answer, answered) = oneshot::channel();
        (PushCall(Mutex::new(Some(answer))), answered)
    }

    /// Answers the call, once.
    pub fn answer(&self, answer: PushAnswer) {
        let call = lock(&self.0).take();
        if let Some(call) = call {
            call.send(answer).ok();
        }
    }
}
