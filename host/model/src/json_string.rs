//! Where a string of JSON ends.

/// The JSON string at the beginning of a text, with its quotes, and the text after it. A string
/// without an end goes to the end of the text. Its escapes are not checked.
pub fn split_json_string(text: &str) -> (&str, &str) {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return text.split_at(at + 1),
            _ => {}
        }
    }

    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_quote() {
        for (text, string) in [
            (r#""a",1"#, r#""a""#),
            (r#""a\"b\\"c""#, r#""a\"b\\""#),
            (r#""" "x""#, r#""""#),
            ("\"é\\é\"ü", "\"é\\é\""),
            (r#""cut \"#, r#""cut \"#),
        ] {
            let rest = &text[string.len()..];
            assert_eq!(split_json_string(text), (string, rest), "{text}");
        }
    }
}
