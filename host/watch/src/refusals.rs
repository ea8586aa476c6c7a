//! A surge of refusals: many senders that cannot be verified, compared with what is usual.

use serde::{Deserialize, Serialize};

use super::latch::Verdict;
use super::sentence::counted;
use super::window::{Counts, Window};

/// So many refused requests in ten minutes open the alarm,
const REFUSED_MIN: u64 = 10;
/// if they are this share of all requests,
const SHARE_MIN: f64 = 0.2;
/// and so many times the usual share.
const USUAL_FACTOR: f64 = 3.0;
/// However many are usual, this share opens it.
const SHARE_MAX: f64 = 0.9;
/// With fewer refused requests, or with half of the share, it closes.
const REFUSED_FEW: u64 = 5;
/// The usual share is known after so many requests.
const REQUESTS_MIN: f64 = 100.0;

/// The share of refused requests that is usual, of at least the last 50,000 requests.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct UsualRefusals {
    requests: f64,
    refused: f64,
}

// === impl UsualRefusals ===

impl UsualRefusals {
    /// Adds requests from a time without the alarm.
    pub(crate) fn add(&mut self, counts: Counts) {
        self.requests += counts.requests as f64;
        self.refused += counts.refused as f64;
        // Old requests weigh less, and the numbers stay small.
        if self.requests > 100_000.0 {
            self.requests /= 2.0;
            self.refused /= 2.0;
        }
    }

    pub(crate) fn verdict(&self, window: &Window, hook: &str, sender: &str) -> Verdict {
        let Counts {
            requests, refused, ..
        } = window.sum();
        let share = refused as f64 / requests.max(1) as f64;
        let wanted = self.wanted_share();
        if refused >= REFUSED_MIN && share >= wanted {
            return Verdict::raised(
                format!(
                    "{refused} of {} in 10 minutes were refused: {sender} could not be verified",
                    counted(requests, "request", "requests")
                ),
                format!(
                    "`landfall explain {hook}` says why. Usually a secret was changed on one side: \
                     add the new one beside the old one"
                ),
            );
        }
        let is_calm = refused < REFUSED_FEW || share < wanted / 2.0;
        if is_calm && window.is_full() {
            Verdict::Clear
        } else {
            Verdict::Unsure
        }
    }

    fn wanted_share(&self) -> f64 {
        if self.requests < REQUESTS_MIN {
            return SHARE_MIN;
        }
        let usual = self.refused / self.requests;
        (USUAL_FACTOR * usual).clamp(SHARE_MIN, SHARE_MAX)
    }
}
