//! The end of an attempt: the outcome of a failed call, and the record that is kept of the attempt.

use std::borrow::Cow;
use std::time::Duration;

use wasmtime::Store;

use super::caps::http::{ANSWER_BYTES_MAX, SENT_BYTES_MAX};
use super::caps::log::Lines;
use super::state::AttemptState;
use super::text::bounded;
use super::trap;
use landfall_model::{Attempt, CallResult, OutboundCall, Outcome};

/// The guest was still running at its deadline.
#[derive(Debug, thiserror::Error)]
#[error("still running at its deadline")]
pub(crate) struct DeadlinePassed;

/// The host holds more for the guest than its memory limit, in streams that it could not refuse.
#[derive(Debug, thiserror::Error)]
#[error("over its memory limit")]
pub(crate) struct MemoryOverdrawn;

pub(crate) fn is_deadline(error: &wasmtime::Error) -> bool {
    error.is::<DeadlinePassed>()
}

/// Whether the instance pool of the node had no free slot.
pub(crate) fn is_pool_full(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::PoolConcurrencyLimitError>()
}

/// The outcome of an attempt whose call failed.
pub(crate) fn outcome_of(error: &wasmtime::Error, state: &AttemptState) -> Outcome {
    let text = format!("{error:#}");

    if is_deadline(error) {
        Outcome::Timeout
    } else if state.limits.is_out_of_memory() {
        Outcome::OutOfMemory
    } else if is_pool_full(error) {
        Outcome::HostFault(bounded(&text))
    } else if text.contains("fuel allocated for hostcalls") || text.contains("resource table") {
        Outcome::OverLimit(bounded(&text))
    } else {
        Outcome::Trap(trap_reason(error, state))
    }
}

/// Why the component trapped, with the guest's last lines on standard error: the trap of a panic or
/// of an exception does not contain its message.
pub(crate) fn trap_reason(error: &wasmtime::Error, state: &AttemptState) -> String {
    trap::reason(error, state.log.lines().last_stderr())
}

/// The trap of a handler that ended too early, with the guest's last lines on standard error. A
/// JavaScript exception does not trap: the runtime prints it, and ends.
pub(crate) fn early_end(what: &str, state: &AttemptState) -> Outcome {
    Outcome::Trap(match state.log.lines().last_stderr() {
        Some(lines) => bounded(&format!("{lines}\n{what}")),
        None => what.to_owned(),
    })
}

/// Removes the secrets of the component's environment from the reason of an outcome.
pub(crate) fn redact_outcome(mut outcome: Outcome, store: &Store<AttemptState>) -> Outcome {
    if let Some(reason) = outcome.reason_mut() {
        redact(reason, &store.data().log.lines());
    }
    outcome
}

/// The record of an attempt that has ended.
pub(crate) fn record(
    outcome: Outcome,
    duration: Duration,
    mut store: Store<AttemptState>,
) -> Attempt {
    let outcome = redact_outcome(outcome, &store);
    let effects = store.data_mut().effects();
    let staged = (
        effects.rows.len(),
        effects.writes.len(),
        effects.emissions.len(),
    );

    let state = store.data();
    let memory_peak_bytes = state.limits.memory().peak();
    let http_calls = state.http.calls();
    let mut calls = state.http.recorded();
    for call in &mut calls {
        redact_call(call, &state.log.lines());
    }

    // The store goes first: the last lines of the guest's output are complete when its streams are
    // dropped.
    let AttemptState { log, .. } = store.into_data();
    let (log, log_truncated) = log.lines().take();
    Attempt {
        outcome,
        duration,
        log,
        log_truncated,
        memory_peak_bytes,
        http_calls,
        calls,
        staged,
        effects,
        recording: None,
    }
}

fn redact_call(call: &mut OutboundCall, lines: &Lines) {
    redact(&mut call.url, lines);
    redact_and_cut(&mut call.sent, SENT_BYTES_MAX, lines);
    match &mut call.result {
        CallResult::Answered { beginning, .. } => {
            redact_and_cut(beginning, ANSWER_BYTES_MAX, lines);
        }
        CallResult::Failed { reason, .. } => redact(reason, lines),
    }
}

fn redact_and_cut(text: &mut String, bytes_max: usize, lines: &Lines) {
    redact(text, lines);
    text.truncate(text.floor_char_boundary(bytes_max));
}

fn redact(text: &mut String, lines: &Lines) {
    let redacted = match lines.redacted(text) {
        Cow::Borrowed(_) => return,
        Cow::Owned(redacted) => redacted,
    };
    *text = redacted;
}
