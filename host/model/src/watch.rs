//! What is watched of a hook: the alarms, the rules of `[watch]`, and what a node counts for them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::hook_name::HookName;

/// The hook under whose name the ledger keeps the state of the alarms. No hook file can have it.
pub const WATCH: &str = "_watch";

/// The alarms. Their words are the keys of `[watch]`, the label `alarm`, and `alarm` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// No event for longer than the hook's rhythm allows.
    Silence,
    /// Many senders are refused.
    Refusals,
    /// Answers take almost as long as the provider waits.
    SlowAnswers,
    /// A periodic ownership check has stopped, or fails.
    Challenge,
    /// A 5xx to a provider that does not send again.
    ServerErrors,
    /// Deliveries wait for too long, or more and more of them wait.
    Backlog,
    /// Deliveries became dead letters.
    DeadLetters,
    /// The disk of the data directory is almost full. An alarm of the node.
    Disk,
    /// A secret is about to expire, or old.
    Secret,
    /// A candidate was rolled back by a rule, or cannot be tried.
    Candidate,
    /// Events differ from the shape that was learned.
    Shape,
}

/// A declared rhythm: at least so many events in this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedRate {
    /// 1 to 1,000,000.
    pub events: u32,
    /// 1 s to 90 days.
    pub every: Duration,
}

/// A text that is not an expected rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a number of events in a time: write it as \"1 per 6h\", with 1 to 1000000 events in 1s to 90d",
    .0.escape_debug()
)]
pub struct ExpectedRateError(String);

/// Who is told of the alarms of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmReceiver {
    /// This hook receives them as events.
    Hook(HookName),
    /// No hook receives them.
    NoHook,
}

/// Which alarms are switched on or off. `None`: what the node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlarmSwitches([Option<bool>; AlarmKind::ALL.len()]);

/// `[watch]` of a hook file. `None` is what the node has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchSpec {
    /// The declared rhythm. `None`: it is learned.
    pub expect: Option<ExpectedRate>,
    /// Who is told.
    pub to: Option<AlarmReceiver>,
    /// How long a delivery may be due before `backlog` opens.
    pub queue_age: Option<Duration>,
    /// When the hook's secret ends.
    pub secret_expires: Option<SystemTime>,
    /// The age at which the hook's newest secret should be replaced.
    pub secret_max_age: Option<Duration>,
    /// The alarms that the hook file names.
    pub alarms: AlarmSwitches,
}

/// What one node has counted for a hook since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookActivity {
    /// Requests that were answered.
    pub requests: u64,
    /// Requests whose sender was verified.
    pub events: u64,
    /// Requests whose sender could not be verified.
    pub refused: u64,
    /// Answers that took longer than the limit for slow answers.
    pub slow_answers: u64,
    /// Answers with a status from 500 on.
    pub server_errors: u64,
    /// Ownership checks that were answered.
    pub challenges: u64,
    /// Periodic ownership checks that were refused.
    pub challenges_refused: u64,
}

// === impl AlarmKind ===

impl AlarmKind {
    /// Every alarm, in the order in which lists have them.
    pub const ALL: [AlarmKind; 11] = [
        AlarmKind::Silence,
        AlarmKind::Refusals,
        AlarmKind::SlowAnswers,
        AlarmKind::Challenge,
        AlarmKind::ServerErrors,
        AlarmKind::Backlog,
        AlarmKind::DeadLetters,
        AlarmKind::Disk,
        AlarmKind::Secret,
        AlarmKind::Candidate,
        AlarmKind::Shape,
    ];

    /// The word in settings, labels and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            AlarmKind::Silence => "silence",
            AlarmKind::Refusals => "refusals",
            AlarmKind::SlowAnswers => "slow_answers",
            AlarmKind::Challenge => "challenge",
            AlarmKind::ServerErrors => "server_errors",
            AlarmKind::Backlog => "backlog",
            AlarmKind::DeadLetters => "dead_letters",
            AlarmKind::Disk => "disk",
            AlarmKind::Secret => "secret",
            AlarmKind::Candidate => "candidate",
            AlarmKind::Shape => "shape",
        }
    }

    /// Whether it is an alarm of the node, not of a hook.
    pub const fn is_of_node(self) -> bool {
        matches!(self, AlarmKind::Disk)
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

// === impl ExpectedRate ===

impl FromStr for ExpectedRate {
    type Err = ExpectedRateError;

    fn from_str(text: &str) -> Result<ExpectedRate, ExpectedRateError> {
        const DAY: Duration = Duration::from_secs(86_400);
        let read = || {
            let (events, every) = text.split_once(" per ")?;
            let events: u32 = events.trim().parse().ok()?;
            let every = humantime::parse_duration(every.trim()).ok()?;
            let is_in_range = (1..=1_000_000).contains(&events)
                && (Duration::from_secs(1)..=90 * DAY).contains(&every);
            is_in_range.then_some(ExpectedRate { events, every })
        };
        read().ok_or_else(|| ExpectedRateError(text.to_owned()))
    }
}

// === impl AlarmSwitches ===

impl AlarmSwitches {
    /// With this alarm switched on or off; `None` leaves it to the node.
    pub fn with(mut self, kind: AlarmKind, is_on: Option<bool>) -> AlarmSwitches {
        self.0[kind as usize] = is_on;
        self
    }

    /// Whether the alarm is switched on or off here.
    pub fn get(self, kind: AlarmKind) -> Option<bool> {
        self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (text, expected) in [
            ("1 per 6h", Some((1, hours(6)))),
            ("100 per 1day", Some((100, hours(24)))),
            ("0 per 6h", None),
            ("1 per 91d", None),
            ("1 per 500ms", None),
            ("6h", None),
            ("one per 6h", None),
            ("", None),
        ] {
            let rate = text.parse::<ExpectedRate>().ok();
            assert_eq!(
                rate.map(|rate| (rate.events, rate.every)),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn words_are_those_of_json() {
        for (index, kind) in AlarmKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.word()));
        }
    }

    #[test]
    fn switches_are_independent() {
        let switches = AlarmSwitches::default().with(AlarmKind::Backlog, Some(false));
        assert_eq!(switches.get(AlarmKind::Backlog), Some(false));
        assert_eq!(switches.get(AlarmKind::Silence), None);
    }
}
