//! Acknowledgements of pulled messages and their deadlines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_model::lock;
use serde_json::{Value, json};

use crate::error::BrokerError;
use crate::rest::{CALL_TIMEOUT, Rest, call};

/// A message whose node is silent for this long is redelivered.
const ACK_DEADLINE: Duration = Duration::from_secs(30);
/// The longest acknowledgement deadline.
const DEADLINE_MAX: Duration = Duration::from_secs(600);
/// The most ids in one call.
const IDS_MAX: usize = 500;
/// The deadline of a message that waits here is extended this often.
const EXTEND_EVERY: Duration = Duration::from_secs(10);

/// The subscription that messages are acknowledged to.
pub(super) struct Subscription {
    rest: Arc<Rest>,
    /// `v1/projects/P/subscriptions/S`
    path: String,
    /// Messages whose deadlines are to be extended by the next call.
    to_extend: Mutex<Vec<String>>,
}

/// The right to acknowledge one delivery of a message.
#[derive(Clone)]
pub(super) struct AckHandle {
    subscription: Arc<Subscription>,
    ack_id: String,
}

// === impl Subscription ===

impl Subscription {
    pub(super) fn new(rest: Arc<Rest>, path: String) -> Arc<Subscription> {
        Arc::new(Subscription {
            rest,
            path,
            to_extend: Mutex::default(),
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    async fn call(&self, verb: &str, body: Value) -> Result<(), BrokerError> {
        let path = format!("{}:{verb}", self.path);
        call(&self.rest, &path, &body, CALL_TIMEOUT).await.map(drop)
    }

    async fn set_deadlines(&self, ids: &[String], deadline: Duration) -> Result<(), BrokerError> {
        let seconds = deadline.min(DEADLINE_MAX).as_secs_f64().ceil() as u64;
        for ids in ids.chunks(IDS_MAX) {
            let body = json!({ "ackIds": ids, "ackDeadlineSeconds": seconds });
            self.call("modifyAckDeadline", body).await?;
        }
        Ok(())
    }
}

/// Sets the deadlines of several messages of one subscription.
pub(super) async fn set_deadlines(
    handles: &[AckHandle],
    deadline: Duration,
) -> Result<(), BrokerError> {
    let Some(first) = handles.first() else {
        return Ok(());
    };
    let ids: Vec<String> = handles.iter().map(|one| one.ack_id.clone()).collect();
    first.subscription.set_deadlines(&ids, deadline).await
}

/// Extends the deadlines of several messages of one subscription.
pub(super) async fn extend_all(handles: &[AckHandle]) -> Result<(), BrokerError> {
    set_deadlines(handles, ACK_DEADLINE).await
}

// === impl AckHandle ===

impl AckHandle {
    pub(super) fn new(subscription: Arc<Subscription>, ack_id: String) -> AckHandle {
        AckHandle {
            subscription,
            ack_id,
        }
    }

    pub(super) async fn ack(&self) -> Result<(), BrokerError> {
        let body = json!({ "ackIds": [self.ack_id] });
        self.subscription.call("acknowledge", body).await
    }

    /// The message is redelivered after this time, or after ten minutes if that is sooner.
    pub(super) async fn redeliver_after(&self, time: Duration) -> Result<(), BrokerError> {
        let ids = std::slice::from_ref(&self.ack_id);
        self.subscription.set_deadlines(ids, time).await
    }

    /// Extends the deadline of this message, in one call with every other message that is extended
    /// at the same time.
    pub(super) async fn extend(&self) -> Result<(), BrokerError> {
        lock(&self.subscription.to_extend).push(self.ack_id.clone());
        // The futures of the other messages have added their ids when this one goes on.
        tokio::task::yield_now().await;

        let ids = std::mem::take(&mut *lock(&self.subscription.to_extend));
        self.subscription.set_deadlines(&ids, ACK_DEADLINE).await
    }

    /// Holds on to the message for this time.
    pub(super) async fn hold(&self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() + EXTEND_EVERY < until {
            self.redeliver_after(ACK_DEADLINE).await.ok();
            tokio::time::sleep(EXTEND_EVERY).await;
        }
        self.redeliver_after(ACK_DEADLINE).await.ok();
        tokio::time::sleep_until(until).await;
    }
}
