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
pub(super) struct Step {
    /// The time since the event was verified; empty if it is unknown.
    pub(super) offset: String,
    pub(super) what: String,
    pub(super) detail: String,
    pub(super) tone: &'static str,
    /// Whether the step is a part of the one before.
    pub(super) is_part: bool,
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
    let mut steps = vec![Step::new("", "Received", String::new(), "plain")];
    steps.extend(verified(&shown["verdict"]));
    for (number, one) in deliveries.iter().rev().enumerate() {
        let answers = answers.filter(|_| number == 0);
        let what = if one.replayed { "Replayed" } else { "Stored" };
        let own: Vec<&Value> = attempts
            .iter()
            .filter(|attempt| attempt["delivery"].as_i64() == Some(one.delivery))
            .collect();
        let is_after_run = answers.is_some_and(|answers| answers.mode == Mode::Sync);
        let first = own.first().filter(|_| number == 0 && !is_after_run);
        steps.push(Step::new(
            &first.map_or_else(String::new, |first| stored_by(received_at, first)),
            &format!("{what} as delivery {}", one.delivery),
            if is_after_run {
                "after the answer, because the mode of the hook is sync".to_owned()
            } else {
                String::new()
            },
            "plain",
        ));
        if answers.is_some_and(|answers| answers.mode == Mode::Async) {
            let detail = "as soon as it was stored, because the mode of the hook is async";
            steps.push(Step::new("", "Answered", detail.to_owned(), "plain"));
        }
        for (number, attempt) in own.into_iter().take(ATTEMPTS_MAX).enumerate() {
            add_attempt(&mut steps, attempt, received_at);
            let answers = answers.filter(|_| number == 0);
            steps.extend(answers.and_then(|answers| answers.step(attempt, received_at)));
        }
        steps.push(last_step(one));
    }

    steps
}

/// How the sender was verified. The time of an event is that at which its proof had been checked.
fn verified(verdict: &Value) -> Option<Step> {
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
    let detail = text::line(&format!("{scheme}, {provider}"), 120);
    Some(Step::new("0 ms", &what, detail, "good"))
}

/// The latest time at which the event was stored: an event that is queued is stored before its first
/// attempt starts.
fn stored_by(received_at: &str, first: &Value) -> String {
    let started = first["started_at"].as_str().unwrap_or_default();
    match ms_between(received_at, started) {
        // An attempt may start long after.
        Some(ms) if ms < STORED_MS_MAX => format!("by {}", after(ms)),
        _ => String::new(),
    }
}

fn add_attempt(steps: &mut Vec<Step>, attempt: &Value, received_at: &str) {
    let outcome = attempt["outcome"].as_str().unwrap_or("unknown");
    let ms = attempt["duration_ms"].as_f64().unwrap_or(0.0);
    let started = attempt["started_at"].as_str().unwrap_or_default();
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
        &offset(received_at, started),
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

fn offset(from: &str, to: &str) -> String {
    ms_between(from, to).map_or_else(String::new, after)
}

// === impl Answers ===

impl Answers {
    /// The answer after the first attempt; `None` in mode `async`, which answers before it.
    fn step(self, attempt: &Value, received_at: &str) -> Option<Step> {
        let started = attempt["started_at"].as_str().unwrap_or_default();
        let waited = ms_between(received_at, started)?.max(0.0);
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
            let step = answers(mode)
                .step(&attempt, "2026-01-31T08:15:30Z")
                .unwrap();
            assert_eq!(
                (step.offset.as_str(), step.detail.as_str()),
                (offset, detail)
            );
        }
        let done = attempt("done", 1.0, None);
        assert!(
            answers(Mode::Async)
                .step(&done, "2026-01-31T08:15:30Z")
                .is_none()
        );
    }

    #[test]
    fn steps_have_their_times() {
        let shown = json!({ "verdict": { "key": "signature#2", "scheme": "signature", "provider": "github" } });
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
        let steps = |mode| -> Vec<(String, String)> {
            let answers = Answers {
                mode,
                within: Duration::from_secs(8),
            };
            let deliveries = [delivery(2, true), delivery(1, false)];
            let at = "2026-01-31T08:15:30Z";
            let steps = timeline(&shown, &deliveries, &attempts, at, Some(answers));
            steps
                .into_iter()
                .map(|step| (step.offset, step.what))
                .collect()
        };
        let auto = steps(Mode::Auto);
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
        assert_eq!(steps(Mode::Sync)[2].0, "");
    }

    #[test]
    fn offsets_count_from_the_reception() {
        assert_eq!(
            offset("2026-01-31T08:15:30.000Z", "2026-01-31T08:15:30.120Z"),
            "+120 ms"
        );
        assert_eq!(offset("", "2026-01-31T08:15:30Z"), "");
    }
}
