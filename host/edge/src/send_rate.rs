//! How fast a client reads an answer. A slow reader keeps the memory of its answer, so it must read
//! something within `head_timeout`, and `response_rate` bytes per second on average.

use std::time::{Duration, Instant};

use landfall_model::EdgeLimits;

/// A longer time is not needed, and could overflow.
const ALLOWED_MAX: Duration = Duration::from_secs(24 * 3600);

/// The progress of an answer since the client was first waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendRate {
    started: Instant,
    progressed: Instant,
    sent: u64,
}

// === impl SendRate ===

impl SendRate {
    pub(crate) fn start(now: Instant) -> SendRate {
        SendRate {
            started: now,
            progressed: now,
            sent: 0,
        }
    }

    /// The client has made room for bytes.
    pub(crate) fn record(&mut self, now: Instant, bytes: usize) {
        self.progressed = now;
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// When the client is too slow, unless it reads more before.
    pub(crate) fn deadline(&self, limits: &EdgeLimits) -> Instant {
        let seconds = self.sent / limits.response_rate.max(1);
        let allowed = Duration::from_secs(seconds).min(ALLOWED_MAX);
        let silent = self.progressed + limits.head_timeout;
        silent.min(self.started + limits.head_timeout + allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: EdgeLimits = EdgeLimits {
        connections: 1,
        head_timeout: Duration::from_secs(10),
        keep_alive: Duration::ZERO,
        body_timeout: Duration::ZERO,
        queue_timeout: Duration::ZERO,
        body_memory: 0,
        response_memory: 0,
        connection_response_memory: 0,
        response_rate: 1000,
    };

    /// The second at which a client is too slow that reads `bytes` every `seconds`.
    fn too_slow_at(bytes: usize, seconds: u64) -> Option<u64> {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut rate = SendRate::start(start);
        (0..10_000).find(|second| {
            if second % seconds == 0 && *second > 0 {
                rate.record(at(*second), bytes);
            }
            at(*second) >= rate.deadline(&LIMITS)
        })
    }

    #[test]
    fn silent_clients_are_too_slow() {
        assert_eq!(too_slow_at(1 << 30, 11), Some(10));
        assert_eq!(too_slow_at(1 << 30, 9), None);
    }

    #[test]
    fn trickling_clients_are_too_slow() {
        assert_eq!(too_slow_at(1, 1), Some(10));
        assert_eq!(too_slow_at(500, 1), Some(19));
        assert_eq!(too_slow_at(1000, 1), None);
        assert_eq!(too_slow_at(9000, 9), None);
    }
}
