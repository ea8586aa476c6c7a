//! The way of an event through the node: received, verified, stored, each attempt with its calls, and
//! the answer to the caller.

use std::time::{Duration, SystemTime};

use landfall_model::Mode;
use serde_json::Value;

use super::attempt::{CALLS_MAX, call_view, effects};
use super::row::{Row, outcome_tone};
use super::values::{list, pairs};
use crate::api::Delivery;
use crate::state::Dashboard;
use crate::text;

/// A later attempt says nothing of the time at which the event was stored.
const STORED_MS_MAX: f64 = 10_000.0;
/// The most attempts of a delivery.
const ATTEMPTS_MAX: usize = 100;

/// A line of the timeline.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The time since the request had been read; empty if it is unknown.
    pub(super) offset: String,
    pub(super) what: String,
    pub(super) detail: String,
    pub(super) tone: &'static str,
    /// Whether the step is a part of the one before.
    pub(super) is_part: bool,
}

/// The time from which on the timeline counts: when the request of the event had been read.
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    /// The time of the event: its proof had been checked then.
    received_at: &'a str,
    /// How long the check took; zero if that is unknown.
    verify_ms: f64,
    /// No attempt starts before. Times of day are in whole milliseconds, so that their differences
    /// may say otherwise.
    earliest_ms: f64,
}

/// How a hook answers callers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    mode: Mode,
    /// The time in which it answers.
    within: Duration,
}

pub(super) fn timeline(
    shown: &Value,
    deliveries: &[Delivery],
    attempts: &[Value],
    received_at: &str,
    answers: Option<Answers>,
) -> Vec<Step> {
    let timing = &shown["timing"];
    let verify_ms = timing["verify_ms"].as_f64();
    let is_sync = answers.is_some_and(|answers| answers.mode == Mode::Sync);
    let earliest_ms = timing["stored_ms"].as_f64().filter(|_| !is_sync);
    let origin = Origin {
        received_at,
        verify_ms: verify_ms.unwrap_or(0.0),
        earliest_ms: earliest_ms.unwrap_or(0.0),
    };
    let began = verify_ms.map_or("", |_| "0 ms");
    let mut steps = vec![Step::new(began, "Received", String::new(), "plain")];
    steps.extend(verified(&shown["verdict"], verify_ms));
    for (number, one) in deliveries.iter().rev().enumerate() {
        let answers = answers.filter(|_| number == 0);
        let own: Vec<&Value> = attempts
            .iter()
            .filter(|attempt| attempt["delivery"].as_i64() == Some(one.delivery))
            .collect();
        let is_after_run = is_sync && number == 0;
        let first = own.first().filter(|_| number == 0 && !is_after_run);
        let first = first.and_then(|first| origin.ms_to_start(first));
        let stored_ms = timing["stored_ms"].as_f64().filter(|_| number == 0);
        let mut stored = stored(one, stored_ms, first);
        if is_after_run {
            stored.detail = "after the answer, because the mode of the hook is sync".to_owned();
        } else {
            steps.push(stored.clone());
        }
        if answers.is_some_and(|answers| answers.mode == Mode::Async) {
            let detail = "as soon as it was stored, because the mode of the hook is async";
            steps.push(Step::new("", "Answered", detail.to_owned(), "plain"));
        }
        for (number, attempt) in own.into_iter().take(ATTEMPTS_MAX).enumerate() {
            add_attempt(&mut steps, attempt, origin);
            let answers = answers.filter(|_| number == 0);
            steps.extend(answers.and_then(|answers| answers.step(attempt, origin)));
        }
        if is_after_run {
            steps.push(stored);
        }
        steps.push(last_step(one));
    }

    steps
}

