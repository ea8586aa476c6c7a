//! How the parts of a guide are written: for a terminal, as Markdown, and the words in them.

use std::time::Duration;

use crate::pack::{Evidence, Pack, StatusPattern};
use crate::signature::Signature;
use crate::view::describe;
use landfall_model::{DeliveryId, PayloadPiece, ValueLocation};

/// One block of a guide's text.
pub(super) enum Block {
    Text(String),
    /// Left and right column.
    Facts(Vec<(String, String)>),
    /// Language and text.
    Code(&'static str, String),
}

// === impl Block ===

impl Block {
    pub(super) fn markdown(&self) -> String {
        match self {
            Block::Text(text) => format!("{text}\n"),
            Block::Code(language, text) => format!("```{language}\n{text}```\n"),
            Block::Facts(facts) => {
                let row = |(name, value): &(String, String)| {
                    format!("| {} | {} |\n", cell(name), cell(value))
                };

                format!(
                    "| | |\n|---|---|\n{}",
                    facts.iter().map(row).collect::<String>()
                )
            }
        }
    }

    pub(super) fn plain(&self) -> String {
        match self {
            Block::Text(text) => text.lines().map(|line| wrapped(line, "  ")).collect(),
            Block::Code(_, text) => {
                let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
                format!("\n{lines}\n")
            }
            Block::Facts(facts) => {
                let width = facts
                    .iter()
                    .map(|(name, _)| name.chars().count())
                    .max()
                    .unwrap_or_default();

                let row = |(name, value): &(String, String)| {
                    let value = wrapped(&unlinked(value), &" ".repeat(width + 4));
                    format!("  {name:<width$}  {}", value.trim_start())
                };

                facts.iter().map(row).collect()
            }
        }
    }
}

/// `[text](target)` as the text alone.
pub(super) fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, after)) = after.split_once(')') else {
            break;
        };

        plain.push_str(&before.replacen('[', "", 1));
        rest = after;
    }

    plain + rest
}

/// Lines of about a terminal's width, all indented.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    const WIDTH: usize = 110;

    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() + word.len() > WIDTH && line.len() > indent.len() {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = indent.to_owned();
        }

        line.push_str(word);
        line.push(' ');
    }

    lines + line.trim_end() + "\n"
}

pub(super) fn identity(id: &DeliveryId) -> String {
    let fields = |places: &Vec<ValueLocation>| listed(places.iter().map(shown));
    listed_or(id.alternatives().iter().map(fields))
}

pub(super) fn evidence(pack: &Pack) -> &'static str {
    match pack.evidence {
        Some(Evidence::Vendor) => "vendor",
        Some(Evidence::ThirdParty) => "third-party",
        None => "",
    }
}

/// `header X-Name` with the name as code.
pub(super) fn shown(place: &ValueLocation) -> String {
    let text = describe(place);
    match (place, text.rsplit_once(' ')) {
        (ValueLocation::Path(_), _) | (_, None) => text,
        (_, Some((kind, name))) => format!("{kind} `{name}`"),
    }
}

/// A side of a time window.
pub(super) fn bound(duration: Duration) -> String {
    const BOUNDLESS: Duration = Duration::from_secs(10 * 365 * 86_400);

    if duration > BOUNDLESS {
        "any time".into()
    } else {
        format!("up to {}", time(duration))
    }
}

/// A duration in the largest unit that fits.
pub(super) fn time(duration: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "h"), (60, "min")];

    let seconds = duration.as_secs();
    match UNITS
        .iter()
        .find(|(unit, _)| seconds >= 2 * unit && seconds.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{} s", duration.as_secs_f64()),
    }
}

pub(super) fn pattern(pattern: &StatusPattern) -> String {
    match pattern {
        StatusPattern::Code(code) => code.to_string(),
        StatusPattern::Class(class) => format!("{class}xx"),
    }
}

/// The name of an environment variable for a value of the hook.
pub(super) fn variable(name: &str, what: &str) -> String {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let digit = if name.starts_with(|first: char| first.is_ascii_digit()) {
        "HOOK_"
    } else {
        ""
    };

    format!("{digit}{name}_{what}")
}

pub(super) fn fact(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}

/// For a cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

pub(super) fn shell_quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "=:/._-@%+,".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A part of what is signed, as the pack writes it; in brackets where it drops out when absent.
pub(super) fn piece_text(piece: &PayloadPiece) -> String {
    match piece {
        PayloadPiece::One(text) => text.clone(),
        PayloadPiece::Optional(texts) => format!("[{}]", texts.concat()),
    }
}

/// The algorithm, or the methods that a sender may choose from.
pub(super) fn signature_algorithm(signature: &Signature) -> String {
    match &signature.methods[..] {
        [] => kebab(signature.algorithm),
        methods => methods
            .iter()
            .map(|(name, _)| format!("HMAC with {name}"))
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

/// `HmacSha256` as it is written in hook files.
pub(super) fn kebab(value: impl std::fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{value:?}").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }

        text.push(c.to_ascii_lowercase());
    }

    text
}

pub(super) fn listed(items: impl IntoIterator<Item = String>) -> String {
    joined(items, "and")
}

pub(super) fn listed_or(items: impl IntoIterator<Item = String>) -> String {
    joined(items, "or")
}

pub(super) fn joined(items: impl IntoIterator<Item = String>, word: &str) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => items.concat(),
    }
}
