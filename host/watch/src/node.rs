//! The alarms of the node itself.

use std::time::{Duration, SystemTime};

use landfall_model::{AlarmKind, NO_HOOK};

use super::alarm::Change;
use super::latch::{Latches, Verdict};
use super::reading::NodeReading;
use super::sentence::mebibytes;

/// Compares a reading of the node with its limits.
pub(crate) fn look(
    latches: &mut Latches,
    reading: &NodeReading,
    now: SystemTime,
    step: Duration,
) -> Option<Change> {
    match reading.free_min {
        None => latches.close(NO_HOOK, AlarmKind::Disk, now),
        Some(min) => {
            let verdict = disk(reading.free_bytes, min);
            latches.apply(NO_HOOK, AlarmKind::Disk, verdict, now, step)
        }
    }
}

fn disk(free: Option<u64>, min: u64) -> Verdict {
    let Some(free) = free else {
        return Verdict::Unsure;
    };
    if free < min {
        return Verdict::raised(
            format!(
                "the disk of the data directory has {} left, less than {}",
                mebibytes(free),
                mebibytes(min)
            ),
            "lower ledger.max_size or enlarge the disk: below ledger.min_free_space no event is \
             accepted"
                .to_owned(),
        );
    }
    if free >= min + min / 4 {
        Verdict::Clear
    } else {
        Verdict::Unsure
    }
}
