//! Formats deliveries as lines, and values for paths and terminals.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

pub(super) use landfall_model::printable;

/// Characters of a short id: the time of arrival and some more.
const SHORT: usize = 18;
/// Characters of a whole id.
const WHOLE: usize = 36;
const DELIVERY_WIDTH: usize = 8;
const HOOK_WIDTH: usize = 20;

/// The widths of the columns of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    event: usize,
    delivery: usize,
    hook: usize,
}

// === impl Columns ===

impl Default for Columns {
    fn default() -> Columns {
        Columns {
            event: SHORT,
            delivery: DELIVERY_WIDTH,
            hook: HOOK_WIDTH,
        }
    }
}

impl Columns {
    /// For whole ids.
    pub(super) fn whole() -> Columns {
        Columns {
            event: WHOLE,
            ..Columns::default()
        }
    }

    /// Wide enough for these deliveries too. Ids are shortened as far as they stay distinct.
    pub(super) fn widened(self, all: &[Value]) -> Columns {
        let ids: BTreeSet<&str> = all.iter().filter_map(|one| one["event"].as_str()).collect();
        let event = (self.event..WHOLE).find(|length| {
            let shorts = ids.iter().map(|id| id.get(..*length).unwrap_or(id));
            shorts.collect::<BTreeSet<_>>().len() == ids.len()
        });
        let widest = |key: &str, width: usize| {
            let widths = all.iter().map(|one| shown(&one[key]).chars().count());
            widths.fold(width, usize::max)
        };

        Columns {
            event: event.unwrap_or(WHOLE),
            delivery: widest("delivery", self.delivery),
            hook: widest("hook", self.hook),
        }
    }

    pub(super) fn header(&self) -> String {
        self.row("RECEIVED", "DELIVERY", "EVENT", "HOOK", "STATE")
    }

    /// One delivery.
    pub(super) fn line(&self, one: &Value) -> String {
        let event = text(&one["event"]);
        self.row(
            &text(&one["received_at"]),
            &shown(&one["delivery"]),
            event.get(..self.event).unwrap_or(&event),
            &text(&one["hook"]),
            &state(one),
        )
    }

    fn row(&self, received: &str, delivery: &str, event: &str, hook: &str, state: &str) -> String {
        let Columns {
            event: event_width,
            delivery: delivery_width,
            hook: hook_width,
        } = self;
        format!(
            "{received:<24}  {delivery:>delivery_width$}  {event:<event_width$}  {hook:<hook_width$}  {state}"
        )
    }
}

/// One line a delivery, with ids shortened as far as they stay distinct.
pub(super) fn lines(all: &[Value]) -> Vec<String> {
    let columns = Columns::default().widened(all);
    all.iter().map(|one| columns.line(one)).collect()
}

/// The state of a delivery, its attempt, and what explains them.
fn state(one: &Value) -> String {
    let reason = one["reason"]
        .as_str()
        .map(|why| format!("  {}", printable(why)))
        .unwrap_or_default();
    let replayed = match one["replay_of"].as_i64() {
        Some(first) => format!(" (replay of {first})"),
        None if one["replayed"] == true => " (replay)".into(),
        None => String::new(),
    };

    let resolved = one["resolved_by"]
        .as_i64()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    let discarded = one["discarded"]
        .as_str()
        .map(|why| format!("  discarded: {}", printable(why)))
        .unwrap_or_default();
    let superseded = one["superseded_by"]
        .as_str()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    let batch = match (one["batch"].as_str(), one["batch_size"].as_i64()) {
        (Some(first), Some(size)) if size > 1 => format!("  batch of {size} with {first}"),
        _ => String::new(),
    };
    let erased = if one["erased_at"].is_string() {
        " erased"
    } else {
        ""
    };
    let repeats = count(one, "duplicates", "not run as duplicates")
        + &count(one, "conflicts", "with this id and another body");
    format!(
        "{}{resolved}{superseded}{erased}{} attempt {}{replayed}{repeats}{batch}{reason}{discarded}",
        text(&one["state"]),
        waits(one),
        one["attempt"]
    )
}

