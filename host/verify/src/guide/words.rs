//! Formats the blocks of a guide for a terminal and as Markdown.

use std::time::Duration;

use crate::pack::{Evidence, Pack, StatusPattern};
use crate::signature::Signature;
use crate::view::describe;
use landfall_model::{DeliveryId, PayloadPiece, ValueLocation};

const WIDTH: usize = 110;
const BOUNDLESS: Duration = Duration::from_secs(10 * 365 * 86_400);
const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "h"), (60, "min")];

/// One block of a guide's text.
pub(super) enum Block {
    Text(String),
    /// A table with two columns.
    Facts(Vec<(String, String)>),
    /// A code block: language and text.
    Code(&'static str, String),
}

// === impl Block ===

impl Block {
    pub(super) fn markdown(&self) -> String {
        match self {
            Block::Text(text) => format!("{text}\n"),
            Block::Code(language, text) => format!("```{language}\n{text}```\n"),
            Block::Facts(facts) => {
                let rows: String = facts
                    .iter()
                    .map(|(name, value)| format!("| {} | {} |\n", cell(name), cell(value)))
                    .collect();
                format!("| | |\n|---|---|\n{rows}")
            }
        }
    }

    pub(super) fn plain(&self) -> String {
        match self {
            Block::Text(text) => text.lines().map(|line| wrap(line, "  ")).collect(),
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

                let rows = facts.iter().map(|(name, value)| {
                    let value = wrap(&strip_links(value), &" ".repeat(width + 4));
                    format!("  {name:<width$}  {}", value.trim_start())
                });

                rows.collect()
            }
        }
    }
}

/// Replaces Markdown links by their text.
pub(super) fn strip_links(text: &str) -> String {
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

/// Wraps a text to the width of a terminal and indents every line.
pub(super) fn wrap(text: &str, indent: &str) -> String {
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
    let alternatives = id.alternatives().iter();
    listed_or(alternatives.map(|places| listed(places.iter().map(location_name))))
}

pub(super) fn evidence(pack: &Pack) -> &'static str {
    match pack.evidence {
        Some(Evidence::Vendor) => "vendor",
        Some(Evidence::ThirdParty) => "third-party",
        None => "",
    }
}

/// The name of a location, with the name as code: `header X-Name`.
pub(super) fn location_name(place: &ValueLocation) -> String {
    let text = describe(place);
    match (place, text.rsplit_once(' ')) {
        (ValueLocation::Path(_), _) | (_, None) => text,
        (_, Some((kind, name))) => format!("{kind} `{name}`"),
    }
}

/// One side of a time window.
pub(super) fn bound(duration: Duration) -> String {
    if duration > BOUNDLESS {
        "any time".into()
    } else {
        format!("up to {}", time(duration))
    }
}

/// A duration in the largest unit that fits.
pub(super) fn time(duration: Duration) -> String {
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

/// Escapes a text for a table cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

pub(super) fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}

pub(super) fn shell_quote(text: &str) -> String {
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "=:/._-@%+,".contains(c)
}

/// A part of the payload as written in the pack; optional parts are in brackets.
pub(super) fn piece_text(piece: &PayloadPiece) -> String {
    match piece {
        PayloadPiece::One(text) => text.clone(),
        PayloadPiece::Optional(texts) => format!("[{}]", texts.concat()),
    }
}

/// The algorithm, or the accepted methods.
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

/// A name such as `HmacSha256` as written in hook files: `hmac-sha256`.
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
