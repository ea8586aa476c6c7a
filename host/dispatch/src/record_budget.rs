//! How many successes without effects are recorded in mode `sync`. Recording all of them would cost
//! the node half of its throughput.

use std::sync::Mutex;
use std::time::Instant;

use landfall_model::lock;

const RECORDS_PER_SECOND: u32 = 200;

pub(crate) struct RecordBudget {
    began: Instant,
    /// A second since the start, and the records in it.
    used: Mutex<(u64, u32)>,
}

// === impl RecordBudget ===

impl RecordBudget {
    pub(crate) fn new(began: Instant) -> RecordBudget {
        RecordBudget {
            began,
            used: Mutex::default(),
        }
    }

    /// Whether one more success may be recorded in this second.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let second = now.duration_since(self.began).as_secs();
        let mut used = lock(&self.used);
        if used.0 != second {
            *used = (second, 0);
        }
        used.1 += 1;
        used.1 <= RECORDS_PER_SECOND
    }
}
