//! Messages that a broker delivers by calling the node. The answer to the call settles the message.

use std::sync::Mutex;

use tokio::sync::oneshot;

use landfall_model::{PushSpec, lock};

use super::broker::PushAnswer;
use super::error::SettingsError;
use super::kind::Settings;

/// The keys of `[queue]` that `spec` reads.
pub(crate) const KEYS: [&str; 3] = ["push_to", "push_account", "push_keys"];
/// Where the keys of Google's tokens are.
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// A call that waits for its answer.
pub(crate) struct PushCall(Mutex<Option<oneshot::Sender<PushAnswer>>>);

// === impl PushCall ===

impl PushCall {
    /// A call, and the receiver of its answer.
    pub(crate) fn new() -> (PushCall, oneshot::Receiver<PushAnswer>) {
        let (answer, answered) = oneshot::channel();
        (PushCall(Mutex::new(Some(answer))), answered)
    }

    /// Answers the call, once.
    pub(crate) fn answer(&self, answer: PushAnswer) {
        let call = lock(&self.0).take();
        if let Some(call) = call {
            call.send(answer).ok();
        }
    }
}

/// How the broker calls the node, if it does. Calls of an emulator need no TLS.
pub(crate) fn spec(
    settings: &Settings<'_>,
    is_emulator: bool,
) -> Result<Option<PushSpec>, SettingsError> {
    let [to, account, keys] = KEYS.map(|key| settings.get(key));
    let Some(to) = to else {
        if account.is_some() || keys.is_some() {
            let why = "queue.push_account and queue.push_keys go with queue.push_to";
            return Err(SettingsError(why.into()));
        }
        return Ok(None);
    };

    let to = to.trim_end_matches('/').to_owned();
    let is_address = to.starts_with("https://") || (is_emulator && to.starts_with("http://"));
    if !is_address {
        return Err(SettingsError(format!(
            "queue.push_to = {to:?} is the public address of this service: it begins with https://"
        )));
    }
    let Some(account) = account.filter(|account| account.contains('@')) else {
        let why =
            "queue.push_account is the e-mail of the service account in whose name the queue calls";
        return Err(SettingsError(why.into()));
    };
    Ok(Some(PushSpec {
        to,
        account: account.into(),
        keys: keys.unwrap_or(GOOGLE_KEYS).into(),
    }))
}
