//! What is read of a hook and of the node at one time, and the rules that hold for the hook.

use std::time::{Duration, SystemTime};

use landfall_model::{AlarmKind, ExpectedRate, HookActivity};

/// The rules of one hook: those of its hook file, its provider and the node.
#[derive(Debug, Clone, Default)]
pub struct HookRules {
    /// The declared rhythm. `None`: it is learned.
    pub expect: Option<ExpectedRate>,
    /// The alarms that are switched on.
    pub alarms: Vec<AlarmKind>,
    /// The receiver of alarms that the hook file names; `-` if it names none. `None`: that of the
    /// node.
    pub to: Option<String>,
    /// How the sender is called in sentences: the provider of the hook file, or "the sender".
    pub sender: String,
    /// Whether the sender sends a failed delivery again; `None` if that is unknown.
    pub retries: Option<bool>,
    /// How often the provider repeats its ownership check.
    pub challenge_every: Option<Duration>,
    /// The time from which on `HookActivity::slow_answers` counts an answer.
    pub slow_from: Option<Duration>,
    /// How long a delivery may be due.
    pub queue_age: Duration,
    /// When the secret ends.
    pub secret_expires: Option<SystemTime>,
    /// The age at which the newest secret should be replaced.
    pub secret_max_age: Option<Duration>,
    /// How long before its end a secret is reported.
    pub secret_notice: Duration,
}

/// What is read of one hook.
#[derive(Debug, Clone, Default)]
pub struct HookReading {
    /// What this node has counted since its start.
    pub activity: HookActivity,
    /// What waits. `None`: the ledger has not answered.
    pub backlog: Option<Backlog>,
    /// The number of the newest event that the provider sent, in a ledger that other nodes write
    /// to, too. Numbers grow, whatever the clocks of these nodes say.
    pub newest_event: Option<i64>,
    /// The age of the newest secret.
    pub secret_age: Option<Duration>,
    /// An operator has paused the hook.
    pub is_paused: bool,
    /// Why its candidate was rolled back by a rule, or cannot be tried.
    pub candidate_problem: Option<String>,
    /// How events differ from the shapes that were learned. `None`: that is not known yet.
    pub shape: Option<ShapeReading>,
}

/// The open differences of a hook's events from the shapes that were learned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShapeReading {
    /// How many there are.
    pub open: u64,
    /// The first of them, as a sentence without a period.
    pub first: String,
}

/// The deliveries of a hook that have not succeeded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backlog {
    /// Deliveries that wait.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// For how long the delivery has been due that has waited longest.
    pub overdue: Duration,
}

/// What is read of the node.
#[derive(Debug, Clone, Default)]
pub struct NodeReading {
    /// The free bytes of the data directory's disk. `None`: there is none, or it is not known.
    pub free_bytes: Option<u64>,
    /// Free bytes below which the alarm opens. `None`: the alarm is switched off.
    pub free_min: Option<u64>,
}

// === impl HookRules ===

impl HookRules {
    pub(crate) fn is_on(&self, kind: AlarmKind) -> bool {
        self.alarms.contains(&kind)
    }
}
