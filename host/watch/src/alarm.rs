//! An open alarm, and the change when one opens or closes.

use landfall_model::{AlarmKind, NO_HOOK};
use serde::Serialize;

/// An alarm that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The hook; `-` for an alarm of the node.
    pub hook: String,
    /// Which alarm.
    pub alarm: AlarmKind,
    /// When it opened, in RFC 3339.
    pub since: String,
    /// What is wrong.
    pub sentence: String,
    /// What to do.
    pub hint: String,
}

// === impl Alarm ===

impl Alarm {
    /// The page of the dashboard that shows more.
    pub fn page(&self) -> String {
        page(&self.hook, self.alarm)
    }
}

/// An alarm has opened or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The alarm. If it has closed, as it was last.
    pub alarm: Alarm,
    /// Whether it is open now.
    pub is_open: bool,
}

/// The page of the dashboard that shows more.
pub(crate) fn page(hook: &str, alarm: AlarmKind) -> String {
    match alarm {
        _ if hook == NO_HOOK => "/".to_owned(),
        AlarmKind::Silence
        | AlarmKind::Refusals
        | AlarmKind::Challenge
        | AlarmKind::ServerErrors => format!("/why?hook={hook}"),
        AlarmKind::DeadLetters => format!("/failures?hook={hook}"),
        AlarmKind::SlowAnswers | AlarmKind::Backlog => format!("/events?q=hook:{hook}"),
        AlarmKind::Candidate => format!("/components/{hook}"),
        AlarmKind::Secret | AlarmKind::Disk => format!("/#hook-{hook}"),
        AlarmKind::Shape => format!("/shape?hook={hook}"),
    }
}
