//! Brokers that call: the answer to the call says what became of what it brought.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::parcel::{Parcel, Unopened};
use super::seal::Seal;

/// A call that waits for its answer.
pub struct Handle(Mutex<Option<oneshot::Sender<bool>>>);

/// What Pub/Sub sends: cloud.google.com/pubsub/docs/push#receive_push.
#[derive(Deserialize)]
struct Wrapped {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    data: String,
    #[serde(default)]
    attributes: HashMap<String, String>,
}

// === impl Handle ===

impl Handle {
    /// With the other end, where the answer comes out: true where the call is done with, none where nobody answers.
    pub fn new() -> (Handle, oneshot::Receiver<bool>) {
        let (answer, answered) = oneshot::channel();
        (Handle(Mutex::new(Some(answer))), answered)
    }

    /// Answers, once.
    pub fn answer(&self, is_done: bool) {
        if let Some(answer) = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take()
        {
            answer.send(is_done).ok();
        }
    }
}

/// The parcel in the body of a call: of Pub/Sub in its wrapping, of Cloud Tasks as it is.
pub fn open(body: &[u8], seal: &Seal) -> Result<Parcel, Unopened> {
    match serde_json::from_slice::<Wrapped>(body) {
        Ok(Wrapped { message }) => {
            let bytes = STANDARD
                .decode(message.data)
                .map_err(|_| "it is no base64")?;
            let hook = message.attributes.get("hook").map_or("", String::as_str);
            Parcel::open(&bytes, seal, Some(hook))
        }
        Err(_) => Parcel::open(body, seal, None),
    }
}
