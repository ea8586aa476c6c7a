//! The outbound calls of one attempt: their limits and their record.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::record::CallRecord;
use landfall_egress::{Client, OutgoingError};
use landfall_model::{Event, MemoryBudget, OutboundCall};

const CALLS_MAX: u32 = 64;
/// The most bytes of all request and response bodies of one attempt.
const BYTES_MAX: usize = 64 << 20;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The context of `http`.
pub(crate) struct Http {
    pub(super) client: Arc<Client>,
    pub(super) event_id: String,
    /// The event, whose content came from a sender.
    pub(super) untrusted: Option<Arc<Event>>,
    pub(super) memory: MemoryBudget,
    pub(super) transferred: Transferred,
    pub(super) record: CallRecord,
    /// The bodies that the guest has started to write.
    pub(super) bodies: u32,
    until: Instant,
    calls: u32,
}

/// The bytes of all bodies so far.
#[derive(Clone, Default)]
pub(super) struct Transferred(Arc<AtomicUsize>);

// === impl Http ===

impl Http {
    pub(crate) fn new(
        client: Arc<Client>,
        untrusted: Option<Arc<Event>>,
        until: Instant,
        memory: MemoryBudget,
    ) -> Http {
        let event_id = untrusted
            .as_ref()
            .map(|event| event.id.to_string())
            .unwrap_or_default();
        Http {
            client,
            event_id,
            untrusted,
            memory,
            transferred: Transferred::default(),
            record: CallRecord::default(),
            bodies: 0,
            until,
            calls: 0,
        }
    }

    /// How many calls the attempt has made.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// The recorded calls, at the end of the attempt.
    pub(crate) fn recorded(&self) -> Vec<OutboundCall> {
        self.record.take()
    }

    /// Counts a call, and checks that the hook may make it.
    pub(super) fn start_call(&mut self, method: &str, url: &str) -> Result<(), OutgoingError> {
        if self.calls >= CALLS_MAX {
            let why = format!("one attempt may make {CALLS_MAX} calls");
            return Err(OutgoingError::Limit(why));
        }
        self.calls += 1;
        self.client.check(method, url)
    }

    /// The time for one call: what the guest wants, within what is left of the attempt.
    pub(super) fn timeout(&self, wanted: Option<Duration>) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        wanted.unwrap_or(TIMEOUT_DEFAULT).min(left)
    }
}

// === impl Transferred ===

impl Transferred {
    pub(super) fn add(&self, bytes: usize) -> Result<(), OutgoingError> {
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            let why = format!("the calls of one attempt may move {BYTES_MAX} bytes");
            return Err(OutgoingError::Limit(why));
        }
        Ok(())
    }
}
