//! The tables of requests in tests/fixtures/http: what a client sends, what the node answers, and why. `edge::table` runs them,
//! `docs::http` writes docs/HTTP.md from them.
//!
//! A text stands for bytes: `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` are one byte each, and `{N*TEXT}` is the text N times.

use crate::root;

/// The table of HTTP/1.
pub const HTTP1: &str = "tests/fixtures/http/http1.toml";
/// The table of HTTP/2.
pub const HTTP2: &str = "tests/fixtures/http/http2.toml";

/// Requests that differ in one place.
pub struct Group {
    /// What they have in common.
    pub title: String,
    /// The section that the answers follow.
    pub rfc: String,
    /// What is sent. `@` stands for the text of the row. HTTP/1: one text; HTTP/2: a frame each.
    pub template: Vec<String>,
    /// Each request.
    pub rows: Vec<Row>,
}

/// One request, or several on one connection.
pub struct Row {
    /// What is special.
    pub what: String,
    /// The text for `@`.
    pub sent: String,
    /// Another section than that of the group.
    pub rfc: Option<String>,
    /// The statuses in order, or `closed`. HTTP/2 also has `reset ERROR` and `goaway ERROR`.
    pub answers: Vec<String>,
    /// The client does not end its side, and the node answers nevertheless.
    pub stays_open: bool,
}

/// The groups of a file.
pub fn groups(file: &str) -> Vec<Group> {
    let text = std::fs::read_to_string(root().join(file)).expect("the table is there");
    let table: toml::Table = text
        .parse()
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let groups = table["group"].as_array().expect("an array of groups");
    groups.iter().map(group).collect()
}

fn group(value: &toml::Value) -> Group {
    let title = text(&value["title"]);
    let template = match &value["template"] {
        toml::Value::Array(frames) => frames.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let rows = value["rows"].as_array().expect("an array of rows");
    Group {
        rfc: text(&value["rfc"]),
        rows: rows.iter().map(row).collect(),
        title,
        template,
    }
}

fn row(value: &toml::Value) -> Row {
    let answers = match &value["answer"] {
        toml::Value::Array(answers) => answers.iter().map(answer).collect(),
        one => vec![answer(one)],
    };
    Row {
        what: text(&value["what"]),
        sent: text(&value["send"]),
        rfc: value.get("rfc").map(text),
        answers,
        stays_open: value
            .get("stays_open")
            .and_then(toml::Value::as_bool)
            .unwrap_or(false),
    }
}

fn answer(value: &toml::Value) -> String {
    match value {
        toml::Value::Integer(status) => status.to_string(),
        other => text(other),
    }
}

fn text(value: &toml::Value) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("{value} is not a text"))
        .to_owned()
}

// === impl Group ===

impl Group {
    /// What is sent for a row, without repetitions: one text for each part of the template.
    pub fn parts(&self, row: &Row) -> Vec<String> {
        let parts = self.template.iter();
        parts
            .map(|part| repeated(&part.replacen('@', &row.sent, 1)))
            .collect()
    }
}

/// The text with each `{N*TEXT}` written out.
fn repeated(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        match repetition(rest) {
            Some((count, inner, after)) => {
                out.push_str(&inner.repeat(count));
                rest = after;
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }

    out + rest
}

/// The number, the text and what follows the brace.
fn repetition(text: &str) -> Option<(usize, &str, &str)> {
    let (inner, after) = text.strip_prefix('{')?.split_once('}')?;
    let (count, inner) = inner.split_once('*')?;
    Some((count.parse().ok()?, inner, after))
}

/// The bytes that a text stands for.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16)
                    .unwrap_or_else(|_| panic!("{text}: \\x needs two digits"))
            }
            other => panic!("{text}: {other:?} cannot be escaped"),
        });
    }

    out
}