/// How the sender was verified, and how long that took, if it is known.
fn verified(verdict: &Value, verify_ms: Option<f64>) -> Option<Step> {
    if verdict["key"] == "emit" {
        return None;
    }
    if verdict["scheme"] == "none" {
        let detail = "the hook accepts every caller".to_owned();
        return Some(Step::new("0 ms", "Not verified", detail, "busy"));
    }

    let key = verdict["key"].as_str()?;
    let scheme = verdict["scheme"].as_str().unwrap_or("a scheme");
    let provider = verdict["provider"].as_str().unwrap_or("no provider pack");
    let what = match key.rsplit_once('#') {
        Some((_, number)) => format!("Verified by key {}", text::line(number, 20)),
        None => format!("Verified by {}", text::line(key, 80)),
    };
    let mut detail = text::line(&format!("{scheme}, {provider}"), 120);
    let Some(ms) = verify_ms else {
        return Some(Step::new("0 ms", &what, detail, "good"));
    };
    let took = text::duration(ms);
    detail.push_str(&format!("; the check took {took}"));
    Some(Step::new(&format!("+{took}"), &what, detail, "good"))
}

/// When the event was stored. `stored_ms`: when its row was written, if that is known. `first`: the
/// start of its first attempt, if that was before the answer. The transaction was committed in
/// between.
fn stored(one: &Delivery, stored_ms: Option<f64>, first: Option<f64>) -> Step {
    let what = if one.replayed { "Replayed" } else { "Stored" };
    let what = format!("{what} as delivery {}", one.delivery);
    // An attempt may start long after.
    let first = first.filter(|ms| *ms < STORED_MS_MAX).map(after);
    match (stored_ms, first) {
        (Some(ms), first) => {
            let detail = first.map(|first| format!("on stable storage by {first}"));
            let offset = format!("+{}", text::duration(ms));
            Step::new(&offset, &what, detail.unwrap_or_default(), "plain")
        }
        (None, Some(first)) => Step::new(&format!("by {first}"), &what, String::new(), "plain"),
        (None, None) => Step::new("", &what, String::new(), "plain"),
    }
}

fn add_attempt(steps: &mut Vec<Step>, attempt: &Value, origin: Origin<'_>) {
    let outcome = attempt["outcome"].as_str().unwrap_or("unknown");
    let ms = attempt["duration_ms"].as_f64().unwrap_or(0.0);
    let number = attempt["number"].as_u64().unwrap_or(0);
    let what = format!("Attempt {number}: {}", text::line(outcome, 40));
    let mut detail = text::duration(ms);
    if let Some(reason) = attempt["reason"]
        .as_str()
        .filter(|reason| !reason.is_empty())
    {
        detail.push_str(&format!(": {}", text::line(reason, 300)));
    }

    steps.push(Step::new(
        &origin.ms_to_start(attempt).map_or_else(String::new, after),
        &what,
        detail,
        outcome_tone(outcome),
    ));
    let effects = effects(&attempt["record"]);
    if !effects.is_empty() {
        steps.push(Step::part("Effects".to_owned(), effects));
    }
    for call in list(&attempt["record"]["calls"]).iter().take(CALLS_MAX) {
        let call = call_view(call);
        steps.push(Step::part(call.line, call.result));
    }
}

/// How the hook answers callers now; `None` for an event without a caller.
pub(super) fn answers(dashboard: &Dashboard, hook: &str, shown: &Value) -> Option<Answers> {
    let attributes = pairs(&shown["event"]["attributes"]);
    if attributes.iter().any(|(name, _)| name == "emitted-by") {
        return None;
    }

    let hook = dashboard.setup.admin.hooks.named(hook)?;
    Some(Answers {
        mode: hook.spec.mode,
        within: match hook.spec.mode {
            Mode::Sync => hook.sync_limit(),
            Mode::Async | Mode::Auto => hook.queued_limit(),
        },
    })
}

