//! Whether the node has become ready. With `readiness = "all"` it waits until every hook file is
//! served, so that a rolling update with a broken file stops. A node that has been ready stays
//! ready: a later mistake must not take a working node out of service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::status::HookStatus;
use landfall_config::Readiness;
use landfall_model::lock;

/// Starts closed, opens once and stays open.
#[derive(Default)]
pub(crate) struct ReadinessGate {
    readiness: Readiness,
    is_open: AtomicBool,
    /// The hook files that were not served at the last update.
    not_served: Mutex<Vec<HookStatus>>,
}

// === impl ReadinessGate ===

impl ReadinessGate {
    pub(crate) fn new(readiness: Readiness) -> ReadinessGate {
        ReadinessGate {
            readiness,
            ..ReadinessGate::default()
        }
    }

    /// Called after each scan of the plugins directory, with the hook files that are not served.
    pub(crate) fn update(&self, not_served: Vec<HookStatus>) {
        if self.is_open.load(Ordering::Acquire) {
            return;
        }
        let is_open = self.readiness == Readiness::Any || not_served.is_empty();
        let is_changed = *self.not_served() != not_served;
        if is_open {
            tracing::info!("ready");
        } else if is_changed {
            let hooks = names(&not_served);
            tracing::error!(
                hooks,
                "the node is not ready, since these hook files are not served: fix or remove \
                 them, or set readiness = \"any\""
            );
        }
        *self.not_served() = not_served;
        self.is_open.store(is_open, Ordering::Release);
    }

    /// The hook files that the node waits for; `None` once it has been ready.
    pub(crate) fn waits_for(&self) -> Option<String> {
        (!self.is_open.load(Ordering::Acquire)).then(|| names(&self.not_served()))
    }

    fn not_served(&self) -> MutexGuard<'_, Vec<HookStatus>> {
        lock(&self.not_served)
    }
}

fn names(statuses: &[HookStatus]) -> String {
    statuses
        .iter()
        .map(|status| format!("{} ({})", status.name, status.state))
        .collect::<Vec<_>>()
        .join(", ")
}
