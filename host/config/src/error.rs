//! Errors of configuration: file, line, column, cause, and a suggestion.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the file, such as `github.toml`.
    pub file: String,
    /// From 1; 0 if the error has no place in the file.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The cause, and what to do.
    pub message: String,
}

// === impl ConfigError ===

impl ConfigError {
    /// An error without a place in the file.
    pub fn whole(file: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
        }
    }

    /// An error at a key, named by its path: `["verify", "prefix"]`. The place is that of the
    /// nearest key that exists.
    pub fn at_key(
        file: &str,
        text: &str,
        path: &[&str],
        message: impl Into<String>,
    ) -> ConfigError {
        match DeTable::parse(text)
            .ok()
            .and_then(|table| span_of(table.get_ref(), path))
        {
            Some(span) => ConfigError::at(file, text, span.start, message.into()),
            None => ConfigError::whole(file, message),
        }
    }

    /// An error of the TOML parser, in the wording of Landfall, with a suggestion.
    pub fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
        let message = reworded(error.message());
        match error.span() {
            Some(Range { start, .. }) => ConfigError::at(file, text, start, message),
            None => ConfigError::whole(file, message),
        }
    }

    fn at(file: &str, text: &str, offset: usize, message: String) -> ConfigError {
        let before = &text[..floor_char_boundary(text, offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            _ => write!(
                f,
                "{}:{}:{}: {}",
                self.file, self.line, self.column, self.message
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

fn span_of(table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    span_within(value.get_ref(), rest).or_else(|| Some(key.span()))
}

/// The place below a value. The path contains keys of tables and numbers of list items.
fn span_within(value: &DeValue<'_>, path: &[&str]) -> Option<Range<usize>> {
    match value {
        DeValue::Table(table) => span_of(table, path),
        DeValue::Array(items) => {
            let (first, rest) = path.split_first()?;
            let item = items.get(first.parse::<usize>().ok()?)?;
            span_within(item.get_ref(), rest).or_else(|| Some(item.span()))
        }
        _ => None,
    }
}

/// Renamed settings of the node: the old and the present key. Environment variables follow.
pub(crate) const RENAMED: [(&str, &str); 7] = [
    ("ledger.low_water", "ledger.min_free_space"),
    ("ledger.keep", "ledger.retention"),
    ("ledger.keep_bodies", "ledger.body_retention"),
    ("poll", "scan_interval"),
    ("limits.wait", "limits.queue_timeout"),
    ("limits.running", "limits.max_concurrency"),
    ("limits.bodies", "limits.body_memory"),
];

/// The present name of a renamed key, if it is one of the `known` keys of the table.
fn present_name<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let (_, present) = RENAMED
        .iter()
        .find(|(old, present)| last(old) == unknown && known.contains(&last(present)))?;
    known.iter().copied().find(|known| *known == last(present))
}

fn reworded(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let kind = match message {
        text if text.starts_with("unknown field") => "key",
        text if text.starts_with("unknown variant") => "value",
        _ => {
            return without_value(message)
                .lines()
                .collect::<Vec<_>>()
                .join("; ");
        }
    };
    let unknown = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    unknown_word(kind, unknown, &known)
}

/// The message for a key that is not one of the `known` keys.
pub(super) fn unknown_key(unknown: &str, known: &[&str]) -> String {
    unknown_word("key", unknown, known)
}

fn unknown_word(kind: &str, unknown: &str, known: &[&str]) -> String {
    if let Some(present) = present_name(unknown, known) {
        return format!("`{unknown}` is now `{present}`: rename it");
    }
    if let Some(place) = right_place(unknown, known) {
        return format!("`{unknown}` {place}");
    }
    match nearest(unknown, known) {
        Some(meant) => format!("unknown {kind} `{unknown}`: did you mean `{meant}`?"),
        None => format!(
            "unknown {kind} `{unknown}`: known here are {}",
            known.join(", ")
        ),
    }
}

/// Keys above the tables of a hook file. `methods` is also a key of `[verify]`.
pub(crate) const ABOVE_TABLES: [&str; 9] = [
    "path",
    "component",
    "mode",
    "answer_within",
    "deadline",
    "concurrency",
    "max_body",
    "max_rate",
    "order_by",
];
/// Keys of `[verify]` that are often written above it.
pub(crate) const IN_VERIFY: [&str; 9] = [
    "provider",
    "scheme",
    "secret",
    "challenge_secret",
    "public_url",
    "url",
    "config",
    "refused_status",
    "from_addresses",
];

/// Where a key belongs that is known in another part of a hook file. `known` are the keys of its
/// table.
fn right_place(unknown: &str, known: &[&str]) -> Option<&'static str> {
    let is_top = known.contains(&"answer_within");
    let is_hook_table = is_top
        || ["provider", "attempts", "memory", "emit", "match"]
            .iter()
            .any(|key| known.contains(key));
    match (is_top, is_hook_table) {
        (false, true) if ABOVE_TABLES.contains(&unknown) => Some(
            "belongs above [verify] and all other tables: a key below a table's header is part of that table; move it up",
        ),
        (true, _) if IN_VERIFY.contains(&unknown) => Some("belongs below [verify]: move it down"),
        _ => None,
    }
}

/// The message without a text that is written instead of a table: the text may be a secret.
fn without_value(message: &str) -> String {
    let is_text = message.starts_with("invalid type: string \"");
    match message.rsplit_once("\", expected ") {
        Some((_, expected)) if is_text => format!("a text, where this is expected: {expected}"),
        _ => message.to_owned(),
    }
}

/// The known word that a mistyped one is probably meant to be. Never `none`, which often switches a
/// check off.
pub fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .filter(|word| **word != "none")
        .map(|word| (strsim::damerau_levenshtein(typed, word), *word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
