//! Parts of the API's answers, as text for pages.

use serde_json::Value;

use crate::text;

/// The most characters of a log line or of an answer of an outbound call.
const LINE_MAX: usize = 2_000;

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn pairs(value: &Value) -> Vec<(String, String)> {
    let pairs = list(value).iter();
    pairs
        .map(|pair| (text_of(&pair[0]), text_of(&pair[1])))
        .collect()
}

pub(super) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn clip(text: &str) -> String {
    let mut cut: String = text.chars().take(LINE_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Names and values as they are shown.
pub(super) fn visible_pairs(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (text::line(&name, 200), text::line(&value, LINE_MAX)))
        .collect()
}
