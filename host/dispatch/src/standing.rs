//! Whether the events of a hook may be run now: the operator's pause, the circuit, the rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Delivery;
use super::circuit::Circuit;
use super::rate::Bucket;
use landfall_engine::Target;
use landfall_ledger::LedgerError;
use landfall_model::{
    CallResult, Event, EventId, LOG_WINDOW, LogDecision, OutboundCall, Outcome, RefusalLog,
    RefusedRequest,
};

/// What is known of one hook while the process lives.
#[derive(Debug, Default)]
pub struct Standing {
    is_paused: bool,
    circuit: Circuit,
    bucket: Option<Bucket>,
    /// Attempts since the start, by outcome.
    attempts: BTreeMap<&'static str, u64>,
    /// Outbound calls that were denied or failed, by the word for why.
    failed_calls: BTreeMap<&'static str, u64>,
    /// Since the start.
    repeats: RepeatCounts,
}

/// How often events of a hook came again since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepeatCounts {
    /// Duplicates that did not run.
    pub duplicates: u64,
    /// Duplicates of dead deliveries, which ran again.
    pub replayed: u64,
    /// Events with the identity of an earlier one and another body; they ran.
    pub conflicts: u64,
}

/// A delivery that came before.
pub(super) struct Repeat {
    /// The id that it would have got.
    pub event: EventId,
    /// Who called, as far as it is known.
    pub client_address: Option<String>,
}

// === impl Repeat ===

impl Repeat {
    pub fn of(event: &Event) -> Repeat {
        Repeat {
            event: event.id,
            client_address: event.attribute("client-address").map(str::to_owned),
        }
    }
}

/// The word for why a call was denied or failed.
fn failure(call: &OutboundCall) -> Option<&'static str> {
    match &call.result {
        CallResult::Answered { .. } => None,
        CallResult::Failed { error, .. } => Some(error),
    }
}

fn duplicate_hint(hook: &str, first: EventId, is_replayed: bool) -> String {
    match is_replayed {
        true => format!("`landfall events show {first}` shows how its attempts end"),
        false => format!(
            "a retry of the provider needs nothing; `landfall events replay {first}` runs the event again; if this was another \
             event, name the fields that tell them apart in `[dedup] id` of {hook}.toml, or write match = \"id-and-body\""
        ),
    }
}

/// Writes how many log lines were held back, when the window of the first of them is over.
pub(super) async fn log_suppressed(
    refusals: Arc<RefusalLog>,
    hook: Arc<str>,
    reason: &'static str,
    what: &'static str,
) {
    tokio::time::sleep(LOG_WINDOW).await;
    let suppressed = refusals.take_suppressed(&hook, reason, Instant::now());
    let seconds = LOG_WINDOW.as_secs();
    if suppressed > 0 {
        tracing::info!(
            hook = &*hook,
            suppressed,
            "{what} (and {suppressed} more in the last {seconds} s)"
        );
    }
}

impl Delivery {
    /// The operator wants the events of this hook to wait, or to wait no longer. It holds across restarts.
    pub async fn pause(&self, hook: &str, paused: bool) -> Result<(), LedgerError> {
        self.queue.ledger().pause(hook.to_owned(), paused).await?;
        let hook: Arc<str> = hook.into();
        self.standing(&hook, |standing| standing.is_paused = paused);
        self.queue.is_due(&hook, self.queue.ledger().now());
        Ok(())
    }

    /// Whether its events wait: by the operator's word, because it fails every time.
    pub fn waits(&self, hook: &str) -> (bool, bool) {
        let standings = self
            .standings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        standings.get(hook).map_or((false, false), |one| {
            (one.is_paused, one.circuit.is_open(Instant::now()))
        })
    }

    /// Whether nothing of this hook may begin now.
    pub(super) fn is_held(&self, hook: &Arc<str>) -> bool {
        let (is_paused, is_open) = self.waits(hook);
        is_paused || is_open
    }

    /// How many of `max` attempts of this hook may begin: they count as begun.
    pub(super) fn begin(&self, hook: &Arc<str>, target: &Target, max: usize) -> usize {
        if self.is_stopping.load(Ordering::Relaxed) {
            return 0;
        }
        let now = Instant::now();
        self.standing(hook, |standing| {
            let max = if standing.is_paused { 0 } else { max };
            let Some(rate) = target.max_rate else {
                return standing.circuit.begin(max, now);
            };
            let bucket = standing
                .bucket
                .get_or_insert_with(|| Bucket::new(rate, now));
            let within_rate = bucket.take(rate, max, now);
            let begun = standing.circuit.begin(within_rate, now);
            bucket.put_back(within_rate - begun);
            begun
        })
    }

    /// Those that were not begun after all.
    pub(super) fn not_begun(&self, hook: &Arc<str>, count: usize) {
        self.standing(hook, |standing| {
            if let Some(bucket) = &mut standing.bucket {
                bucket.put_back(count);
            }
        });
    }

