//! The alarms of one hook: its state, and one verdict for each alarm.

use std::time::{Duration, SystemTime};

use landfall_model::clock::{from_ms, to_ms};
use landfall_model::{AlarmKind, ExpectedRate, HookActivity};
use serde::{Deserialize, Serialize};

use super::alarm::Change;
use super::backlog::{DeadLetters, Depths};
use super::challenge::Challenges;
use super::expected::Expected;
use super::latch::{Latches, Verdict};
use super::reading::{HookReading, HookRules, ShapeReading};
use super::refusals::UsualRefusals;
use super::rhythm::Rhythm;
use super::sentence::{counted, seconds, time};
use super::window::{Counts, Window};

/// So many slow answers in ten minutes open the alarm,
const SLOW_MIN: u64 = 3;
/// if they are more than one of so many answers: 1 %.
const SLOW_ONE_OF: u64 = 100;

/// What is remembered of a hook over a restart, and what is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct HookWatch {
    pub(crate) saved: SavedHook,
    window: Window,
    depths: Depths,
    /// What this node had counted at the last look.
    counted: HookActivity,
}

/// What is remembered of a hook over a restart. Its size is bounded.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SavedHook {
    pub(crate) latches: Latches,
    rhythm: Rhythm,
    #[serde(default)]
    expected: Expected,
    #[serde(default)]
    refusals: UsualRefusals,
    #[serde(default)]
    challenges: Challenges,
    #[serde(default)]
    dead_letters: DeadLetters,
    /// The number of the newest event in a shared ledger.
    #[serde(default)]
    newest_event: i64,
    /// The receiver that the hook file named at the last look, so that it hears of the end of an
    /// alarm also if the hook is removed.
    #[serde(default)]
    pub(crate) to: Option<String>,
    /// When the last look was, in milliseconds since 1970.
    #[serde(default)]
    looked_ms: i64,
}

// === impl SavedHook ===

impl SavedHook {
    /// Whether the state is one that this version can use.
    pub(crate) fn is_valid(&self) -> bool {
        self.rhythm.is_valid() && self.expected.is_valid()
    }
}

// === impl HookWatch ===

impl HookWatch {
    pub(crate) fn restored(saved: SavedHook) -> HookWatch {
        HookWatch {
            saved,
            ..HookWatch::default()
        }
    }

    /// What was counted so far is not new.
    pub(crate) fn begin_at(&mut self, activity: HookActivity) {
        self.counted = activity;
    }

    /// Compares a reading with the rules. `step` is the watched time since the last look.
    pub(crate) fn look(
        &mut self,
        hook: &str,
        rules: &HookRules,
        reading: &HookReading,
        now: SystemTime,
        step: Duration,
    ) -> Vec<Change> {
        let new = since(self.counted, reading.activity);
        self.counted = reading.activity;
        self.saved.to.clone_from(&rules.to);
        self.saved.looked_ms = to_ms(now);
        self.go_on(rules, reading, new, now, step);

        let mut changes = Vec::new();
        let kinds = AlarmKind::ALL.into_iter();
        for kind in kinds.filter(|kind| !kind.is_of_node()) {
            let change = if rules.is_on(kind) {
                let verdict = self.verdict(kind, hook, rules, reading, new, now, step);
                let latches = &mut self.saved.latches;
                latches.apply(hook, kind, verdict, now, step)
            } else {
                self.saved.latches.close(hook, kind, now)
            };
            changes.extend(change);
        }
        changes
    }

    /// When the alarm on silence opens if no event arrives. `None`: it is open, switched off, or
    /// the rhythm is not known yet.
    pub(crate) fn silent_from(&self, rules: &HookRules) -> Option<SystemTime> {
        let saved = &self.saved;
        if !rules.is_on(AlarmKind::Silence) || saved.latches.is_open(AlarmKind::Silence) {
            return None;
        }
        let looked = from_ms(saved.looked_ms);
        match rules.expect {
            Some(rate) => saved.expected.silent_from(rate, looked),
            None => saved.rhythm.silent_from(looked),
        }
    }

    /// Closes every alarm of a hook that no longer exists.
    pub(crate) fn end(&mut self, hook: &str, now: SystemTime) -> Vec<Change> {
        let kinds = AlarmKind::ALL.into_iter();
        kinds
            .filter_map(|kind| self.saved.latches.close(hook, kind, now))
            .collect()
    }

