//! What a case expected and what happened, as text for people.

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 3;

/// One difference between a case and its run.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The key below `[expect]`, or the part of the run.
    pub(crate) key: String,
    /// The lines below it.
    pub(crate) text: String,
}

// === impl Difference ===

impl Difference {
    /// Lines with `-` were expected, lines with `+` happened.
    pub(crate) fn between(key: &str, expected: &Value, actual: &Value) -> Difference {
        Difference {
            key: key.to_owned(),
            text: diff(&pretty(expected), &pretty(actual)),
        }
    }

    pub(crate) fn message(key: &str, text: impl Into<String>) -> Difference {
        Difference {
            key: key.to_owned(),
            text: text.into(),
        }
    }

    /// Adds a line that explains the difference.
    pub(crate) fn with_hint(mut self, hint: &str) -> Difference {
        self.text.push('\n');
        self.text.push_str(hint);
        self
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "key": self.key, "text": self.text })
    }
}

/// Lines with `-` were recorded, lines with `+` happened. Null: there was nothing.
pub(crate) fn diff_of(recorded: &Value, found: &Value) -> String {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        value => pretty(value),
    };
    diff(&text(recorded), &text(found))
}

/// JSON over several lines, texts without quotes.
pub(crate) fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let lines = list.iter().filter_map(Value::as_str);
            lines.collect::<Vec<_>>().join("\n")
        }
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

fn diff(expected: &str, actual: &str) -> String {
    let changes = TextDiff::from_lines(expected, actual);
    let mut lines = Vec::new();
    for (number, group) in changes.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if number > 0 {
            lines.push("  …".to_owned());
        }
        for change in group.iter().flat_map(|op| changes.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = change.value().trim_end_matches('\n');
            lines.push(format!("{sign} {line}").trim_end().to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_by_line() {
        let expected = json!({ "a": 1, "b": [1, 2], "z": "x" });
        let actual = json!({ "a": 1, "b": [1, 3], "z": "x" });
        assert_eq!(
            Difference::between("json", &expected, &actual).text,
            "    \"a\": 1,\n    \"b\": [\n      1,\n-     2\n+     3\n    ],\n    \"z\": \"x\"\n  }"
        );
        let texts = Difference::between("reason", &json!("one"), &json!("other")).text;
        assert_eq!(texts, "- one\n+ other");
    }
}
