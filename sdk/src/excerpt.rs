//! The beginning of a text, for reasons.

/// The most characters of a text that a reason repeats.
const CHARACTERS_MAX: usize = 200;

/// The first characters of a text on one line: control characters are escaped, and `…` follows if
/// something is left out.
pub(crate) fn excerpt(text: &str) -> String {
    let mut rest = text.trim().chars();
    let mut excerpt = String::new();
    for character in rest.by_ref().take(CHARACTERS_MAX) {
        if character.is_control() {
            excerpt.extend(character.escape_default());
        } else {
            excerpt.push(character);
        }
    }

    if rest.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_short_line() {
        for (text, expected) in [
            ("", ""),
            (" \n\t ", ""),
            (" {\"error\": \"ä \\ no\"}\r\n", "{\"error\": \"ä \\ no\"}"),
            ("a\r\n\tb\u{1b}[31m\u{85}", "a\\r\\n\\tb\\u{1b}[31m"),
            ("\0\u{7f}\u{9f}x", "\\u{0}\\u{7f}\\u{9f}x"),
        ] {
            assert_eq!(excerpt(text), expected, "{text:?}");
        }
        let (full, long) = ("😀".repeat(200), "😀".repeat(201));
        assert_eq!(excerpt(&full), full);
        assert_eq!(excerpt(&long), full + "…");
    }
}
