//! Components that were compiled and found bad. A refusal counts for all hooks that use the
//! component: an `init` can take seconds until it is refused, and a hundred hooks would each wait
//! for theirs, and delay all others.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::load_error::LoadError;
use landfall_model::lock;

/// How long a refusal counts.
const REFUSED_FOR: Duration = Duration::from_secs(300);

/// The refused components, by digest.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<String, Refusal>>);

/// Why a component was refused.
struct Refusal {
    message: String,
    until: Instant,
}

// === impl Refusals ===

impl Refusals {
    /// Why the component was refused, if that still counts.
    pub(super) fn find(&self, digest: &str) -> Option<String> {
        let refusals = lock(&self.0);
        let refusal = refusals.get(digest)?;
        (Instant::now() < refusal.until).then(|| refusal.message.clone())
    }

    /// Keeps an error of the component itself. One of the machine says nothing of the next attempt.
    pub(super) fn remember(&self, digest: &str, error: &LoadError) {
        if error.is_passing {
            return;
        }

        let now = Instant::now();
        let refusal = Refusal {
            message: error.message.clone(),
            until: now + REFUSED_FOR,
        };
        let mut refusals = lock(&self.0);
        refusals.retain(|_, refusal| now < refusal.until);
        refusals.insert(digest.into(), refusal);
    }
}
