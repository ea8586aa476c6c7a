//! `[shape]` of a hook file: whether the shapes of its events are learned, and when they are known.

use std::time::Duration;

use serde::Deserialize;

use super::mistake::{Mistake, in_range, mistake};
use super::values::Time;
use landfall_model::ShapeSpec;

const EVENTS_MAX: u64 = 1_000_000;
const DAY: u64 = 86_400;

/// `[shape]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShapeTable {
    learn: Option<bool>,
    min_events: Option<u64>,
    min_time: Option<Time>,
    adopt_after: Option<Time>,
}

/// What is learned of a hook.
pub(crate) fn shape(table: ShapeTable) -> Result<ShapeSpec, Mistake> {
    if let Some(events) = table.min_events
        && !(1..=EVENTS_MAX).contains(&events)
    {
        return mistake(
            &["shape", "min_events"],
            format!("min_events = {events} is out of range: 1 to {EVENTS_MAX}"),
        );
    }
    // Zero is the only time below a second: the first event then ends the time.
    let min_time = match table.min_time {
        Some(time) if time.0.is_zero() => Some(Duration::ZERO),
        time => within(&["shape", "min_time"], time, 1, 90 * DAY)?,
    };
    let adopt_after = within(
        &["shape", "adopt_after"],
        table.adopt_after,
        3_600,
        365 * DAY,
    )?;
    Ok(ShapeSpec {
        learn: table.learn,
        min_events: table.min_events,
        min_time,
        adopt_after,
    })
}

fn within(
    key: &'static [&'static str],
    typed: Option<Time>,
    min_seconds: u64,
    max_seconds: u64,
) -> Result<Option<Duration>, Mistake> {
    typed
        .map(|time| in_range(key, Some(time), time.0, min_seconds, max_seconds))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ShapeSpec, String> {
        let table: ShapeTable = toml::from_str(text).map_err(|error| error.to_string())?;
        shape(table).map_err(|mistake| mistake.message)
    }

    #[test]
    fn a_whole_table_is_read() {
        let text = "learn = false\nmin_events = 20\nmin_time = \"0s\"\nadopt_after = \"30d\"\n";
        let spec = ShapeSpec {
            learn: Some(false),
            min_events: Some(20),
            min_time: Some(Duration::ZERO),
            adopt_after: Some(Duration::from_secs(30 * DAY)),
        };
        assert_eq!(read(text).unwrap(), spec);
        assert_eq!(read("").unwrap(), ShapeSpec::default());
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, words) in [
            ("min_events = 0", "out of range: 1 to 1000000"),
            ("min_time = \"91d\"", "out of range: 1s to 90d"),
            ("adopt_after = \"1s\"", "out of range: 1h to 365d"),
            ("reject = true", "unknown field `reject`"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
