//! Response bodies for records: the beginning of a text, without values whose names say that they
//! are secret. Credentials that were sent with the call have been removed from the response before.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use landfall_model::split_json_string;

const REDACTED: &str = "[redacted]";
/// A value whose name contains one of these words is masked.
const SENSITIVE: [&str; 9] = [
    "token",
    "secret",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "session",
];

/// Finds the words of `SENSITIVE` in one pass: names are looked at in every call.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(SENSITIVE);
    words.expect("the words are few and short")
});

/// The first bytes of a response body, if they are text.
pub fn excerpt(body: &[u8], bytes_max: usize) -> String {
    let cut = &body[..body.len().min(bytes_max)];
    let text = match std::str::from_utf8(cut) {
        Ok(text) => text,
        // The cut is within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&cut[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };

    if text.contains('"') {
        of_json(text)
    } else if text.contains('=') {
        of_form(text)
    } else {
        text.to_owned()
    }
}

fn is_sensitive(name: &str) -> bool {
    WORDS.is_match(name)
}

/// The JSON text need not be complete: only its string literals are read.
fn of_json(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    // The string before, if it may be the name of the next one.
    let (mut rest, mut name) = (text, None);
    while let Some(at) = rest.find('"') {
        let between = &rest[..at];
        let (literal, after) = split_json_string(&rest[at..]);
        let is_secret = between.trim() == ":" && name.is_some_and(is_sensitive);
        masked.push_str(between);
        if is_secret {
            masked.extend(["\"", REDACTED, "\""]);
        } else {
            masked.push_str(literal);
        }

        name = (!is_secret).then_some(literal);
        rest = after;
    }

    masked + rest
}

fn of_form(text: &str) -> String {
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_sensitive(name) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_secrets_are_redacted() {
        for (answer, expected) in [
            (
                r#"{"ok":true,"access_token": "a\"b","n":1}"#,
                r#"{"ok":true,"access_token": "[redacted]","n":1}"#,
            ),
            (
                r#"{"Client_Secret":"cut of"#,
                r#"{"Client_Secret":"[redacted]""#,
            ),
            (r#"["token","b"]"#, r#"["token","b"]"#),
            ("access_token=a&scope=b", "access_token=[redacted]&scope=b"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(excerpt(answer.as_bytes(), 2048), expected);
        }
    }

    #[test]
    fn long_and_binary_bodies_are_cut() {
        assert_eq!(excerpt("é".repeat(2000).as_bytes(), 2048).len(), 2048);
        assert_eq!(
            excerpt(format!("a{}", "é".repeat(2000)).as_bytes(), 2048).len(),
            2047
        );
        assert_eq!(excerpt(b"\xff\xfe", 2048), "");
    }
}
