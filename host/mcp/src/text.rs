//! Text for agents: without characters that a reader does not see, and of a bounded length.

use landfall_model::is_hidden;
use serde_json::Value;

/// The text with hidden characters escaped. Line feeds and tabs stay: JSON shows them.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && c != '\n' && c != '\t' {
            visible.extend(c.escape_debug());
        } else {
            visible.push(c);
        }
    }

    visible
}

/// The first `max` characters of a text, and how many are left out.
pub(crate) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => {
            let left_out = text[end..].chars().count();
            format!("{} … ({left_out} more characters)", &text[..end])
        }
    }
}

/// A value whose texts are all `visible`, keys included.
pub(crate) fn visible_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible(&text)),
        Value::Array(list) => list.into_iter().map(visible_value).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (visible(&key), visible_value(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hidden_characters_are_escaped() {
        for (text, shown) in [
            ("a\n\tb", "a\n\tb"),
            ("\u{1b}[2J\r", "\\u{1b}[2J\\r"),
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("é語🙂\"", "é語🙂\""),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(
            visible_value(json!({ "a\u{200b}": ["\u{202e}", 1, null] })),
            json!({ "a\\u{200b}": ["\\u{202e}", 1, null] })
        );
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 3), "äöü … (1 more characters)");
        assert_eq!(cut("", 0), "");
    }
}
