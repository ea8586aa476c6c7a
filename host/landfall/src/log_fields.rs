//! The fields of a log line in text format. No value can end the line or command the terminal:
//! hidden characters are escaped, also in what a caller, a handler or a server has chosen.

use std::fmt;

use landfall_model::printable;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// `MESSAGE name=value name="text"`
pub(crate) struct EscapedFields;

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

/// A line that is being written.
struct Line<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
}

// === impl Line ===

impl Line<'_> {
    fn add(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), &printable(value));
        }
    }

    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !self.is_empty {
            self.writer.write_char(' ')?;
        }
        self.is_empty = false;

        if name == "message" {
            self.writer.write_str(value)
        } else if self.writer.has_ansi_escapes() {
            // Italic, then dim.
            write!(
                self.writer,
                "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"
            )
        } else {
            write!(self.writer, "{name}={value}")
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.add(field, value);
        } else {
            self.add(field, &format!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::log_testing::Written;

    use super::*;

    #[test]
    fn values_cannot_command_the_terminal() {
        let written = Written::default();
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(EscapedFields)
            .with_writer(written.clone())
            .finish();
        let evil = "a\r\nINFO fake \u{1b}[2J\u{202e}\u{9b}";
        tracing::subscriber::with_default(lines, || {
            tracing::info!(text = evil, shown = %evil, count = 3, "says {evil}");
        });

        let text = written.text();
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let line = text.trim_end_matches('\n');
        assert!(!line.chars().any(landfall_model::is_hidden), "{line:?}");
        assert!(line.contains("says a\\r\\nINFO fake"), "{line}");
        assert!(line.contains("count=3"), "{line}");
    }
}
