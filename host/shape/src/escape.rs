//! JSON texts in ASCII: a terminal and a comment show every character of a name.

use std::fmt::Write;

/// A string literal of JSON, which is also one of TypeScript.
pub(crate) fn quoted(text: &str) -> String {
    ascii(&serde_json::to_string(text).unwrap_or_default())
}

/// A JSON text with every character beyond ASCII as an escape.
pub(crate) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_ascii() {
        for (text, expected) in [
            ("a\"b\n", "\"a\\\"b\\n\""),
            ("é\u{7f}\u{202e}", "\"\\u00e9\\u007f\\u202e\""),
            ("😀", "\"\\ud83d\\ude00\""),
        ] {
            let literal = quoted(text);
            assert_eq!(literal, expected);
            let read: String = serde_json::from_str(&literal).unwrap();
            assert_eq!(read, text);
        }
    }
}
