//! Log lines in JSON, written field by field: a node writes one or two lines for each request, and
//! builds nothing in between. Hidden characters are escaped, so that the lines can also be read on
//! a terminal.

use std::fmt::{self, Write};

use landfall_model::{Clock, is_hidden};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Most lines have fewer bytes.
const LINE_BYTES: usize = 512;

/// One JSON object per line: `timestamp`, `level`, the fields of the event, `target`.
pub(crate) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = JsonObject::begin();
        line.add("timestamp", FieldValue::Shown(&now()));
        line.add("level", FieldValue::Text(metadata.level().as_str()));
        event.record(&mut Recorder(&mut line));
        line.add("target", FieldValue::Text(metadata.target()));
        writer.write_str(&line.into_line()?)
    }
}

/// The time of a line.
pub(crate) fn now() -> impl fmt::Display {
    humantime::format_rfc3339_micros(Clock::System.now())
}

/// The value of a field. `Shown` becomes a text.
#[derive(Clone, Copy)]
pub(crate) enum FieldValue<'a> {
    Text(&'a str),
    Shown(&'a dyn fmt::Display),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

/// What receives the fields of an event.
pub(crate) trait Fields {
    fn add(&mut self, name: &str, value: FieldValue<'_>);
}

/// Passes the fields of an event on.
pub(crate) struct Recorder<'a, F>(pub(crate) &'a mut F);

/// An object that is being written.
pub(crate) struct JsonObject {
    text: String,
    result: fmt::Result,
}

// === impl FieldValue ===

impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Text(text) => f.write_str(text),
            FieldValue::Shown(value) => value.fmt(f),
            FieldValue::Unsigned(number) => number.fmt(f),
            FieldValue::Signed(number) => number.fmt(f),
            FieldValue::Float(number) => number.fmt(f),
            FieldValue::Bool(value) => value.fmt(f),
        }
    }
}

// === impl JsonObject ===

impl JsonObject {
    pub(crate) fn begin() -> JsonObject {
        JsonObject {
            text: String::with_capacity(LINE_BYTES),
            result: Ok(()),
        }
    }

    /// Adds a value that is JSON already.
    pub(crate) fn add_json(&mut self, name: &str, json: &str) {
        self.add_name(name);
        self.text.push_str(json);
    }

    /// Ends the object, and returns it.
    pub(crate) fn into_text(mut self) -> Result<String, fmt::Error> {
        self.result?;
        self.text
            .push_str(if self.text.is_empty() { "{}" } else { "}" });
        Ok(self.text)
    }

    /// Ends the object, and returns it as a line.
    pub(crate) fn into_line(self) -> Result<String, fmt::Error> {
        let mut line = self.into_text()?;
        line.push('\n');
        Ok(line)
    }

    /// Names come from the code, and have nothing to escape.
    fn add_name(&mut self, name: &str) {
        self.text
            .push_str(if self.text.is_empty() { "{\"" } else { ",\"" });
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    fn write(&mut self, value: FieldValue<'_>) -> fmt::Result {
        match value {
            FieldValue::Unsigned(number) => self.text.write_str(itoa::Buffer::new().format(number)),
            FieldValue::Signed(number) => self.text.write_str(itoa::Buffer::new().format(number)),
            FieldValue::Bool(value) => write!(self.text, "{value}"),
            FieldValue::Float(number) if number.is_finite() => self
                .text
                .write_str(zmij::Buffer::new().format_finite(number)),
            FieldValue::Float(_) => self.text.write_str("null"),
            FieldValue::Text(text) => {
                self.text.push('"');
                write_escaped(&mut self.text, text)?;
                self.text.write_char('"')
            }
            FieldValue::Shown(value) => {
                self.text.push('"');
                write!(Escaped(&mut self.text), "{value}")?;
                self.text.write_char('"')
            }
        }
    }
}

impl Fields for JsonObject {
    fn add(&mut self, name: &str, value: FieldValue<'_>) {
        if self.result.is_ok() {
            self.add_name(name);
            self.result = self.write(value);
        }
    }
}

// === impl Recorder ===

impl<F: Fields> Visit for Recorder<'_, F> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let shown = format_args!("{value:?}");
        self.0.add(field.name(), FieldValue::Shown(&shown));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.add(field.name(), FieldValue::Text(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.add(field.name(), FieldValue::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.add(field.name(), FieldValue::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.add(field.name(), FieldValue::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.add(field.name(), FieldValue::Bool(value));
    }
}

/// Escapes what is written to it, for the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(self.0, text)
    }
}

fn write_escaped(out: &mut String, text: &str) -> fmt::Result {
    // Without an early end, the compiler looks at many bytes at once.
    let is_all_plain = text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte));
    if is_all_plain {
        return out.write_str(text);
    }

    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        out.push_str(&rest[..at]);
        let mut characters = rest[at..].chars();
        if let Some(character) = characters.next() {
            write_character(out, character)?;
        }
        rest = characters.as_str();
    }

    out.write_str(rest)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn write_character(out: &mut String, character: char) -> fmt::Result {
    match character {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        hidden if is_hidden(hidden) => {
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            Ok(())
        }
        other => out.write_char(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(values: &[(&str, FieldValue<'_>)]) -> String {
        let mut object = JsonObject::begin();
        for (name, value) in values {
            object.add(name, *value);
        }
        object.into_text().unwrap()
    }

    #[test]
    fn every_value_is_valid_json() {
        let shown = 7;
        let text = written(&[
            ("text", FieldValue::Text("a\"\\\r\n\t\u{1b}[2J\u{7f}")),
            ("far", FieldValue::Text("é漢\u{9b}\u{202e}\u{e0041}🦀")),
            ("shown", FieldValue::Shown(&shown)),
            ("unsigned", FieldValue::Unsigned(u64::MAX)),
            ("signed", FieldValue::Signed(i64::MIN)),
            ("float", FieldValue::Float(1.234)),
            ("large", FieldValue::Float(1e300)),
            ("small", FieldValue::Float(1e-9)),
            ("none", FieldValue::Float(f64::NAN)),
            ("bool", FieldValue::Bool(true)),
        ]);
        assert!(!text.chars().any(is_hidden), "{text:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "text": "a\"\\\r\n\t\u{1b}[2J\u{7f}", "far": "é漢\u{9b}\u{202e}\u{e0041}🦀",
            "shown": "7", "unsigned": u64::MAX, "signed": i64::MIN, "float": 1.234,
            "large": 1e300, "small": 1e-9, "none": null, "bool": true,
        });
        assert_eq!(value, expected);
        assert_eq!(written(&[]), "{}");
    }

    #[test]
    fn lines_have_their_fields() {
        let lines = crate::log_testing::lines(JsonLines, || {
            tracing::info!(target: "request", status = 202, hook = "h\u{1b}", shown = %"s\n",
                none = None::<u64>, "says \"so\"");
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        for (field, value) in [
            ("level", json!("INFO")),
            ("target", json!("request")),
            ("message", json!("says \"so\"")),
            ("status", json!(202)),
            ("hook", json!("h\u{1b}")),
            ("shown", json!("s\n")),
            ("none", Value::Null),
        ] {
            assert_eq!(line[field], value, "{field}");
        }
    }
}
