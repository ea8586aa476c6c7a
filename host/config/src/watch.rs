//! `[watch]` of a hook file: the rhythm of the hook, its alarms, and who is told.

use std::time::Duration;

use serde::Deserialize;

use super::mistake::{Mistake, in_range, mistake};
use super::node_settings::NodeWatchTable;
use super::values::{Parsed, Time, UtcTime};
use landfall_model::{AlarmKind, AlarmReceiver, AlarmSwitches, ExpectedRate, HookName, WatchSpec};

/// What `to` says if no hook is told.
const NO_RECEIVER: &str = "-";
const DAY: u64 = 86_400;

/// `[watch]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchTable {
    expect: Option<Parsed<ExpectedRate>>,
    to: Option<String>,
    queue_age: Option<Time>,
    secret_expires: Option<Parsed<UtcTime>>,
    secret_max_age: Option<Time>,
    silence: Option<bool>,
    refusals: Option<bool>,
    slow_answers: Option<bool>,
    challenge: Option<bool>,
    server_errors: Option<bool>,
    backlog: Option<bool>,
    dead_letters: Option<bool>,
    secret: Option<bool>,
    candidate: Option<bool>,
    shape: Option<bool>,
}

/// What is watched of a hook.
pub(crate) fn watch(table: WatchTable) -> Result<WatchSpec, Mistake> {
    let to = match table.to.as_deref() {
        None => None,
        Some(NO_RECEIVER) => Some(AlarmReceiver::NoHook),
        Some(name) => match name.parse::<HookName>() {
            Ok(name) => Some(AlarmReceiver::Hook(name)),
            Err(error) => return mistake(&["watch", "to"], error.to_string()),
        },
    };
    let queue_age = time(&["watch", "queue_age"], table.queue_age, 1, 30 * DAY)?;
    let max_age = table.secret_max_age;
    let secret_max_age = time(&["watch", "secret_max_age"], max_age, DAY, 3650 * DAY)?;
    Ok(WatchSpec {
        expect: table.expect.as_ref().map(|rate| rate.0),
        to,
        queue_age,
        secret_expires: table.secret_expires.as_ref().map(|time| time.0.0),
        secret_max_age,
        alarms: table.switches(),
    })
}

fn time(
    key: &'static [&'static str],
    typed: Option<Time>,
    min_seconds: u64,
    max_seconds: u64,
) -> Result<Option<Duration>, Mistake> {
    typed
        .map(|time| in_range(key, Some(time), time.0, min_seconds, max_seconds))
        .transpose()
}

// === impl WatchTable ===

impl WatchTable {
    fn switches(&self) -> AlarmSwitches {
        AlarmSwitches::default()
            .with(AlarmKind::Silence, self.silence)
            .with(AlarmKind::Refusals, self.refusals)
            .with(AlarmKind::SlowAnswers, self.slow_answers)
            .with(AlarmKind::Challenge, self.challenge)
            .with(AlarmKind::ServerErrors, self.server_errors)
            .with(AlarmKind::Backlog, self.backlog)
            .with(AlarmKind::DeadLetters, self.dead_letters)
            .with(AlarmKind::Secret, self.secret)
            .with(AlarmKind::Candidate, self.candidate)
            .with(AlarmKind::Shape, self.shape)
    }
}

// === impl NodeWatchTable ===

impl NodeWatchTable {
    /// Whether this alarm is on for hooks whose file does not switch it.
    pub fn is_on(&self, kind: AlarmKind) -> bool {
        match kind {
            AlarmKind::Silence => self.silence,
            AlarmKind::Refusals => self.refusals,
            AlarmKind::SlowAnswers => self.slow_answers,
            AlarmKind::Challenge => self.challenge,
            AlarmKind::ServerErrors => self.server_errors,
            AlarmKind::Backlog => self.backlog,
            AlarmKind::DeadLetters => self.dead_letters,
            AlarmKind::Disk => self.disk,
            AlarmKind::Secret => self.secret,
            AlarmKind::Candidate => self.candidate,
            AlarmKind::Shape => self.shape,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WatchSpec, String> {
        let table: WatchTable = toml::from_str(text).map_err(|error| error.to_string())?;
        watch(table).map_err(|mistake| mistake.message)
    }

    #[test]
    fn a_whole_table_is_read() {
        let text = "expect = \"1 per 6h\"\nto = \"alerts\"\nqueue_age = \"1m\"\n\
                    secret_expires = \"2027-01-31T00:00:00Z\"\nsecret_max_age = \"90d\"\nbacklog = false\n";
        let spec = read(text).unwrap();
        assert_eq!(spec.expect, "1 per 6h".parse().ok());
        assert_eq!(
            spec.to,
            Some(AlarmReceiver::Hook("alerts".parse().unwrap()))
        );
        assert_eq!(spec.queue_age, Some(Duration::from_secs(60)));
        assert_eq!(spec.secret_max_age, Some(Duration::from_secs(90 * DAY)));
        assert!(spec.secret_expires.is_some());
        assert_eq!(spec.alarms.get(AlarmKind::Backlog), Some(false));
        assert_eq!(spec.alarms.get(AlarmKind::Silence), None);
        assert_eq!(read("to = \"-\"").unwrap().to, Some(AlarmReceiver::NoHook));
        assert_eq!(read("").unwrap(), WatchSpec::default());
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, words) in [
            ("expect = \"6h\"", "write it as \"1 per 6h\""),
            ("to = \"_watch\"", "cannot name a hook"),
            ("queue_age = \"90d\"", "out of range: 1s to 30d"),
            ("secret_max_age = \"1h\"", "out of range: 1d to 3650d"),
            ("disk = false", "unknown field `disk`"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
