//! The outbound calls of one attempt: their limits and their record.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::record::CallRecord;
use crate::recorded_world::RecordedWorld;
use landfall_egress::{Client, Outgoing, OutgoingError, Permitted, Received};
use landfall_model::{Event, MemoryBudget, OutboundCall, TraceContext};

const CALLS_MAX: u32 = 64;
/// The most bytes of all request and response bodies of one attempt.
const BYTES_MAX: usize = 64 << 20;
/// The bytes of the digest in an idempotency key: enough for the calls of one attempt.
const KEY_DIGEST_BYTES: usize = 8;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// What answers the calls of an attempt.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) client: Arc<Client>,
    /// A recording, in place of the network.
    pub(crate) world: Option<Arc<RecordedWorld>>,
}

/// The context of `http`.
pub(crate) struct Http {
    pub(super) caller: Caller,
    /// The event, whose content came from a sender.
    pub(super) untrusted: Option<Arc<Event>>,
    pub(super) memory: MemoryBudget,
    pub(super) transferred: Transferred,
    pub(super) record: CallRecord,
    /// The bodies that the guest has started to write.
    pub(super) bodies: u32,
    pub(super) until: Instant,
    calls: u32,
    /// The calls that the attempt has made: few, so they need no map.
    same_calls: Vec<SameCalls>,
    /// The calls are those of a responder.
    is_responder: bool,
    /// The span of the attempt, which calls pass on. `None`: they pass on nothing.
    trace: Option<TraceContext>,
}

/// Calls with one method and one URL.
struct SameCalls {
    method: String,
    url: String,
    count: u32,
}

/// The bytes of all bodies so far.
#[derive(Clone, Default)]
pub(super) struct Transferred(Arc<AtomicUsize>);

// === impl Http ===

impl Http {
    pub(crate) fn new(
        caller: Caller,
        untrusted: Option<Arc<Event>>,
        until: Instant,
        memory: MemoryBudget,
        record: CallRecord,
        trace: Option<TraceContext>,
    ) -> Http {
        Http {
            caller,
            untrusted,
            memory,
            transferred: Transferred::default(),
            record,
            bodies: 0,
            until,
            calls: 0,
            same_calls: Vec::new(),
            is_responder: false,
            trace,
        }
    }

    /// The calls of a responder have other idempotency keys than those of the handler.
    pub(crate) fn serve_responder(&mut self) {
        self.is_responder = true;
    }

    /// How many calls the attempt has made.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// The recorded calls, at the end of the attempt.
    pub(crate) fn recorded(&self) -> Vec<OutboundCall> {
        self.record.take()
    }

    /// Counts a call, and checks that the hook may make it. Returns its idempotency key too.
    pub(super) fn start_call(
        &mut self,
        method: &str,
        url: &str,
    ) -> Result<(Permitted, String), OutgoingError> {
        if self.calls >= CALLS_MAX {
            let why = format!("one attempt may make {CALLS_MAX} calls");
            return Err(OutgoingError::Limit(why));
        }
        self.calls += 1;
        let key = self.idempotency_key(method, url);
        let permitted = self.caller.client.permit(method, url)?;
        Ok((permitted, key))
    }

    /// A key for the next call with this method and URL: the same in every attempt, and different
    /// for each call.
    fn idempotency_key(&mut self, method: &str, url: &str) -> String {
        let ordinal = self.count_same(method, url);
        let exported = if self.is_responder {
            "respond"
        } else {
            "handle"
        };
        match &self.untrusted {
            Some(event) => call_key(event.id, exported, method, url, ordinal),
            None => call_key("", exported, method, url, ordinal),
        }
    }

    /// Counts a call. Returns how many with this method and URL were before it.
    fn count_same(&mut self, method: &str, url: &str) -> u32 {
        let mut calls = self.same_calls.iter_mut();
        if let Some(same) = calls.find(|same| same.method == method && same.url == url) {
            same.count += 1;
            return same.count - 1;
        }

        self.same_calls.push(SameCalls {
            method: method.to_owned(),
            url: url.to_owned(),
            count: 1,
        });
        0
    }

    /// A new span for a call, below that of the attempt.
    pub(super) fn call_span(&self) -> Option<TraceContext> {
        self.trace.map(|attempt| attempt.child())
    }

    /// The time for one call: what the guest wants, within what is left of the attempt.
    pub(super) fn timeout(&self, wanted: Option<Duration>) -> Duration {
        time_left(self.until, wanted)
    }
}

/// The time for one call of an attempt that ends at `until`.
pub(super) fn time_left(until: Instant, wanted: Option<Duration>) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    wanted.unwrap_or(TIMEOUT_DEFAULT).min(left)
}

/// The event's id, and a digest of the exported function that runs, of method, URL and the number
/// of earlier calls with both.
fn call_key(event: impl Display, exported: &str, method: &str, url: &str, ordinal: u32) -> String {
    let mut digest = Sha256::new();
    for part in [exported, method, url] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(ordinal.to_be_bytes());

    format!(
        "{event}-{}",
        hex::encode(&digest.finalize()[..KEY_DIGEST_BYTES])
    )
}

// === impl Caller ===

impl Caller {
    /// Makes a call for an event, whose method and URL the client has permitted.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        permitted: Permitted,
        idempotency_key: &str,
    ) -> Result<Received, OutgoingError> {
        match &self.world {
            None => {
                let client = &self.client;
                client
                    .send_permitted(outgoing, permitted, idempotency_key)
                    .await
            }
            Some(world) => world.answer(&self.client, outgoing).await,
        }
    }
}

// === impl Transferred ===

impl Transferred {
    pub(super) fn add(&self, bytes: usize) -> Result<(), OutgoingError> {
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
            let why = format!("the calls of one attempt may move {BYTES_MAX} bytes");
            return Err(OutgoingError::Limit(why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_for_each_call() {
        let first = call_key("e", "handle", "POST", "https://a.example/", 0);
        assert_eq!(
            first,
            call_key("e", "handle", "POST", "https://a.example/", 0)
        );
        assert!(first.starts_with("e-") && first.len() == 18, "{first}");

        for other in [
            call_key("f", "handle", "POST", "https://a.example/", 0),
            call_key("e", "respond", "POST", "https://a.example/", 0),
            call_key("e", "handle", "PUT", "https://a.example/", 0),
            call_key("e", "handle", "POST", "https://a.example/x", 0),
            call_key("e", "handle", "POST", "https://a.example/", 1),
            call_key("e", "handle", "POSTh", "ttps://a.example/", 0),
        ] {
            assert_ne!(first, other);
        }
    }
}
