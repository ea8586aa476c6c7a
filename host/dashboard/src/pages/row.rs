//! A delivery and a time, as several pages show them.

use crate::api::Delivery;
use crate::heads::Head;
use crate::text;

/// The most characters of a reason in a list.
const REASON_MAX: usize = 160;

/// A time. Without a script, the page shows UTC; with one, local time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Time {
    /// RFC 3339, for the attribute `datetime`.
    pub(crate) iso: String,
    /// For people: `2026-01-31 08:15:30 UTC`.
    pub(crate) text: String,
}

/// A line of a list of deliveries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) event: String,
    pub(crate) short: String,
    pub(crate) delivery: i64,
    pub(crate) hook: String,
    pub(crate) state: String,
    /// What a delivery waits for: `retry in 12 s`; empty if it is due now.
    pub(crate) due: String,
    /// A class of the style sheet.
    pub(crate) tone: &'static str,
    pub(crate) received: Time,
    pub(crate) attempts: u32,
    pub(crate) attempts_words: String,
    /// The provider's word for what has happened; empty if it is unknown.
    pub(crate) event_type: String,
    /// The provider's id of the delivery; empty if it is unknown.
    pub(crate) delivery_id: String,
    pub(crate) reason: String,
    pub(crate) size: String,
    /// What is special: a replay, duplicates, conflicts.
    pub(crate) notes: String,
}

// === impl Time ===

impl Time {
    /// A time in RFC 3339. Other text is shown as it is.
    pub(crate) fn new(rfc3339: &str) -> Time {
        let shown = match (rfc3339.split_once('T'), rfc3339.strip_suffix('Z')) {
            (Some((day, time)), Some(_)) => {
                let seconds = time.split(['.', 'Z']).next().unwrap_or_default();
                format!("{day} {seconds} UTC")
            }
            _ => rfc3339.to_owned(),
        };
        Time {
            iso: rfc3339.to_owned(),
            text: text::line(&shown, 40),
        }
    }
}

// === impl Row ===

impl Row {
    pub(crate) fn new(one: &Delivery) -> Row {
        Row {
            short: short(&one.event),
            event: one.event.clone(),
            delivery: one.delivery,
            hook: text::line(&one.hook, 64),
            state: one.state.clone(),
            due: waits(one),
            tone: tone(&one.state),
            received: Time::new(&one.received_at),
            attempts: one.attempt,
            attempts_words: text::count(one.attempt.into(), "attempt", "attempts"),
            reason: text::line(one.reason.as_deref().unwrap_or_default(), REASON_MAX),
            size: text::bytes(one.body_bytes.max(0) as u64),
            notes: notes(one),
            ..Row::default()
        }
    }

    /// Adds what the head of the event says.
    pub(crate) fn with(self, head: Head) -> Row {
        Row {
            event_type: text::line(&head.event_type, 80),
            delivery_id: text::line(&head.delivery_id, 80),
            ..self
        }
    }
}

/// What a delivery waits for, and for how long. Empty if it is due.
fn waits(one: &Delivery) -> String {
    let is_open = matches!(one.state.as_str(), "pending" | "waiting");
    let due = one.due_in_ms.filter(|due| *due > 0 && is_open);
    let time = due.map(|ms| text::duration(ms as f64));
    match (one.waits_for.as_deref(), time) {
        (Some("debounce"), Some(time)) => format!("debounce, ends in {time}"),
        (Some("batch"), Some(time)) => format!("batch, full or closed in {time}"),
        (Some("resume"), _) => "its hook is paused".to_owned(),
        (Some("retry"), Some(time)) => format!("retry in {time}"),
        (_, Some(time)) => format!("due in {time}"),
        (_, None) => String::new(),
    }
}

/// The end of an id: its beginning is the time, which many ids share.
pub(crate) fn short(id: &str) -> String {
    let start = id.len().saturating_sub(12);
    text::line(id.get(start..).unwrap_or(id), 12)
}

/// The class of a state of a delivery.
pub(crate) fn tone(state: &str) -> &'static str {
    match state {
        "done" => "good",
        "dead" => "bad",
        "waiting" | "pending" | "running" => "busy",
        _ => "plain",
    }
}

/// The class of an outcome of an attempt.
pub(crate) fn outcome_tone(outcome: &str) -> &'static str {
    match outcome {
        "done" => "good",
        "retry" | "defer" => "busy",
        _ => "bad",
    }
}

fn notes(one: &Delivery) -> String {
    let mut notes = Vec::new();
    match one.replay_of {
        Some(number) => notes.push(format!("replay of delivery {number}")),
        None if one.replayed => notes.push("replay".to_owned()),
        None => {}
    }
    if let Some(number) = one.resolved_by {
        notes.push(format!("resolved by delivery {number}"));
    }
    if let Some(why) = &one.discarded {
        notes.push(format!("discarded: {}", text::line(why, REASON_MAX)));
    }
    if let Some(event) = &one.superseded_by {
        notes.push(format!("superseded by …{}", short(event)));
    }
    if let (Some(first), Some(size)) = (&one.batch, one.batch_size)
        && size > 1
    {
        notes.push(format!("in a batch of {size}, with …{}", short(first)));
    }
    if let Some(at) = &one.erased_at {
        notes.push(format!("erased {}", Time::new(at).text));
    }
    if one.duplicates > 0 {
        let duplicates = one.duplicates.unsigned_abs();
        let duplicates = text::count(duplicates, "duplicate", "duplicates");
        notes.push(format!("{duplicates}, not run"));
    }
    if one.conflicts > 0 {
        let conflicts = text::count(one.conflicts.unsigned_abs(), "event", "events");
        notes.push(format!("{conflicts} with the same id and another body"));
    }

    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_utc() {
        for (rfc3339, shown) in [
            ("2026-01-31T08:15:30.123Z", "2026-01-31 08:15:30 UTC"),
            ("2026-01-31T08:15:30Z", "2026-01-31 08:15:30 UTC"),
            ("never", "never"),
        ] {
            assert_eq!(Time::new(rfc3339).text, shown);
        }
    }

    #[test]
    fn rows_show_no_control_characters() {
        let row = Row::new(&Delivery {
            event: "0198c0de-1111-7222-8333-444455556666".into(),
            reason: Some("\u{1b}[2J<b>\u{202e}x\r\ny".into()),
            state: "dead".into(),
            ..Delivery::default()
        });
        assert_eq!(row.reason, "\u{241b}[2J<b>⟨U+202E⟩x\u{240d}\u{240a}y");
        assert_eq!((row.short.as_str(), row.tone), ("444455556666", "bad"));
    }
}
