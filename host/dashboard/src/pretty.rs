//! JSON with line breaks and indentation. Only white space between tokens changes: numbers, escapes
//! and the order of keys stay as they were sent.

use landfall_model::split_json_string;
use serde::de::IgnoredAny;

/// The most bytes of a result. Indentation of nested arrays could make it far larger than the text.
const BYTES_MAX: usize = 1 << 20;
const INDENT: &str = "  ";

/// The indented text. `None` if the text is no JSON, or the result would be too large.
pub(crate) fn pretty(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;

    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut tokens = text.char_indices().peekable();
    while let Some((start, c)) = tokens.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '"' => {
                let end = start + split_json_string(&text[start..]).0.len();
                out.push_str(&text[start..end]);
                while tokens.next_if(|(at, _)| *at < end).is_some() {}
            }
            '{' | '[' => {
                out.push(c);
                while tokens.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
                match tokens.next_if(|(_, c)| matches!(*c, '}' | ']')) {
                    Some((_, close)) => out.push(close),
                    None => {
                        depth += 1;
                        break_line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }

        if out.len() > BYTES_MAX {
            return None;
        }
    }

    Some(out)
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&INDENT.repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_sent() {
        let text = r#"{"id":12345678901234567890,"x":1.10,"e":[1E5,-0.0],"s":"a\"{,:\u00e9"}"#;
        let shown = pretty(text).unwrap();
        assert_eq!(
            shown,
            "{\n  \"id\": 12345678901234567890,\n  \"x\": 1.10,\n  \"e\": [\n    1E5,\n    -0.0\n  ],\n  \
             \"s\": \"a\\\"{,:\\u00e9\"\n}"
        );
        assert_eq!(pretty(&shown).unwrap(), shown);
    }

    #[test]
    fn empty_collections_stay_in_line() {
        assert_eq!(
            pretty("{ \"a\" : [ ] , \"b\":{}}").unwrap(),
            "{\n  \"a\": [],\n  \"b\": {}\n}"
        );
        assert_eq!(
            pretty("[\"äö\",\"ü\"]").unwrap(),
            "[\n  \"äö\",\n  \"ü\"\n]"
        );
    }

    #[test]
    fn other_text_is_not_changed() {
        assert_eq!(pretty("a=1&b=2"), None);
        assert_eq!(pretty("{\"a\":1} x"), None);
        let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(pretty(&nested), None);
    }
}
