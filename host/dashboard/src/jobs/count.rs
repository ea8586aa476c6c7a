//! How many deliveries a job has to handle, and the dry run before it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use landfall_admin::{Caller, InProcess};
use serde_json::{Value, json};

use super::command::Command;
use super::selection::{Cursor, Selection};
use crate::api::{self, ApiError, Delivery};

/// The most events of one job. Another job goes on.
pub(crate) const EVENTS_MAX: usize = 100_000;
/// The most time of a dry run.
const COUNT_TIME_MAX: Duration = Duration::from_secs(20);
/// The deliveries that a dry run shows.
const SHOWN_MAX: usize = 20;

/// The result of a dry run.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) deliveries: usize,
    /// Whether all matching deliveries were counted.
    pub(crate) is_complete: bool,
    /// The first of them.
    pub(crate) shown: Vec<Delivery>,
    /// Selected events that the command would not change, by reason.
    pub(crate) skipped: Vec<String>,
}

/// How many events a job has to handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) events: usize,
    /// Whether all of them were counted.
    pub(crate) is_complete: bool,
}

// === impl Selection ===

impl Selection {
    /// Counts the deliveries without a change.
    pub(crate) async fn count(
        &self,
        api: &InProcess,
        caller: &Caller,
        command: Command,
    ) -> Result<Counted, ApiError> {
        if !self.events.is_empty() {
            return self.count_selected(api, caller, command).await;
        }

        let (mut counted, mut cursor) = (Counted::default(), Cursor::default());
        let began = Instant::now();
        loop {
            let page = self.next_page(api, command, &mut cursor).await?;
            counted.deliveries += page.len();
            let room = SHOWN_MAX.saturating_sub(counted.shown.len());
            counted.shown.extend(page.into_iter().take(room));
            counted.is_complete = cursor.is_at_end;
            let is_over = counted.deliveries >= EVENTS_MAX || began.elapsed() > COUNT_TIME_MAX;
            if cursor.is_at_end || is_over {
                return Ok(counted);
            }
        }
    }

    /// A dry run of the selected events. A caller that may only read gets their number.
    async fn count_selected(
        &self,
        api: &InProcess,
        caller: &Caller,
        command: Command,
    ) -> Result<Counted, ApiError> {
        if !caller.may_change() {
            return Ok(Counted {
                deliveries: self.events.len(),
                is_complete: true,
                ..Counted::default()
            });
        }

        let mut order = command.order(&self.events, "dry run");
        order["dry_run"] = json!(true);
        let path = format!("/{}", command.word());
        let answer = api::post(api, caller, &path, &order).await?;
        Ok(Counted::of(&answer))
    }

    /// Counts the events, each once, as a job handles them. `goes_on` is asked before each page.
    pub(super) async fn total(
        &self,
        api: &InProcess,
        command: Command,
        goes_on: impl Fn() -> bool,
    ) -> Result<Total, ApiError> {
        if !self.events.is_empty() {
            return Ok(Total {
                events: self.events.len(),
                is_complete: true,
            });
        }

        let (mut seen, mut cursor) = (HashSet::new(), Cursor::default());
        while !cursor.is_at_end && seen.len() < EVENTS_MAX && goes_on() {
            let page = self.next_page(api, command, &mut cursor).await?;
            seen.extend(page.into_iter().map(|one| one.event));
        }
        Ok(Total {
            events: seen.len().min(EVENTS_MAX),
            is_complete: cursor.is_at_end,
        })
    }
}

// === impl Counted ===

impl Counted {
    /// The answer of a dry run of the API.
    fn of(answer: &Value) -> Counted {
        const SKIPPED: [(&str, &str); 9] = [
            ("waiting", "waiting or running already"),
            ("repeated", "replayed since"),
            ("discarded", "discarded before"),
            ("undecodable", "a message that no hook runs"),
            ("erased", "erased: nothing is left to run"),
            ("open", "pending or running: left alone"),
            ("before", "erased before"),
            ("orphaned", "of a hook that does not exist: waiting for it"),
            ("skipped", "in another state"),
        ];
        let skipped = SKIPPED.iter().filter_map(|(name, words)| {
            let count = answer[name].as_u64().filter(|count| *count > 0)?;
            Some(format!("{count} {words}"))
        });
        let changed = answer["events"].as_u64().or(answer["deliveries"].as_u64());
        Counted {
            deliveries: changed.unwrap_or(0) as usize,
            is_complete: true,
            shown: serde_json::from_value(answer["shown"].clone()).unwrap_or_default(),
            skipped: skipped.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dry_runs_say_what_is_skipped() {
        let counted = Counted::of(&json!({
            "events": 2,
            "waiting": 1,
            "discarded": 0,
            "shown": [{ "delivery": 7 }],
        }));
        assert_eq!((counted.deliveries, counted.shown[0].delivery), (2, 7));
        assert_eq!(counted.skipped, ["1 waiting or running already"]);
    }
}
