//! The request of an event: its first line, its body, and the command that sends it again.

use landfall_model::MASKED;
use serde_json::Value;

use crate::curl::curl;
use crate::state::Dashboard;
use crate::text;

/// The most bytes of a body on the page. The rest can be saved.
const BODY_MAX: usize = 256 << 10;
/// The most characters of the reason why it is masked.
const WHY_MAX: usize = 400;

/// The body, and what is to know about it.
pub(super) fn body_text(event: &Value) -> (String, String) {
    let bytes = event["body_bytes"].as_u64().unwrap_or(0);
    let size = text::bytes(bytes);
    let (shown, form) = match (
        event["body"]["text"].as_str(),
        event["body"]["hex"].as_str(),
    ) {
        (Some(text), _) => (text::visible(text), "text"),
        (None, hex) => (
            hex.unwrap_or_default().to_owned(),
            "not text: in hexadecimal digits",
        ),
    };
    let mut note = format!("{size}, {form}.");
    if bytes as usize > BODY_MAX {
        note.push_str(&format!(
            " The first {} are shown.",
            text::bytes(BODY_MAX as u64)
        ));
    }
    if let Some(why) = event["masked_because"].as_str() {
        note.push_str(&format!(" Masked: {}.", text::line(why, WHY_MAX)));
    } else if is_masked(event) {
        note.push_str(" The token or signature of the sender is masked.");
    }
    (shown, note)
}

pub(super) fn request_line(event: &Value) -> String {
    let query = event["query"].as_str().map(|query| format!("?{query}"));
    let line = format!(
        "{} {}{}",
        event["method"].as_str().unwrap_or("?"),
        event["path"].as_str().unwrap_or("?"),
        query.unwrap_or_default()
    );
    text::line(&line, 500)
}

/// Masked headers are left out, and a masked token in the body stays masked: the node that receives
/// the command refuses it.
pub(super) fn as_curl(
    dashboard: &Dashboard,
    event: &Value,
    headers: &[(String, String)],
) -> String {
    let (Some(method), Some(path)) = (event["method"].as_str(), event["path"].as_str()) else {
        return String::new();
    };
    let target = match event["query"].as_str() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let known: Vec<(String, String)> = headers
        .iter()
        .filter(|(_, value)| value != MASKED)
        .cloned()
        .collect();
    let bytes = event["body_bytes"].as_u64().unwrap_or(0) as usize;
    let body: &[u8] = match event["body"]["text"].as_str() {
        Some(text) if text.len() == bytes => text.as_bytes(),
        Some(text) if is_masked(event) && bytes <= BODY_MAX => text.as_bytes(),
        // Not text, or not whole: `body.bin`.
        _ => &[0xff],
    };
    curl(method, &dashboard.public_url(&target), &known, body)
}

/// Whether a token or a signature in the body is masked.
fn is_masked(event: &Value) -> bool {
    event["body_masked"] == true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_say_what_is_missing() {
        for (event, note) in [
            (
                json!({ "body_bytes": 2, "body": { "text": "{}" } }),
                "2 B, text.",
            ),
            (
                json!({ "body_bytes": 1, "body": { "hex": "ff" } }),
                "1 B, not text: in hexadecimal digits.",
            ),
            (
                json!({ "body_bytes": 9, "body_masked": true, "body": { "text": "(masked)" } }),
                "9 B, text. The token or signature of the sender is masked.",
            ),
            (
                json!({ "body_bytes": 9, "body_masked": true, "masked_because": "its hook is gone",
                        "body": { "text": "(masked)" } }),
                "9 B, text. Masked: its hook is gone.",
            ),
            (
                json!({ "body_bytes": 300_000, "body": { "text": "a" } }),
                "293.0 KiB, text. The first 256.0 KiB are shown.",
            ),
        ] {
            assert_eq!(body_text(&event).1, note);
        }
    }
}
