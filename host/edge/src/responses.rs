//! The memory budget of replies: all replies of the node that clients have not read stay below
//! `limits.response_memory`, those of one connection below `limits.connection_response_memory`. A
//! reply counts until its last byte was given to the system.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A smaller reply does not count: it is not larger than what the node stores for its connection or
/// stream anyway.
const COUNTED_BYTES_MIN: usize = 4 << 10;
/// Larger replies leave a part of the budget to smaller ones, so that clients that read nothing do
/// not stop all others.
const SMALL_BYTES_MAX: usize = 64 << 10;
const LEFT_TO_SMALL: usize = 8;

/// The memory for all replies of the node.
pub(crate) struct ResponseBudget {
    used: Arc<AtomicUsize>,
    max: usize,
    connection_max: usize,
}

/// The bytes of replies that one connection has not read.
pub(crate) type ConnectionUse = Arc<AtomicUsize>;

/// Why a reply cannot be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverBudget {
    /// Replies of all connections use the budget.
    Node,
    /// Replies of this connection use its part.
    Connection,
}

/// The bytes of a reply, which count until they are dropped.
struct CountedBody {
    bytes: Bytes,
    node: Arc<AtomicUsize>,
    connection: ConnectionUse,
}

// === impl ResponseBudget ===

impl ResponseBudget {
    pub(crate) fn new(max: usize, connection_max: usize) -> ResponseBudget {
        ResponseBudget {
            used: Arc::default(),
            max,
            connection_max,
        }
    }

    /// The same bytes. They count until the last copy of the result is dropped.
    pub(crate) fn count(
        &self,
        connection: &ConnectionUse,
        bytes: Bytes,
    ) -> Result<Bytes, OverBudget> {
        let len = bytes.len();
        if len < COUNTED_BYTES_MIN {
            return Ok(bytes);
        }

        if !add(connection, len, self.connection_max) {
            return Err(OverBudget::Connection);
        }

        let max = if len > SMALL_BYTES_MAX {
            self.max - self.max / LEFT_TO_SMALL
        } else {
            self.max
        };
        if !add(&self.used, len, max) {
            connection.fetch_sub(len, Ordering::Relaxed);
            return Err(OverBudget::Node);
        }

        Ok(Bytes::from_owner(CountedBody {
            bytes,
            node: self.used.clone(),
            connection: connection.clone(),
        }))
    }
}

fn add(used: &AtomicUsize, bytes: usize, max: usize) -> bool {
    let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= max);
    let added = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    added.is_ok()
}

// === impl OverBudget ===

impl OverBudget {
    /// The setting that limits the replies.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            OverBudget::Node => "limits.response_memory",
            OverBudget::Connection => "limits.connection_response_memory",
        }
    }

    /// The word in counters.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            OverBudget::Node => "response_memory",
            OverBudget::Connection => "connection_response_memory",
        }
    }
}

// === impl CountedBody ===

impl AsRef<[u8]> for CountedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.node.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        self.connection
            .fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn bytes(len: usize) -> Bytes {
        vec![0; len].into()
    }

    #[test]
    fn replies_count_until_they_are_dropped() {
        let budget = ResponseBudget::new(8 * MIB, 4 * MIB);
        let (one, two) = (ConnectionUse::default(), ConnectionUse::default());

        let mut first = budget.count(&one, bytes(3 * MIB)).unwrap();
        let part = first.split_to(10);
        assert_eq!(
            budget.count(&one, bytes(2 * MIB)),
            Err(OverBudget::Connection)
        );
        let second = budget.count(&two, bytes(4 * MIB)).unwrap();
        assert_eq!(
            budget.count(&ConnectionUse::default(), bytes(MIB)),
            Err(OverBudget::Node),
            "the last eighth is for small replies"
        );
        let small = budget.count(&one, bytes(SMALL_BYTES_MAX)).unwrap();

        drop(first);
        assert_eq!(one.load(Ordering::Relaxed), 3 * MIB + SMALL_BYTES_MAX);
        drop((part, second, small));
        let used = [&one, &two, &budget.used].map(|used| used.load(Ordering::Relaxed));
        assert_eq!(used, [0, 0, 0]);
    }

    #[test]
    fn tiny_replies_do_not_count() {
        let budget = ResponseBudget::new(0, 0);
        let connection = ConnectionUse::default();
        assert!(
            budget
                .count(&connection, bytes(COUNTED_BYTES_MIN - 1))
                .is_ok()
        );
        assert!(budget.count(&connection, bytes(COUNTED_BYTES_MIN)).is_err());
    }
}