    fn go_on(
        &mut self,
        rules: &HookRules,
        reading: &HookReading,
        new: HookActivity,
        now: SystemTime,
        step: Duration,
    ) {
        let counts = Counts {
            requests: new.requests,
            refused: new.refused,
            slow: new.slow_answers,
            server_errors: new.server_errors,
        };
        self.window.add(counts, step);
        let saved = &mut self.saved;
        if !saved.latches.is_open(AlarmKind::Refusals) {
            saved.refusals.add(counts);
        }

        let newest = reading.newest_event.unwrap_or_default();
        let is_elsewhere = newest > saved.newest_event && saved.newest_event > 0;
        saved.newest_event = saved.newest_event.max(newest);
        let events = new.events.max(u64::from(is_elsewhere));

        let is_alarmed = saved.latches.is_open(AlarmKind::Silence);
        saved.rhythm.go_on(now, step, events > 0, is_alarmed);
        if let Some(rate) = rules.expect {
            saved.expected.go_on(rate, step, events);
        }
        saved
            .challenges
            .go_on(step, new.challenges, new.challenges_refused);
        if let Some(backlog) = reading.backlog {
            self.depths.go_on(backlog.pending, step);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one look at one alarm")]
    fn verdict(
        &mut self,
        kind: AlarmKind,
        hook: &str,
        rules: &HookRules,
        reading: &HookReading,
        new: HookActivity,
        now: SystemTime,
        step: Duration,
    ) -> Verdict {
        let saved = &mut self.saved;
        let sender = &rules.sender;
        match kind {
            AlarmKind::Silence => silence(saved, hook, rules),
            AlarmKind::Refusals => saved.refusals.verdict(&self.window, hook, sender),
            AlarmKind::SlowAnswers => slow_answers(&self.window, hook, rules),
            AlarmKind::Challenge => {
                let every = rules.challenge_every;
                saved.challenges.verdict(every, hook, sender)
            }
            AlarmKind::ServerErrors => server_errors(&self.window, hook, rules, new),
            AlarmKind::Backlog => {
                let queue_age = rules.queue_age;
                let is_paused = reading.is_paused;
                self.depths
                    .verdict(reading.backlog, queue_age, is_paused, hook)
            }
            AlarmKind::DeadLetters => saved.dead_letters.verdict(reading.backlog, step, hook),
            AlarmKind::Secret => secret(rules, reading, now),
            AlarmKind::Candidate => candidate(hook, reading),
            AlarmKind::Shape => shape(reading, hook),
            AlarmKind::Disk => Verdict::Clear,
        }
    }
}

/// What was counted between two readings. Counters begin anew if the hook was removed meanwhile.
fn since(before: HookActivity, now: HookActivity) -> HookActivity {
    let new = |before: u64, now: u64| now.checked_sub(before).unwrap_or(now);
    HookActivity {
        requests: new(before.requests, now.requests),
        events: new(before.events, now.events),
        refused: new(before.refused, now.refused),
        slow_answers: new(before.slow_answers, now.slow_answers),
        server_errors: new(before.server_errors, now.server_errors),
        challenges: new(before.challenges, now.challenges),
        challenges_refused: new(before.challenges_refused, now.challenges_refused),
    }
}

fn silence(saved: &SavedHook, hook: &str, rules: &HookRules) -> Verdict {
    let sender = &rules.sender;
    let hint = format!(
        "look at the webhook's settings and its last deliveries at {sender}; `landfall explain {hook}` lists what was refused"
    );
    if let Some(rate) = rules.expect {
        let Some(events) = saved.expected.missing(rate) else {
            let is_open = saved.latches.is_open(AlarmKind::Silence);
            let is_close = rate.events > 1 && saved.expected.missing(a_tenth_more(rate)).is_some();
            return if is_open && is_close {
                Verdict::Unsure
            } else {
                Verdict::Clear
            };
        };
        let every = time(rate.every);
        let sentence = if rate.events == 1 {
            let quiet = seconds(saved.expected.quiet_s());
            format!("no event for {quiet}; one is expected every {every}")
        } else {
            let events = counted(events, "event", "events");
            format!("{events} in {every}; {} are expected", rate.events)
        };
        return Verdict::raised(sentence, hint);
    }

    match saved.rhythm.allowed_s() {
        Some(allowed) if saved.rhythm.quiet_s() > allowed => Verdict::raised(
            format!(
                "no event for {} of its usual hours; 99 of 100 gaps are shorter than {}",
                seconds(saved.rhythm.quiet_s()),
                seconds(saved.rhythm.usual_s())
            ),
            hint,
        ),
        _ => Verdict::Clear,
    }
}

/// An open alarm needs some more events to close, so that it does not open again at the next look.
fn a_tenth_more(rate: ExpectedRate) -> ExpectedRate {
    ExpectedRate {
        events: rate.events + rate.events.div_ceil(10),
        ..rate
    }
}

fn slow_answers(window: &Window, hook: &str, rules: &HookRules) -> Verdict {
    let Some(slow_from) = rules.slow_from else {
        return Verdict::Clear;
    };
    let Counts { requests, slow, .. } = window.sum();
    if slow >= SLOW_MIN && slow * SLOW_ONE_OF > requests {
        return Verdict::raised(
            format!(
                "{slow} of {} in 10 minutes took longer than {}: {} does not wait much longer",
                counted(requests, "answer", "answers"),
                humantime::format_duration(slow_from),
                rules.sender
            ),
            format!(
                "`landfall events list --hook {hook} --slower {}s` lists them; mode = \"async\" \
                 answers before the handler runs",
                slow_from.as_secs().max(1)
            ),
        );
    }
    let is_calm = slow < SLOW_MIN || slow * SLOW_ONE_OF * 2 <= requests;
    if is_calm && window.is_full() {
        Verdict::Clear
    } else {
        Verdict::Unsure
    }
}

fn server_errors(window: &Window, hook: &str, rules: &HookRules, new: HookActivity) -> Verdict {
    if rules.retries != Some(false) || new.server_errors == 0 {
        return Verdict::Clear;
    }
    let errors = window.sum().server_errors;
    Verdict::raised(
        format!(
            "{} with a status from 500 on in 10 minutes: {} does not send these events again",
            counted(errors, "answer", "answers"),
            rules.sender
        ),
        format!(
            "`landfall explain {hook}` says why; then have {} send them again",
            rules.sender
        ),
    )
}

fn candidate(hook: &str, reading: &HookReading) -> Verdict {
    match &reading.candidate_problem {
        None => Verdict::Clear,
        Some(problem) => Verdict::raised(
            problem.clone(),
            format!(
                "`landfall candidate status {hook}` says more; put another version into its file, or remove [candidate]"
            ),
        ),
    }
}

fn shape(reading: &HookReading, hook: &str) -> Verdict {
    let Some(ShapeReading { open, first }) = &reading.shape else {
        return Verdict::Unsure;
    };
    let sentence = match open {
        0 => return Verdict::Clear,
        1 => first.clone(),
        open => {
            let others = counted(open - 1, "other difference", "other differences");
            format!("{first}; and {others}")
        }
    };
    Verdict::raised(
        sentence,
        format!(
            "`landfall shape {hook}` shows what was learned; `landfall shape {hook} --accept` makes \
             what comes now a part of it"
        ),
    )
}

fn secret(rules: &HookRules, reading: &HookReading, now: SystemTime) -> Verdict {
    let hint = "add a new secret beside the old one, change it at the provider, then remove the \
                old one";
    if let Some(end) = rules.secret_expires {
        let left = end.duration_since(now).unwrap_or_default();
        if left <= rules.secret_notice {
            let on = humantime::format_rfc3339_seconds(end);
            let sentence = if left.is_zero() {
                format!("the secret has expired on {on}")
            } else {
                format!("the secret expires on {on}, in {}", time(left))
            };
            return Verdict::raised(sentence, hint.to_owned());
        }
    }

    if let (Some(max), Some(age)) = (rules.secret_max_age, reading.secret_age) {
        let notice = rules.secret_notice.min(max / 4);
        if age + notice >= max {
            let (age, max) = (time(age), time(max));
            let sentence = format!("the newest secret is {age} old; it should not exceed {max}");
            return Verdict::raised(sentence, hint.to_owned());
        }
    }
    Verdict::Clear
}
