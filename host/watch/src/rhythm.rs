//! The rhythm of a hook, learned from the gaps between its events: how long it may be silent.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::hours::{Hours, WEEKS};

/// Events that are closer together belong to one burst. Their gaps are not counted, so that a
/// thousand events at once say no more than one.
const BURST: f64 = 60.0;
/// Bucket `n` holds gaps of up to `BURST * sqrt(2)^n`: the last one of up to 32 days.
const BUCKETS: usize = 32;
/// The quantile of the gaps that is usual.
const USUAL: f64 = 0.99;
/// A hook may be silent for so many usual gaps,
const USUAL_FACTOR: f64 = 3.0;
/// or for so many of the longest gap in the last weeks,
const LONGEST_FACTOR: f64 = 1.5;
/// or for this long: the longest of the three.
const SILENCE_MIN: f64 = 15.0 * 60.0;
/// A rhythm is known after this time,
const WATCHED_MIN: f64 = 7.0 * 86_400.0;
/// and after so many gaps.
const GAPS_MIN: u32 = 20;

/// The gaps of one hook. Its size is fixed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rhythm {
    hours: Hours,
    /// How many gaps had this length. Halved each week.
    gaps: [f32; BUCKETS],
    /// The longest gap of each of the last weeks, in seconds; the present week is first.
    longest: [f64; WEEKS],
    /// All gaps, up to `GAPS_MIN`.
    seen: u32,
    /// Since the last event, in the hours that count.
    quiet_s: f64,
    /// How long the hook was watched.
    watched_s: f64,
}

// === impl Rhythm ===

impl Default for Rhythm {
    fn default() -> Rhythm {
        Rhythm {
            hours: Hours::default(),
            gaps: [0.0; BUCKETS],
            longest: [0.0; WEEKS],
            seen: 0,
            quiet_s: 0.0,
            watched_s: 0.0,
        }
    }
}

impl Rhythm {
    /// Whether the state is one that this version can use.
    pub(crate) fn is_valid(&self) -> bool {
        self.hours.is_valid()
    }

    /// Goes on by `step`. `is_alarmed`: the alarm is open, so that a gap that ends now was no part
    /// of the rhythm.
    pub(crate) fn go_on(
        &mut self,
        now: SystemTime,
        step: Duration,
        has_event: bool,
        is_alarmed: bool,
    ) {
        let ended = self.hours.roll(now);
        if ended > WEEKS {
            // Nothing of what was learned is of these weeks. Or the clock was ahead.
            *self = Rhythm::default();
            self.hours.roll(now);
        }
        for _ in 0..ended.min(WEEKS) {
            self.gaps.iter_mut().for_each(|count| *count /= 2.0);
            self.longest.rotate_right(1);
            self.longest[0] = 0.0;
        }

        let step = step.as_secs_f64();
        self.watched_s += step;
        if self.hours.counts(now) {
            self.quiet_s += step;
        }
        if !has_event {
            return;
        }

        self.hours.mark(now);
        if self.quiet_s > BURST {
            self.gaps[bucket(self.quiet_s)] += 1.0;
            self.seen = (self.seen + 1).min(GAPS_MIN);
            if !is_alarmed {
                self.longest[0] = self.longest[0].max(self.quiet_s);
            }
        }
        self.quiet_s = 0.0;
    }

    /// For how long the hook has had no event, in the hours that count.
    pub(crate) fn quiet_s(&self) -> f64 {
        self.quiet_s
    }

    /// For how long it may have none. `None`: its rhythm is not known yet.
    pub(crate) fn allowed_s(&self) -> Option<f64> {
        if self.watched_s < WATCHED_MIN || self.seen < GAPS_MIN {
            return None;
        }
        let longest = self.longest.iter().copied().fold(0.0, f64::max);
        let allowed = (USUAL_FACTOR * self.usual_s()).max(LONGEST_FACTOR * longest);
        Some(allowed.max(SILENCE_MIN))
    }

    /// When the hook has been silent for too long, if no event arrives.
    pub(crate) fn silent_from(&self, now: SystemTime) -> Option<SystemTime> {
        self.hours.after(now, self.allowed_s()? - self.quiet_s)
    }

    /// The length that 99 of 100 gaps do not exceed.
    pub(crate) fn usual_s(&self) -> f64 {
        let all: f32 = self.gaps.iter().sum();
        let wanted = f64::from(all) * USUAL;
        let mut sum = 0.0;
        for (number, count) in self.gaps.iter().enumerate() {
            sum += f64::from(*count);
            if sum >= wanted {
                return bound(number);
            }
        }
        bound(BUCKETS - 1)
    }
}

fn bound(bucket: usize) -> f64 {
    BURST * std::f64::consts::SQRT_2.powi(bucket as i32)
}

fn bucket(seconds: f64) -> usize {
    (0..BUCKETS)
        .find(|number| seconds <= bound(*number))
        .unwrap_or(BUCKETS - 1)
}
