//! Formats deliveries as lines, and values for paths and terminals.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

/// Characters of a short id: the time of arrival and some more.
const SHORT: usize = 18;

/// One line a delivery, with ids shortened as far as they stay distinct.
pub fn lines(all: &[Value]) -> Vec<String> {
    let ids: BTreeSet<&str> = all.iter().filter_map(|one| one["event"].as_str()).collect();
    let length = (SHORT..36).find(|length| {
        let shorts = ids.iter().map(|id| id.get(..*length).unwrap_or(id));
        shorts.collect::<BTreeSet<_>>().len() == ids.len()
    });
    let length = length.unwrap_or(36);

    all.iter().map(|one| line(one, length)).collect()
}

/// One delivery, with so many characters of its event's id.
pub fn line(one: &Value, length: usize) -> String {
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
    let due = one["due_in_ms"].as_u64().filter(|due| *due > 0);
    let due = due.map(|due| {
        format!(
            " in {}",
            humantime::format_duration(Duration::from_secs(due.div_ceil(1000)))
        )
    });
    let repeats = count(one, "duplicates", "not run as duplicates")
        + &count(one, "conflicts", "with this id and another body");
    format!(
        "{}  {:>8}  {}  {:<20}  {}{resolved}{} attempt {}{replayed}{repeats}{reason}{discarded}",
        text(&one["received_at"]),
        one["delivery"],
        text(&one["event"]).get(..length).unwrap_or_default(),
        text(&one["hook"]),
        text(&one["state"]),
        due.unwrap_or_default(),
        one["attempt"]
    )
}

fn count(one: &Value, key: &str, noun: &str) -> String {
    match one[key].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("  {count} {noun}"),
    }
}

pub fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

/// Escapes characters that could move a terminal's cursor. Quotes stay, because people copy what
/// they read.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_debug());
        } else {
            printable.push(c);
        }
    }

    printable
}

/// For a path or a query.
pub fn query(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_and_control_characters_go() {
        assert_eq!(
            printable("write public_url = \"https://é\"\u{1b}[2J"),
            "write public_url = \"https://é\"\\u{1b}[2J"
        );
    }
}
