//! Whether the events of a hook may run now: the operator's pause, the circuit breaker, the rate,
//! and the stop of the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use landfall_model::{Outcome, lock};

use super::circuit::Circuit;
use super::rate::Bucket;

/// The gates of all hooks.
#[derive(Default)]
pub(crate) struct Gate {
    hooks: Mutex<HashMap<Arc<str>, HookGate>>,
    is_stopping: AtomicBool,
}

/// The gate of one hook, while the process lives.
#[derive(Debug, Default)]
struct HookGate {
    is_paused: bool,
    circuit: Circuit,
    bucket: Option<Bucket>,
}

/// Why the events of a hook wait, if they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookStatus {
    /// An operator has paused the hook.
    pub is_paused: bool,
    /// Every attempt fails: the circuit is open.
    pub is_failing: bool,
}

// === impl Gate ===

impl Gate {
    pub(crate) fn status(&self, hook: &str) -> HookStatus {
        match lock(&self.hooks).get(hook) {
            None => HookStatus::default(),
            Some(gate) => HookStatus {
                is_paused: gate.is_paused,
                is_failing: gate.circuit.is_open(Instant::now()),
            },
        }
    }

    /// Whether no event of this hook may run now.
    pub(crate) fn is_closed(&self, hook: &str) -> bool {
        let status = self.status(hook);
        status.is_paused || status.is_failing
    }

    /// How many of `max` attempts of this hook may start now. They count as started.
    pub(crate) fn admit(&self, hook: &Arc<str>, max_rate: Option<f64>, max: usize) -> usize {
        if self.is_stopping() {
            return 0;
        }

        let now = Instant::now();
        self.with(hook, |gate| {
            let max = if gate.is_paused { 0 } else { max };
            let Some(rate) = max_rate else {
                return gate.circuit.begin(max, now);
            };
            let bucket = gate.bucket.get_or_insert_with(|| Bucket::new(rate, now));
            let within_rate = bucket.take(rate, max, now);
            let admitted = gate.circuit.begin(within_rate, now);
            bucket.put_back(within_rate - admitted);
            admitted
        })
    }

    /// This number of admitted attempts did not start after all.
    pub(crate) fn put_back(&self, hook: &Arc<str>, count: usize) {
        self.with(hook, |gate| {
            if let Some(bucket) = &mut gate.bucket {
                bucket.put_back(count);
            }
        });
    }

    /// Tells the circuit how an attempt ended. A rejection and a deferral are the handler's
    /// decision and no failure.
    pub(crate) fn record_outcome(&self, hook: &Arc<str>, outcome: &Outcome) {
        let is_failure = !matches!(
            outcome,
            Outcome::Done(_) | Outcome::Reject { .. } | Outcome::Defer { .. }
        );
        self.with(hook, |gate| {
            if !is_failure {
                gate.circuit = Circuit::default();
            } else if gate.circuit.failed(Instant::now()) {
                tracing::error!(
                    hook = &**hook,
                    "every attempt fails: the hook's events wait, and one is tried now and then"
                );
            }
        });
    }

    pub(crate) fn set_paused(&self, hook: &Arc<str>, is_paused: bool) {
        self.with(hook, |gate| gate.is_paused = is_paused);
    }

    /// These hooks are paused, and no others.
    pub(crate) fn set_all_paused(&self, paused: &[Arc<str>]) {
        let mut hooks = lock(&self.hooks);
        for (hook, gate) in hooks.iter_mut() {
            gate.is_paused = paused.contains(hook);
        }
        for hook in paused {
            hooks.entry(hook.clone()).or_default().is_paused = true;
        }
    }

    /// No attempt starts from now on.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn with<T>(&self, hook: &Arc<str>, act: impl FnOnce(&mut HookGate) -> T) -> T {
        let mut hooks = lock(&self.hooks);
        act(hooks.entry(hook.clone()).or_default())
    }
}
