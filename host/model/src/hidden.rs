//! Characters that a text can use to show a reader something else than it says.

/// Whether a terminal or an editor obeys this character instead of showing it: control characters,
/// marks that change the direction of text, separators of lines, and characters without width.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with hidden characters escaped, for a terminal. Quotes stay, because people copy what
/// they read.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            printable.extend(c.escape_debug());
        } else {
            printable.push(c);
        }
    }

    printable
}

/// As `printable`, in at most `max` characters: for a text of a sender in a log line or in a
/// sentence. `…` stands for the rest.
pub fn printable_start(text: &str, max: usize) -> String {
    let (mut start, mut room) = (String::new(), max);
    for c in text.chars() {
        let length = if is_hidden(c) {
            c.escape_debug().count()
        } else {
            1
        };
        if length > room {
            start.push('…');
            break;
        }
        room -= length;
        if is_hidden(c) {
            start.extend(c.escape_debug());
        } else {
            start.push(c);
        }
    }

    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_marks_are_hidden() {
        for c in [
            '\u{1b}',
            '\n',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{2028}',
            '\u{e0041}',
        ] {
            assert!(is_hidden(c), "{}", c.escape_unicode());
        }
        for c in "aé\u{301}ا\u{a0}語🙂\"\\ ".chars() {
            assert!(!is_hidden(c), "{}", c.escape_unicode());
        }
    }

    #[test]
    fn quotes_stay_and_control_characters_go() {
        assert_eq!(
            printable("write public_url = \"https://é\"\u{1b}[2J"),
            "write public_url = \"https://é\"\\u{1b}[2J"
        );
        assert_eq!(printable("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
    }

    #[test]
    fn starts_are_bounded_and_escaped() {
        for (text, start) in [
            ("", ""),
            ("éé🙂", "éé🙂"),
            ("abcd", "abc…"),
            ("a\n", "a\\n"),
            ("ab\n", "ab…"),
            ("\u{1b}", "…"),
        ] {
            assert_eq!(printable_start(text, 3), start, "{text:?}");
        }
        let long = printable_start(&"\u{e0041}".repeat(10_000), 100);
        assert!(long.chars().count() <= 101, "{long}");
        // What is escaped stays as it is.
        let escaped = printable_start("a\u{1b}[2J\n", 50);
        assert_eq!(printable_start(&escaped, 50), escaped);
    }
}
