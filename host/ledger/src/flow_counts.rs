//! What the flow of hooks has done with events, counted where it is decided: in the transaction
//! that stores the event, or that closes its group. A transaction that is rolled back counts
//! nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use landfall_model::lock;

/// What a step of the flow has done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowStep {
    /// A condition does not hold: the event does not run.
    Filtered,
    /// The event waits in a debounced group.
    Debounced,
    /// The event is in a batch.
    Batched,
    /// The event did not wait, because its hook has as many open groups as it may have.
    Unheld,
    /// The row of an open group could not be read, and was removed. Its events run alone.
    Damaged,
}

/// How often a step of one hook has done this since the last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCount {
    /// The hook.
    pub hook: String,
    /// What was done.
    pub step: FlowStep,
    /// How often, at least once.
    pub count: usize,
}

/// What one transaction has done, until it is committed.
#[derive(Debug, Default)]
pub(crate) struct FlowNotes(Vec<FlowCount>);

/// What all transactions of this ledger have done since the last report.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlowCounts(Arc<Mutex<BTreeMap<(String, FlowStep), usize>>>);

// === impl FlowStep ===

impl FlowStep {
    /// The word of the metric `landfall_flow_total`.
    pub fn word(self) -> &'static str {
        match self {
            FlowStep::Filtered => "filtered",
            FlowStep::Debounced => "debounced",
            FlowStep::Batched => "batched",
            FlowStep::Unheld => "unheld",
            FlowStep::Damaged => "damaged",
        }
    }
}

// === impl FlowNotes ===

impl FlowNotes {
    pub(crate) fn add(&mut self, hook: &str, step: FlowStep) {
        self.add_times(hook, step, 1);
    }

    pub(crate) fn add_times(&mut self, hook: &str, step: FlowStep, count: usize) {
        if count > 0 {
            let hook = hook.to_owned();
            self.0.push(FlowCount { hook, step, count });
        }
    }

    pub(crate) fn append(&mut self, mut other: FlowNotes) {
        self.0.append(&mut other.0);
    }

    /// What the function `hold` of Postgres returns: the sum of 1 filtered, 2 debounced, 4 batched,
    /// 8 not held, 16 damaged.
    pub(crate) fn add_sum(&mut self, hook: &str, sum: i32) {
        for (bit, step) in [
            (1, FlowStep::Filtered),
            (2, FlowStep::Debounced),
            (4, FlowStep::Batched),
            (8, FlowStep::Unheld),
            (16, FlowStep::Damaged),
        ] {
            if sum & bit != 0 {
                self.add(hook, step);
            }
        }
    }
}

// === impl FlowCounts ===

impl FlowCounts {
    /// Adds what a committed transaction has done.
    pub(crate) fn add(&self, notes: FlowNotes) {
        if notes.0.is_empty() {
            return;
        }
        let mut counts = lock(&self.0);
        for FlowCount { hook, step, count } in notes.0 {
            *counts.entry((hook, step)).or_default() += count;
        }
    }

    pub(crate) fn take(&self) -> Vec<FlowCount> {
        let taken = std::mem::take(&mut *lock(&self.0));
        taken
            .into_iter()
            .map(|((hook, step), count)| FlowCount { hook, step, count })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_steps_are_counted_once() {
        let counts = FlowCounts::default();
        for _ in 0..2 {
            let mut notes = FlowNotes::default();
            notes.add_sum("h", 4 + 8);
            counts.add(notes);
        }
        let count = |step| FlowCount {
            hook: "h".into(),
            step,
            count: 2,
        };
        assert_eq!(
            counts.take(),
            [count(FlowStep::Batched), count(FlowStep::Unheld)]
        );
        assert!(counts.take().is_empty());
    }
}