/// How a delivery stands.
fn last_step(one: &Delivery) -> Step {
    let row = Row::new(one);
    let what = match one.state.as_str() {
        "done" => "Done".to_owned(),
        "dead" => "Dead: no further attempt is made".to_owned(),
        "running" => "Runs now".to_owned(),
        "filtered" => "Filtered by [filter] of the hook: it does not run".to_owned(),
        "superseded" => "Superseded by a later or earlier event of its group".to_owned(),
        "waiting" => match one.waits_for.as_deref() {
            Some("debounce") => "Waits until no other event of its group arrives".to_owned(),
            _ => "Waits for the batch".to_owned(),
        },
        _ => capitalised(&row.state),
    };
    let detail = [row.reason.as_str(), row.notes.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    Step::new("", &what, detail, row.tone)
}

/// The milliseconds between two times in RFC 3339.
fn ms_between(from: &str, to: &str) -> Option<f64> {
    let since = |text: &str| {
        let at = humantime::parse_rfc3339_weak(text).ok()?;
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(since.as_secs_f64() * 1000.0)
    };
    Some(since(to)? - since(from)?)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A time after the reception.
fn after(ms: f64) -> String {
    format!("+{}", text::duration(ms.max(0.0).round()))
}

// === impl Origin ===

impl Origin<'_> {
    /// The milliseconds until the start of an attempt, if both times are known.
    fn ms_to_start(self, attempt: &Value) -> Option<f64> {
        let started = attempt["started_at"].as_str()?;
        // The clock may have been set back.
        let ms = ms_between(self.received_at, started)?.max(0.0);
        Some((ms + self.verify_ms).max(self.earliest_ms))
    }
}

// === impl Answers ===

impl Answers {
    /// The answer after the first attempt; `None` in mode `async`, which answers before it.
    fn step(self, attempt: &Value, origin: Origin<'_>) -> Option<Step> {
        let waited = origin.ms_to_start(attempt)?;
        let ended = waited + attempt["duration_ms"].as_f64().unwrap_or(0.0);
        let is_done = attempt["outcome"] == "done";
        let is_in_time = ended <= self.within.as_secs_f64() * 1000.0;
        let detail = match (self.mode, is_done, is_in_time) {
            (Mode::Async, ..) => return None,
            (_, true, true) => match attempt["status"].as_u64() {
                Some(status) => format!("with the handler's reply, status {status}"),
                None => "as the provider expects it".to_owned(),
            },
            (Mode::Sync, _, false) => "with 504: the attempt took longer".to_owned(),
            (Mode::Sync, false, true) => "with a failure, which the mode sync passes on".to_owned(),
            (Mode::Auto, false, true) => "as accepted: the attempt failed".to_owned(),
            (Mode::Auto, _, false) => {
                let within = text::duration(self.within.as_secs_f64() * 1000.0);
                format!("as accepted after {within}: the attempt took longer")
            }
        };
        let ended = if is_in_time {
            after(ended)
        } else {
            String::new()
        };
        Some(Step::new(&ended, "Answered", detail, "plain"))
    }
}

// === impl Step ===

impl Step {
    fn new(offset: &str, what: &str, detail: String, tone: &'static str) -> Step {
        Step {
            offset: offset.to_owned(),
            what: what.to_owned(),
            detail,
            tone,
            is_part: false,
        }
    }

    fn part(what: String, detail: String) -> Step {
        Step {
            what,
            detail,
            is_part: true,
            ..Step::new("", "", String::new(), "plain")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORIGIN: Origin<'_> = Origin {
        received_at: "2026-01-31T08:15:30Z",
        verify_ms: 0.0,
        earliest_ms: 0.0,
    };

    #[test]
    fn answers_follow_the_mode() {
        let answers = |mode| Answers {
            mode,
            within: Duration::from_secs(8),
        };
        let attempt = |outcome, ms: f64, status: Option<u16>| {
            json!({ "outcome": outcome, "duration_ms": ms, "status": status,
                    "started_at": "2026-01-31T08:15:30.010Z" })
        };
        for (mode, attempt, offset, detail) in [
            (
                Mode::Auto,
                attempt("done", 20.0, Some(201)),
                "+30 ms",
                "with the handler's reply, status 201",
            ),
            (
                Mode::Auto,
                attempt("retry", 20.0, None),
                "+30 ms",
                "as accepted: the attempt failed",
            ),
            (
                Mode::Auto,
                attempt("done", 9_000.0, None),
                "",
                "as accepted after 8.0 s: the attempt took longer",
            ),
            (
                Mode::Sync,
                attempt("trap", 1.0, None),
                "+11 ms",
                "with a failure, which the mode sync passes on",
            ),
        ] {
            let step = answers(mode).step(&attempt, ORIGIN).unwrap();
            assert_eq!(
                (step.offset.as_str(), step.detail.as_str()),
                (offset, detail)
            );
        }
        let done = attempt("done", 1.0, None);
        assert!(answers(Mode::Async).step(&done, ORIGIN).is_none());
    }

    #[test]
    fn steps_have_their_times() {
        let verdict = json!({ "key": "signature#2", "scheme": "signature", "provider": "github" });
        let delivery = |delivery, replayed| Delivery {
            delivery,
            replayed,
            state: "done".into(),
            ..Delivery::default()
        };
        let attempts = [(1, "2026-01-31T08:15:30.004Z"), (2, "2026-01-31T08:15:39Z")];
        let attempts = attempts.map(|(delivery, started_at)| {
            json!({ "delivery": delivery, "number": 1, "started_at": started_at,
                    "duration_ms": 2.0, "outcome": "done", "record": {} })
        });
        let steps = |mode, timing: Value| -> Vec<(String, String)> {
            let answers = Answers {
                mode,
                within: Duration::from_secs(8),
            };
            let deliveries = [delivery(2, true), delivery(1, false)];
            let shown = json!({ "verdict": verdict, "timing": timing });
            let at = ORIGIN.received_at;
            let steps = timeline(&shown, &deliveries, &attempts, at, Some(answers));
            steps
                .into_iter()
                .map(|step| (step.offset, step.what))
                .collect()
        };
        let auto = steps(Mode::Auto, Value::Null);
        for (at, offset, what) in [
            (0, "", "Received"),
            (1, "0 ms", "Verified by key 2"),
            (2, "by +4 ms", "Stored as delivery 1"),
            (3, "+4 ms", "Attempt 1: done"),
            (4, "+6 ms", "Answered"),
            (5, "", "Done"),
            (6, "", "Replayed as delivery 2"),
            (7, "+9.0 s", "Attempt 1: done"),
        ] {
            assert_eq!(auto[at], (offset.to_owned(), what.to_owned()));
        }

        let timing = json!({ "verify_ms": 120.0, "stored_ms": 121.4 });
        let auto = steps(Mode::Auto, timing.clone());
        for (at, offset, what) in [
            (0, "0 ms", "Received"),
            (1, "+120 ms", "Verified by key 2"),
            (2, "+121 ms", "Stored as delivery 1"),
            (3, "+124 ms", "Attempt 1: done"),
            (7, "+9.1 s", "Attempt 1: done"),
        ] {
            assert_eq!(auto[at], (offset.to_owned(), what.to_owned()));
        }
        let sync = steps(Mode::Sync, timing);
        let stored = ("+121 ms".to_owned(), "Stored as delivery 1".to_owned());
        assert_eq!(sync[4], stored, "after the answer");
    }

    #[test]
    fn stored_events_have_two_times() {
        let one = Delivery {
            delivery: 7,
            ..Delivery::default()
        };
        for (stored_ms, first, offset, detail) in [
            (
                Some(0.41),
                Some(3.0),
                "+0.41 ms",
                "on stable storage by +3 ms",
            ),
            (Some(0.41), Some(20_000.0), "+0.41 ms", ""),
            (None, Some(3.0), "by +3 ms", ""),
            (None, None, "", ""),
        ] {
            let step = stored(&one, stored_ms, first);
            assert_eq!(
                (step.offset.as_str(), step.detail.as_str()),
                (offset, detail)
            );
        }
    }

    #[test]
    fn offsets_include_the_check() {
        let origin = Origin {
            verify_ms: 300.0,
            ..ORIGIN
        };
        let attempt = |at: &str| json!({ "started_at": at });
        let ms = origin.ms_to_start(&attempt("2026-01-31T08:15:30.120Z"));
        assert_eq!(ms.map(after).as_deref(), Some("+420 ms"));
        assert_eq!(origin.ms_to_start(&attempt("")), None);

        let late = Origin {
            earliest_ms: 420.6,
            ..origin
        };
        let ms = late.ms_to_start(&attempt("2026-01-31T08:15:30.120Z"));
        assert_eq!(ms.map(after).as_deref(), Some("+421 ms"));
    }
}
