//! Alarms that open once and close once: an alarm stays open until its cause has been away for its
//! hold time. What has changed is kept as notices until the caller has passed them on.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use landfall_model::clock::{from_ms, to_ms};
use landfall_model::{AlarmKind, printable_start};
use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Change};

/// The most characters of a sentence, and of a hint. Both can quote what a sender or a component
/// has chosen.
const TEXT_MAX: usize = 1_000;
/// Notices of one hook that wait to be passed on. A further one replaces the oldest.
const NOTICES_MAX: usize = 32;

/// What a rule says of its alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something is wrong.
    Raised(Text),
    /// Neither wrong enough to open the alarm nor good enough to close it.
    Unsure,
    /// Nothing is wrong.
    Clear,
}

/// What is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) sentence: String,
    pub(crate) hint: String,
}

// === impl Verdict ===

impl Verdict {
    /// Both texts are bounded, and hidden characters that they quote are escaped.
    pub(crate) fn raised(sentence: String, hint: String) -> Verdict {
        Verdict::Raised(Text {
            sentence: printable_start(&sentence, TEXT_MAX),
            hint: printable_start(&hint, TEXT_MAX),
        })
    }
}

/// The alarms of one hook, or of the node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Latches {
    open: BTreeMap<AlarmKind, Open>,
    notices: Vec<Notice>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    since_ms: i64,
    sentence: String,
    hint: String,
    /// For how long the cause has been away.
    #[serde(default)]
    clear_s: f64,
}

/// An alarm has opened or closed, and its receiver may not know it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which alarm.
    pub alarm: AlarmKind,
    /// Whether it has opened; otherwise it has closed.
    pub is_open: bool,
    /// When it opened, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it opened or closed, in milliseconds since 1970.
    pub at_ms: i64,
    /// What is or was wrong.
    pub sentence: String,
    /// What to do.
    pub hint: String,
}

// === impl Latches ===

impl Latches {
    pub(crate) fn is_open(&self, kind: AlarmKind) -> bool {
        self.open.contains_key(&kind)
    }

    /// The open alarms.
    pub(crate) fn alarms(&self, hook: &str) -> Vec<Alarm> {
        let open = self.open.iter();
        open.map(|(kind, open)| open.alarm(hook, *kind)).collect()
    }

    pub(crate) fn notices(&self) -> &[Notice] {
        &self.notices
    }

    pub(crate) fn forget_notice(&mut self, notice: &Notice) {
        self.notices.retain(|kept| kept != notice);
    }

    /// Applies a verdict. `step` is the time since the last one.
    pub(crate) fn apply(
        &mut self,
        hook: &str,
        kind: AlarmKind,
        verdict: Verdict,
        now: SystemTime,
        step: Duration,
    ) -> Option<Change> {
        match verdict {
            Verdict::Unsure => None,
            Verdict::Raised(text) => {
                let Some(open) = self.open.get_mut(&kind) else {
                    return Some(self.open(hook, kind, text, now));
                };
                open.clear_s = 0.0;
                open.sentence = text.sentence;
                open.hint = text.hint;
                None
            }
            Verdict::Clear => {
                let open = self.open.get_mut(&kind)?;
                open.clear_s += step.as_secs_f64();
                if open.clear_s < hold(kind).as_secs_f64() {
                    return None;
                }
                self.close(hook, kind, now)
            }
        }
    }

    /// Closes an alarm at once.
    pub(crate) fn close(&mut self, hook: &str, kind: AlarmKind, now: SystemTime) -> Option<Change> {
        let open = self.open.remove(&kind)?;
        self.notify(Notice {
            alarm: kind,
            is_open: false,
            since_ms: open.since_ms,
            // The clock may have been set back.
            at_ms: to_ms(now).max(open.since_ms),
            sentence: open.sentence.clone(),
            hint: open.hint.clone(),
        });
        Some(Change {
            alarm: open.alarm(hook, kind),
            is_open: false,
        })
    }

    fn open(&mut self, hook: &str, kind: AlarmKind, text: Text, now: SystemTime) -> Change {
        let open = Open {
            since_ms: to_ms(now),
            sentence: text.sentence,
            hint: text.hint,
            clear_s: 0.0,
        };
        let alarm = open.alarm(hook, kind);
        self.notify(Notice {
            alarm: kind,
            is_open: true,
            since_ms: open.since_ms,
            at_ms: open.since_ms,
            sentence: open.sentence.clone(),
            hint: open.hint.clone(),
        });
        self.open.insert(kind, open);
        Change {
            alarm,
            is_open: true,
        }
    }

    fn notify(&mut self, notice: Notice) {
        if self.notices.len() >= NOTICES_MAX {
            self.notices.remove(0);
        }
        self.notices.push(notice);
    }
}

// === impl Open ===

impl Open {
    fn alarm(&self, hook: &str, kind: AlarmKind) -> Alarm {
        Alarm {
            hook: hook.to_owned(),
            alarm: kind,
            since: rfc3339(self.since_ms),
            sentence: self.sentence.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// Milliseconds since 1970 as text, such as `2026-01-31T08:15:30Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    humantime::format_rfc3339_seconds(from_ms(ms)).to_string()
}

/// For how long the cause of an alarm must be away before it closes.
fn hold(kind: AlarmKind) -> Duration {
    let minutes = match kind {
        AlarmKind::Silence
        | AlarmKind::Challenge
        | AlarmKind::DeadLetters
        | AlarmKind::Secret
        | AlarmKind::Candidate
        | AlarmKind::Shape => 0,
        AlarmKind::Refusals | AlarmKind::SlowAnswers | AlarmKind::Backlog | AlarmKind::Disk => 5,
        AlarmKind::ServerErrors => 30,
    };
    Duration::from_secs(minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_printable() {
        let quoted = "\u{202e}\n".repeat(9_000);
        let Verdict::Raised(Text { sentence, hint }) = Verdict::raised(quoted.clone(), quoted)
        else {
            panic!("it is raised");
        };
        for text in [sentence, hint] {
            assert!(text.chars().count() <= TEXT_MAX + 1, "{text}");
            assert!(!text.chars().any(landfall_model::is_hidden), "{text:?}");
        }
    }
}
