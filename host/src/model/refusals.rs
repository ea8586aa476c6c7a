//! The last refusals, for the operator: who asks why a provider's deliveries do not come in finds the answer here.

use std::collections::VecDeque;
use std::sync::Mutex;

/// The most that are kept.
const KEPT_MAX: usize = 200;

/// One request that was not let in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RefusedRequest {
    /// RFC 3339, UTC.
    pub at: String,
    /// The hook's name.
    pub hook: String,
    /// The word for it.
    pub reason: &'static str,
    /// How the request differs from what was expected.
    pub detail: String,
    /// What probably went wrong.
    pub hint: Option<String>,
    /// The other end of the connection.
    pub client_address: Option<String>,
}

/// The last of them.
#[derive(Debug, Default)]
pub struct RefusalLog {
    kept: Mutex<VecDeque<RefusedRequest>>,
}

// === impl RefusalLog ===

impl RefusalLog {
    /// Forgets the oldest where there is no room.
    pub fn push(&self, refused: RefusedRequest) {
        let mut kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(refused);
    }

    /// Newest first.
    pub fn last(&self) -> Vec<RefusedRequest> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().rev().cloned().collect()
    }
}
