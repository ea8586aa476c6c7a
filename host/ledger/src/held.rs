//! Words and numbers of the tables for events that wait, the same in SQLite and Postgres.

/// The step of a group in the table `held`, and what held a delivery last (`flow`).
pub(crate) const DEBOUNCE: i64 = 1;
pub(crate) const BATCH: i64 = 2;
/// The filter of the hook has kept the event from running.
pub(crate) const FILTER: i64 = 3;
/// The batch of the delivery was split.
pub(crate) const ALONE: i64 = 4;
/// The flow was applied, and did not hold the delivery.
pub(crate) const PASSED: i64 = 5;

/// Why an event did not wait.
pub(crate) const NOT_HELD: &str =
    "it did not wait: the hook has as many open groups as it may have (docs/FLOW.md)";

/// Why an event that waited runs alone.
pub(crate) const STRANDED: &str =
    "it waited for a group that is lost or was damaged: it runs alone (docs/FLOW.md)";

/// No group is open for longer: `[debounce] maximum` and `[batch] time` are at most 7 days. A group
/// that would be due later is due now: its time is damaged, or the clock was set back since.
pub(crate) const LONGEST_MS: i64 = 8 * 86_400_000;

/// The most waiting deliveries that one step of `Deliveries::free_stranded` looks at.
pub(crate) const STRANDED_STEP: usize = 1000;

/// What one step of `Deliveries::free_stranded` has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stranded {
    /// Hooks, and how many of their deliveries were made due.
    pub freed: Vec<(String, usize)>,
    /// Where the next step goes on: hook and number of a delivery. `None`: this was the last step.
    pub next: Option<(String, i64)>,
}

// === impl Stranded ===

impl Stranded {
    /// Of a page of waiting deliveries, sorted: hook, number, and whether it was made due.
    pub(crate) fn of(page: Vec<(String, i64, bool)>) -> Stranded {
        let is_full = page.len() == STRANDED_STEP;
        let mut step = Stranded::default();
        for (hook, delivery, is_freed) in page {
            if is_freed {
                match step.freed.last_mut() {
                    Some((last, count)) if *last == hook => *count += 1,
                    _ => step.freed.push((hook.clone(), 1)),
                }
            }
            step.next = is_full.then_some((hook, delivery));
        }
        step
    }
}

/// What a waiting delivery waits for.
pub(crate) fn waits_for(flow: i64) -> &'static str {
    match flow {
        DEBOUNCE => "debounce",
        _ => "batch",
    }
}
