//! A declared rhythm: `expect = "1 per 6h"`.

use std::time::{Duration, SystemTime};

use landfall_model::ExpectedRate;
use serde::{Deserialize, Serialize};

/// The declared time in this many parts, and the part that has begun.
const SLOTS: usize = 13;

/// The events of the declared time. Its size is fixed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// The declared time. Another one begins anew.
    every_s: f64,
    events: [u64; SLOTS],
    at: usize,
    in_slot_s: f64,
    watched_s: f64,
    /// Since the last event, or since the hook is watched.
    quiet_s: f64,
}

// === impl Expected ===

impl Expected {
    /// Whether the state is one that this version can use.
    pub(crate) fn is_valid(&self) -> bool {
        self.at < SLOTS
    }

    /// Goes on by `step`, in which there were so many events.
    pub(crate) fn go_on(&mut self, rate: ExpectedRate, step: Duration, events: u64) {
        let (every, step) = (rate.every.as_secs_f64(), step.as_secs_f64());
        if (self.every_s - every).abs() > f64::EPSILON {
            *self = Expected {
                every_s: every,
                quiet_s: self.quiet_s.min(every),
                ..Expected::default()
            };
        }

        self.watched_s += step;
        self.quiet_s = if events > 0 { 0.0 } else { self.quiet_s + step };
        let slot = every / (SLOTS - 1) as f64;
        self.in_slot_s += step.min(slot * SLOTS as f64);
        while self.in_slot_s >= slot {
            self.in_slot_s -= slot;
            self.at = (self.at + 1) % SLOTS;
            self.events[self.at] = 0;
        }
        self.events[self.at] += events;
    }

    /// The events of the declared time, if there are too few of them.
    pub(crate) fn missing(&self, rate: ExpectedRate) -> Option<u64> {
        let every = rate.every.as_secs_f64();
        if rate.events == 1 {
            return (self.quiet_s > every).then_some(0);
        }
        let events: u64 = self.events.iter().sum();
        let is_whole = self.watched_s >= every;
        (is_whole && events < u64::from(rate.events)).then_some(events)
    }

    /// When the hook has been silent for too long, if no event arrives. `None` for rates of several
    /// events.
    pub(crate) fn silent_from(&self, rate: ExpectedRate, now: SystemTime) -> Option<SystemTime> {
        let left = (rate.every.as_secs_f64() - self.quiet_s).max(0.0);
        (rate.events == 1).then(|| now + Duration::from_secs_f64(left))
    }

    /// For how long there was no event.
    pub(crate) fn quiet_s(&self) -> f64 {
        self.quiet_s
    }
}
