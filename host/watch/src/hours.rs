//! The hours of the week in which a hook usually has events. Silence counts only in these hours,
//! so that nights and weekends raise no alarm.

use std::time::{Duration, SystemTime};

use landfall_model::clock::to_ms;
use serde::{Deserialize, Serialize};

const HOURS: usize = 168;
const HOUR_SECONDS: i64 = 3_600;
const WEEK_SECONDS: i64 = HOURS as i64 * HOUR_SECONDS;
/// The weeks that are remembered, besides the present one.
pub(crate) const WEEKS: usize = 4;
/// The present week, and the weeks before it.
const WEEK_BITS: u8 = (1 << (WEEKS + 1)) - 1;
/// Before that, every hour counts.
const WEEKS_MIN: u8 = 2;
/// If fewer hours count, the hook has no usual hours, and every hour counts.
const COUNTED_MIN: usize = 24;

/// For each hour of the week (UTC), in which of the last weeks there was an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hours {
    /// Bit 0 is the present week, bit 1 the week before it, and so on.
    bits: Vec<u8>,
    /// The weeks before the present one that were watched, at most `WEEKS`.
    weeks: u8,
    /// The number of the present week since 1970.
    week: i64,
}

// === impl Hours ===

impl Default for Hours {
    fn default() -> Hours {
        Hours {
            bits: vec![0; HOURS],
            weeks: 0,
            week: 0,
        }
    }
}

impl Hours {
    /// Whether the state is one that this version can use.
    pub(crate) fn is_valid(&self) -> bool {
        self.bits.len() == HOURS && usize::from(self.weeks) <= WEEKS
    }

    /// Goes on to the week of `now`. Returns how many weeks have ended.
    pub(crate) fn roll(&mut self, now: SystemTime) -> usize {
        let week = seconds(now) / WEEK_SECONDS;
        if week + 1 == self.week {
            // The clock was set back a little, over the end of the week.
            return 0;
        }
        if self.week == 0 || week < self.week {
            self.week = week;
            return 0;
        }

        let ended = usize::try_from(week - self.week).unwrap_or(usize::MAX);
        self.week = week;
        for _ in 0..ended.min(WEEKS + 1) {
            self.bits
                .iter_mut()
                .for_each(|bits| *bits = (*bits << 1) & WEEK_BITS);
            self.weeks = (self.weeks + 1).min(WEEKS as u8);
        }
        ended
    }

    /// There was an event.
    pub(crate) fn mark(&mut self, now: SystemTime) {
        self.bits[hour(now)] |= 1;
    }

    /// Whether silence counts now.
    pub(crate) fn counts(&self, now: SystemTime) -> bool {
        self.weeks < WEEKS_MIN
            || self.is_counted(hour(now))
            || (0..HOURS).filter(|hour| self.is_counted(*hour)).count() < COUNTED_MIN
    }

    /// When this time has passed in the hours that count. `None`: not within the next weeks.
    pub(crate) fn after(&self, now: SystemTime, wanted_s: f64) -> Option<SystemTime> {
        let every_hour = self.weeks < WEEKS_MIN
            || (0..HOURS).filter(|hour| self.is_counted(*hour)).count() < COUNTED_MIN;
        let (mut at, mut left) = (now, wanted_s.max(0.0));
        for _ in 0..HOURS * (WEEKS + 1) {
            let in_hour = seconds(at) % HOUR_SECONDS;
            let span = (HOUR_SECONDS - in_hour) as f64;
            if every_hour || self.is_counted(hour(at)) {
                if left <= span {
                    return Some(at + Duration::from_secs_f64(left));
                }
                left -= span;
            }
            at += Duration::from_secs_f64(span);
        }
        None
    }

    fn is_counted(&self, hour: usize) -> bool {
        let neighbours = [hour + HOURS - 1, hour, hour + 1];
        neighbours.iter().all(|hour| self.is_busy(hour % HOURS))
    }

    /// Whether at least half of the watched weeks had an event in this hour.
    fn is_busy(&self, hour: usize) -> bool {
        let before = (self.bits[hour] >> 1) & ((1 << self.weeks) - 1);
        before.count_ones() * 2 >= u32::from(self.weeks)
    }
}

fn seconds(at: SystemTime) -> i64 {
    to_ms(at) / 1000
}

fn hour(at: SystemTime) -> usize {
    usize::try_from(seconds(at) / HOUR_SECONDS).unwrap_or_default() % HOURS
}
