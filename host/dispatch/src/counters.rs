//! Counters since the start of the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use landfall_broker::DecodeError;
use landfall_model::{CallResult, OutboundCall, Outcome, lock};

#[derive(Default)]
pub(crate) struct Counters {
    hooks: Mutex<HashMap<Arc<str>, HookCounters>>,
    unreadable_messages: AtomicU64,
    unverified_messages: AtomicU64,
    dropped_records: AtomicU64,
}

#[derive(Debug, Default)]
struct HookCounters {
    /// Attempts by outcome.
    attempts: BTreeMap<&'static str, u64>,
    /// Outbound calls that were denied or failed, by error.
    failed_calls: BTreeMap<&'static str, u64>,
    repeats: RepeatCounts,
}

/// How often events of a hook came again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepeatCounts {
    /// Duplicates that did not run.
    pub duplicates: u64,
    /// Duplicates of dead deliveries, which ran again.
    pub replayed: u64,
    /// Events with the identity of an earlier one and another body; they ran.
    pub conflicts: u64,
}

// === impl Counters ===

impl Counters {
    pub(crate) fn count_attempt(&self, hook: &Arc<str>, outcome: &Outcome) {
        self.with(hook, |counters| {
            *counters.attempts.entry(outcome.word()).or_default() += 1;
        });
    }

    pub(crate) fn count_failed_calls(&self, hook: &Arc<str>, calls: &[OutboundCall]) {
        let mut errors = calls.iter().filter_map(failure).peekable();
        if errors.peek().is_none() {
            return;
        }
        self.with(hook, |counters| {
            for error in errors {
                *counters.failed_calls.entry(error).or_default() += 1;
            }
        });
    }

    pub(crate) fn count_duplicate(&self, hook: &Arc<str>, is_replayed: bool) {
        self.with(hook, |counters| {
            counters.repeats.duplicates += u64::from(!is_replayed);
            counters.repeats.replayed += u64::from(is_replayed);
        });
    }

    pub(crate) fn count_conflict(&self, hook: &Arc<str>) {
        self.with(hook, |counters| counters.repeats.conflicts += 1);
    }

    pub(crate) fn count_message(&self, error: &DecodeError) {
        let count = match error {
            DecodeError::Unverified(_) => &self.unverified_messages,
            DecodeError::Malformed(_) | DecodeError::Later(_) => &self.unreadable_messages,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped_record(&self) {
        self.dropped_records.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped_records(&self) -> u64 {
        self.dropped_records.load(Ordering::Relaxed)
    }

    /// Messages that were not run, by reason.
    pub(crate) fn refused_messages(&self) -> [(&'static str, u64); 2] {
        [
            (
                "unreadable",
                self.unreadable_messages.load(Ordering::Relaxed),
            ),
            (
                "unverified",
                self.unverified_messages.load(Ordering::Relaxed),
            ),
        ]
    }

    /// Attempts by hook and outcome.
    pub(crate) fn attempts(&self) -> Vec<(Arc<str>, &'static str, u64)> {
        self.collect(|counters| &counters.attempts)
    }

    /// Outbound calls that were denied or failed, by hook and error.
    pub(crate) fn failed_calls(&self) -> Vec<(Arc<str>, &'static str, u64)> {
        self.collect(|counters| &counters.failed_calls)
    }

    pub(crate) fn repeats(&self) -> Vec<(Arc<str>, RepeatCounts)> {
        let hooks = lock(&self.hooks);
        let repeats = hooks.iter();
        repeats
            .map(|(hook, counters)| (hook.clone(), counters.repeats))
            .collect()
    }

    fn collect(
        &self,
        counts: impl Fn(&HookCounters) -> &BTreeMap<&'static str, u64>,
    ) -> Vec<(Arc<str>, &'static str, u64)> {
        let mut all = Vec::new();
        for (hook, counters) in lock(&self.hooks).iter() {
            for (word, count) in counts(counters) {
                all.push((hook.clone(), *word, *count));
            }
        }
        all
    }

    fn with(&self, hook: &Arc<str>, act: impl FnOnce(&mut HookCounters)) {
        act(lock(&self.hooks).entry(hook.clone()).or_default());
    }
}

/// Why a call was denied or failed, in one word.
fn failure(call: &OutboundCall) -> Option<&'static str> {
    match &call.result {
        CallResult::Answered { .. } => None,
        CallResult::Failed { error, .. } => Some(error),
    }
}
