//! Refused messages of the broker: forged, damaged, or not Landfall's. They are counted, recorded and logged like the requests that the
//! edge refuses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use landfall_broker::{QUEUE, Unopened};
use landfall_model::{LogDecision, RefusedRequest};

use super::Delivery;
use super::standing::log_suppressed;

const UNVERIFIED: &str = "unverified";
const WHAT: &str = "a message of the queue is not run: it goes to the dead letters";

/// Since the start, by reason.
#[derive(Debug, Default)]
pub struct MessageCounts {
    unreadable: AtomicU64,
    unverified: AtomicU64,
}

impl Delivery {
    /// `id` is the broker's id of the message, or empty.
    pub(super) fn refuse_message(&self, unopened: &Unopened, id: &str) {
        let (reason, why) = unopened.parts();
        let counts = &self.messages;
        let count = if reason == UNVERIFIED {
            &counts.unverified
        } else {
            &counts.unreadable
        };
        count.fetch_add(1, Ordering::Relaxed);

        let request = RefusedRequest {
            at: humantime::format_rfc3339_millis(self.clock.now()).to_string(),
            hook: QUEUE.into(),
            reason,
            status: None,
            detail: why.into(),
            hint: Some(hint(reason).into()),
            client_address: None,
        };
        match self.refusals.record(request, Instant::now()) {
            LogDecision::Write => tracing::error!(hook = QUEUE, reason, why, id, "{WHAT}"),
            LogDecision::Suppress => {}
            LogDecision::SuppressFirst => {
                tokio::spawn(log_suppressed(
                    self.refusals.clone(),
                    QUEUE.into(),
                    reason,
                    WHAT,
                ));
            }
        }
    }

    /// Messages that were not run so far, by reason.
    pub fn refused_messages(&self) -> [(&'static str, u64); 2] {
        let MessageCounts {
            unreadable,
            unverified,
        } = &self.messages;
        [
            ("unreadable", unreadable.load(Ordering::Relaxed)),
            (UNVERIFIED, unverified.load(Ordering::Relaxed)),
        ]
    }
}

fn hint(reason: &str) -> &'static str {
    match reason {
        UNVERIFIED => {
            "something other than a node published it, or a node with another queue.key: while you rotate the key, keep the old one in \
             the list until nothing waits that it has sealed"
        }
        _ => {
            "something other than a node published it, or changed it on the way: look at who may publish to the queue"
        }
    }
}
