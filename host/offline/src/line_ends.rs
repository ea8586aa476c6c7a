//! The line ends of a file that is written again: CRLF stays, and so does a missing last line end.

use similar::{ChangeTag, TextDiff};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A text as it was read.
pub(crate) struct LineEnds<'a> {
    before: &'a str,
    is_crlf: bool,
}

// === impl LineEnds ===

impl<'a> LineEnds<'a> {
    pub(crate) fn of(before: &'a str) -> LineEnds<'a> {
        let all = before.matches('\n').count();
        let crlf = before.matches("\r\n").count();
        LineEnds {
            before,
            is_crlf: crlf > all - crlf,
        }
    }

    /// Whether new lines end with CRLF: most lines do.
    pub(crate) fn is_crlf(&self) -> bool {
        self.is_crlf
    }

    /// The new text. Lines that were there keep their ends.
    pub(crate) fn restored(&self, text: &str) -> String {
        let (mark, before) = match self.before.strip_prefix(BYTE_ORDER_MARK) {
            Some(before) => (Some(BYTE_ORDER_MARK), before),
            None => (None, self.before),
        };
        let mut restored = String::from_iter(mark);
        restored.push_str(&self.with_ends(before, text.trim_start_matches(BYTE_ORDER_MARK)));

        if !before.is_empty() && !before.ends_with('\n') {
            let length = restored.trim_end_matches(['\r', '\n']).len();
            restored.truncate(length);
        }
        restored
    }

    fn with_ends(&self, before: &str, text: &str) -> String {
        let [old, new] = [before, text].map(|text| text.replace("\r\n", "\n"));
        if !before.contains("\r\n") {
            return new;
        }

        let written: Vec<&str> = before.split_inclusive('\n').collect();
        let mut restored = String::with_capacity(text.len());
        for change in TextDiff::from_lines(&old, &new).iter_all_changes() {
            match (change.tag(), change.old_index()) {
                (ChangeTag::Delete, _) => {}
                (ChangeTag::Equal, Some(index)) => restored.push_str(written[index]),
                _ if self.is_crlf => restored.push_str(&change.value().replace('\n', "\r\n")),
                _ => restored.push_str(change.value()),
            }
        }
        restored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_ends() {
        let restored = |before, text| LineEnds::of(before).restored(text);
        assert_eq!(restored("a\r\nb\r\n", "a\nc\nb\n"), "a\r\nc\r\nb\r\n");
        assert_eq!(restored("a\nb\r\nc\n", "a\nx\nb\nc\n"), "a\nx\nb\r\nc\n");
        assert_eq!(restored("a\nb\n", "a\nc\n"), "a\nc\n");
        assert_eq!(restored("", "a\n"), "a\n");
    }

    #[test]
    fn last_lines_stay_open() {
        let restored = |before, text| LineEnds::of(before).restored(text);
        assert_eq!(restored("a\nb", "a\nb\nc\n"), "a\nb\nc");
        assert_eq!(restored("a\r\nb", "a\nb\nc\n"), "a\r\nb\r\nc");
        assert_eq!(restored("\u{feff}a\r\n", "a\nb\n"), "\u{feff}a\r\nb\r\n");
    }
}
