//! The record of an attempt: what the ledger stores, a log line, and one log line for each that the
//! handler wrote.

use serde_json::{Value, json};
use tracing::field::display;

use landfall_ledger::{AttemptRecord, NewEvent};
use landfall_model::{Attempt, CallResult, Event, OutboundCall, Outcome};

/// The record that the ledger stores. `digest`: of the component. `emitted`: the events for other
/// hooks.
pub(crate) fn build(
    attempt: &Attempt,
    started_ms: i64,
    digest: &str,
    emitted: &[NewEvent],
) -> AttemptRecord {
    let log: Vec<_> = attempt
        .log
        .iter()
        .map(|line| json!([line.level, line.text]))
        .collect();
    let emitted = emitted.iter().map(|new| new.stored.event());
    let record = json!({
        "log": log,
        "log_truncated": attempt.log_truncated,
        "memory_bytes": attempt.memory_peak_bytes,
        "http_calls": attempt.http_calls,
        "calls": attempt.calls.iter().map(call).collect::<Vec<_>>(),
        "rows": attempt.staged.0,
        "kv_writes": attempt.staged.1,
        "emitted": attempt.staged.2,
        "emitted_events": emitted.map(|event| json!([event.id.to_string(), &*event.hook])).collect::<Vec<_>>(),
        "component": digest,
    });
    AttemptRecord {
        started_ms,
        duration_us: attempt.duration.as_micros() as i64,
        outcome: attempt.outcome.word(),
        reason: attempt.outcome.reason().to_owned(),
        status: attempt.outcome.reply().map(|reply| reply.status),
        record: record.to_string(),
    }
}

fn call(call: &OutboundCall) -> Value {
    let OutboundCall {
        method,
        url,
        // What was sent is for `landfall dev` only: the ledger does not keep what a handler makes
        // of an event.
        sent_bytes: _,
        sent: _,
        // For the span of the call.
        trace: _,
        duration,
        result,
        repeated,
    } = call;
    let ms = (duration.as_secs_f64() * 10_000.0).round() / 10.0;
    match result {
        CallResult::Answered {
            status,
            bytes,
            beginning,
        } => {
            json!({ "method": method, "url": url, "ms": ms, "status": status, "answer_bytes": bytes, "answer": beginning })
        }
        CallResult::Failed { error, reason } if *repeated > 0 => {
            json!({ "method": method, "url": url, "ms": ms, "error": error, "reason": reason, "repeated": repeated })
        }
        CallResult::Failed { error, reason } => {
            json!({ "method": method, "url": url, "ms": ms, "error": error, "reason": reason })
        }
    }
}

/// Whether an attempt has nothing to log but its success, and the log has no line for that.
fn is_silent(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Done(_))
        && attempt.log.is_empty()
        && attempt.calls.is_empty()
        && !attempt.log_truncated
        && !tracing::enabled!(tracing::Level::INFO)
}

/// Logs an attempt. Done attempts are `info`, others `warn` or worse.
pub(crate) fn log(event: &Event, number: u32, attempt: &Attempt) {
    if is_silent(attempt) {
        return;
    }

    let (hook, event_id) = (&*event.hook, display(event.id));
    for line in &attempt.log {
        let text = line.text.as_str();
        match line.level {
            "trace" => tracing::trace!(target: "handler", hook, event = &event_id, "{text}"),
            "debug" => tracing::debug!(target: "handler", hook, event = &event_id, "{text}"),
            "info" => tracing::info!(target: "handler", hook, event = &event_id, "{text}"),
            "warn" => tracing::warn!(target: "handler", hook, event = &event_id, "{text}"),
            _ => tracing::error!(target: "handler", hook, event = &event_id, "{text}"),
        }
    }
    for OutboundCall {
        method,
        url,
        result,
        repeated,
        ..
    } in &attempt.calls
    {
        let CallResult::Failed { error, reason } = result else {
            continue;
        };
        let repeated = (*repeated > 0).then_some(*repeated);
        tracing::warn!(
            hook,
            event = &event_id,
            number,
            method,
            url,
            error,
            reason,
            repeated,
            "outbound call failed"
        );
    }
    if attempt.log_truncated {
        tracing::warn!(target: "handler", hook, event = &event_id, "…more lines than an attempt may write: dropped");
    }
    let outcome = attempt.outcome.word();
    let duration_ms = attempt.duration.as_micros() as f64 / 1000.0;
    let memory_kib = attempt.memory_peak_bytes / 1024;
    // The number of the secret in the hook file: after a rotation, it shows when the old secret is
    // no longer used.
    let verified_by = event
        .attributes
        .iter()
        .find(|(name, _)| name == "verified-by")
        .map(|(_, key)| key.as_str());
    let traceparent = event.attribute("traceparent");
    let (calls, rows, reason) = (
        attempt.http_calls,
        attempt.staged.0,
        attempt.outcome.reason(),
    );
    match &attempt.outcome {
        Outcome::Done(reply) => {
            let status = reply.as_ref().map(|reply| reply.status);
            tracing::info!(
                hook,
                event = &event_id,
                number,
                outcome,
                verified_by,
                status,
                duration_ms,
                memory_kib,
                calls,
                rows,
                traceparent,
                "attempt"
            );
        }
        Outcome::HostFault(_) => {
            tracing::error!(
                hook,
                event = &event_id,
                number,
                outcome,
                reason,
                duration_ms,
                memory_kib,
                calls,
                traceparent,
                "attempt"
            );
        }
        _ => {
            tracing::warn!(
                hook,
                event = &event_id,
                number,
                outcome,
                reason,
                duration_ms,
                memory_kib,
                calls,
                traceparent,
                "attempt"
            );
        }
    }
}