    /// Attempts since the start: hook, outcome, how many.
    pub fn attempts(&self) -> Vec<(Arc<str>, &'static str, u64)> {
        let standings = self
            .standings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let of_one = |(hook, standing): (&Arc<str>, &Standing)| {
            standing
                .attempts
                .iter()
                .map(|(word, count)| (hook.clone(), *word, *count))
                .collect::<Vec<_>>()
        };
        standings.iter().flat_map(of_one).collect()
    }

    /// Outbound calls that were denied or failed since the start: hook, why, how many.
    pub fn failed_calls(&self) -> Vec<(Arc<str>, &'static str, u64)> {
        let standings = self
            .standings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let of_one = |(hook, standing): (&Arc<str>, &Standing)| {
            standing
                .failed_calls
                .iter()
                .map(|(word, count)| (hook.clone(), *word, *count))
                .collect::<Vec<_>>()
        };
        standings.iter().flat_map(of_one).collect()
    }

    pub(super) fn count(&self, hook: &Arc<str>, outcome: &Outcome) {
        self.standing(hook, |standing| {
            *standing.attempts.entry(outcome.word()).or_default() += 1
        });
    }

    pub(super) fn count_failed_calls(&self, hook: &Arc<str>, calls: &[OutboundCall]) {
        let mut errors = calls.iter().filter_map(failure).peekable();
        if errors.peek().is_none() {
            return;
        }
        self.standing(hook, |standing| {
            for error in errors {
                *standing.failed_calls.entry(error).or_default() += 1;
            }
        });
    }

    /// How often events came again since the start, by hook.
    pub fn repeats(&self) -> Vec<(Arc<str>, RepeatCounts)> {
        let standings = self
            .standings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        standings
            .iter()
            .map(|(hook, standing)| (hook.clone(), standing.repeats))
            .collect()
    }

    /// Counts and logs a duplicate, and keeps it among the refused requests, where `landfall explain` finds it.
    pub(super) fn record_duplicate(
        &self,
        hook: &Arc<str>,
        duplicate: Repeat,
        first: EventId,
        is_replayed: bool,
    ) {
        let Repeat {
            event,
            client_address,
        } = duplicate;
        let (reason, what) = match is_replayed {
            true => (
                "duplicate_of_dead",
                "duplicate of a dead delivery: the event runs again",
            ),
            false => ("duplicate", "duplicate delivery, not run again"),
        };
        let entry = RefusedRequest {
            at: humantime::format_rfc3339_millis(self.clock.now()).to_string(),
            hook: hook.to_string(),
            reason,
            status: None,
            detail: format!("the delivery has the identity of event {first}: {what}"),
            hint: Some(duplicate_hint(hook, first, is_replayed)),
            client_address,
        };
        match self.refusals.record(entry, Instant::now()) {
            LogDecision::Write => {
                tracing::info!(hook = &**hook, event = %first, duplicate = %event, "{what}")
            }
            LogDecision::Suppress => {}
            LogDecision::SuppressFirst => {
                tokio::spawn(log_suppressed(
                    self.refusals.clone(),
                    hook.clone(),
                    reason,
                    what,
                ));
            }
        }
        self.standing(hook, |standing| {
            standing.repeats.duplicates += u64::from(!is_replayed);
            standing.repeats.replayed += u64::from(is_replayed);
        });
    }

    pub(super) fn record_conflict(&self, hook: &Arc<str>, event: EventId, first: EventId) {
        tracing::warn!(hook = &**hook, %event, %first, "same delivery identity as an earlier event, different body: both run");
        self.standing(hook, |standing| standing.repeats.conflicts += 1);
    }

    pub(super) fn ended(&self, hook: &Arc<str>, outcome: &Outcome) {
        let well = matches!(outcome, Outcome::Done(_) | Outcome::Reject(_));
        self.standing(hook, |standing| {
            if well {
                standing.circuit = Circuit::default();
            } else if standing.circuit.failed(Instant::now()) {
                tracing::error!(
                    hook = &**hook,
                    "fails every time: its events wait, and one is tried now and then"
                );
            }
        });
    }

    /// Those that the operator has paused: before this start, or at another node.
    pub(super) async fn remember_pauses(&self) -> Result<(), LedgerError> {
        let paused: Vec<Arc<str>> = self
            .queue
            .ledger()
            .paused()
            .await?
            .into_iter()
            .map(Arc::from)
            .collect();
        let mut standings = self
            .standings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        standings
            .iter_mut()
            .for_each(|(hook, standing)| standing.is_paused = paused.contains(hook));
        for hook in paused {
            standings.entry(hook).or_default().is_paused = true;
        }
        Ok(())
    }

    fn standing<T>(&self, hook: &Arc<str>, act: impl FnOnce(&mut Standing) -> T) -> T {
        let mut standings = self
            .standings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        act(standings.entry(hook.clone()).or_default())
    }
}