/// What a delivery waits for, and for how long: ` (retry in 5s)`. Empty if it is due.
pub(super) fn waits(one: &Value) -> String {
    let due = one["due_in_ms"].as_u64().filter(|due| *due > 0);
    let time = due.map(|due| {
        let seconds = Duration::from_secs(due.div_ceil(1000));
        humantime::format_duration(seconds).to_string()
    });
    match (one["waits_for"].as_str(), time) {
        (Some("debounce"), Some(time)) => format!(" (debounce, ends in {time})"),
        (Some("debounce"), None) => " (debounce)".to_owned(),
        (Some("batch"), Some(time)) => format!(" (batch, full or closed in {time})"),
        (Some("batch"), None) => " (batch, which is run)".to_owned(),
        (Some("resume"), _) => " (hook is paused)".to_owned(),
        (Some("start"), Some(time)) => format!(" (starts in {time})"),
        (Some("retry"), Some(time)) => format!(" (retry in {time})"),
        (_, Some(time)) => format!(" (due in {time})"),
        (_, None) => String::new(),
    }
}

/// A text or a number.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), printable)
}

fn count(one: &Value, key: &str, noun: &str) -> String {
    match one[key].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("  {count} {noun}"),
    }
}

pub(super) fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

/// For a path or a query.
pub(super) fn query(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waiting_deliveries_say_for_what() {
        for (waits_for, due_in_ms, shown) in [
            (
                json!("debounce"),
                json!(1_500),
                "waiting (debounce, ends in 2s) attempt 0",
            ),
            (
                json!("batch"),
                json!(60_000),
                "waiting (batch, full or closed in 1m) attempt 0",
            ),
            (
                json!("batch"),
                json!(0),
                "waiting (batch, which is run) attempt 0",
            ),
            (
                json!("retry"),
                json!(5_000),
                "waiting (retry in 5s) attempt 0",
            ),
            (
                json!("start"),
                json!(5_000),
                "waiting (starts in 5s) attempt 0",
            ),
            (
                json!("resume"),
                json!(0),
                "waiting (hook is paused) attempt 0",
            ),
            (
                json!("resume"),
                json!(9_000),
                "waiting (hook is paused) attempt 0",
            ),
            (Value::Null, json!(0), "waiting attempt 0"),
            (Value::Null, json!(1), "waiting (due in 1s) attempt 0"),
        ] {
            let one = json!({ "state": "waiting", "attempt": 0, "waits_for": waits_for, "due_in_ms": due_in_ms });
            assert_eq!(state(&one), shown);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let one = |delivery: u64, event: &str, hook: &str| {
            json!({
                "received_at": "2026-01-31T08:15:30.000Z", "delivery": delivery, "event": event, "hook": hook,
                "state": "done", "attempt": 1,
            })
        };
        let all = [
            one(7, "01994c1e-0000-7000-8000-000000000001", "a"),
            one(
                1_234_567_890,
                "01994c1e-0000-7000-8000-000000000002",
                "a-hook-with-a-rather-long-name",
            ),
        ];
        let columns = Columns::default().widened(&all);
        let header = columns.header();
        let starts = |name: &str| header.find(name).unwrap();
        for one in &all {
            let line = columns.line(one);
            let (hook, event) = (text(&one["hook"]), text(&one["event"]));
            assert_eq!(line.find("done attempt 1"), Some(starts("STATE")), "{line}");
            assert_eq!(line.find(&event), Some(starts("EVENT")), "{line}");
            assert_eq!(line[starts("HOOK")..].find(&hook), Some(0), "{line}");
            let end = line.find(&one["delivery"].to_string()).unwrap()
                + one["delivery"].to_string().len();
            assert_eq!(end, starts("DELIVERY") + "DELIVERY".len(), "{line}");
        }
    }
}
