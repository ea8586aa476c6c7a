//! The report as `landfall try --publish` sends it to a node: texts in place of values, cut so far
//! that the node keeps them.

use std::fmt::Write;
use std::path::Path;

use landfall_model::printable;
use landfall_model::recording::Verdict;
use serde_json::{Value, json};

use super::report::{Group, GroupKey, TryReport};
use crate::difference::pretty;

/// The most bytes of a published report. The node takes 512 KiB of texts.
const REPORT_BYTES_MAX: usize = 384 << 10;
/// The most bytes of each text. The first with which the report is small enough.
const TEXT_BYTES: [usize; 4] = [1 << 10, 256, 64, 16];
/// The most bytes of a place, also if texts are shorter.
const PLACE_BYTES_MIN: usize = 64;
/// The most bytes of the name of the component.
const NAME_BYTES_MAX: usize = 150;
/// JSON's word for a zero character, which no node stores.
const NUL: &str = "\\u0000";

// === impl TryReport ===

impl TryReport {
    /// The report for `POST /api/v1/hooks/{hook}/publish-try`. It says no more than `to_text`.
    pub fn to_published(&self) -> Value {
        let mut published = Value::Null;
        for bytes in TEXT_BYTES {
            published = self.with_texts_of(bytes);
            if published.to_string().len() <= REPORT_BYTES_MAX {
                break;
            }
        }
        published
    }

    fn with_texts_of(&self, bytes: usize) -> Value {
        let groups = self.groups.iter();
        let groups = groups.map(|(key, group)| published_group(key, group, bytes));
        let name = Path::new(&self.component).file_name();
        let name = name.map_or_else(
            || "component.wasm".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        json!({
            "hook": self.hook,
            "component": cut(&name, NAME_BYTES_MAX),
            "digest": self.digest,
            "attempts": self.attempts(),
            "same": self.count(Verdict::Same),
            "allowed": self.allowed,
            "differs": self.count(Verdict::Differs),
            "unanswered": self.count(Verdict::Unanswered),
            "truncated": self.count(Verdict::Truncated),
            "not_run": self.not_run,
            "groups": groups.collect::<Vec<_>>(),
        })
    }
}

fn published_group(key: &GroupKey, group: &Group, bytes: usize) -> Value {
    let sample = &group.sample;
    json!({
        "kind": key.kind.word(),
        "place": cut(&key.place, bytes.max(PLACE_BYTES_MIN)),
        "attempts": group.attempts,
        "allowed": group.is_allowed,
        "follows": key.follows,
        "sample": {
            "event": sample.event,
            "delivery": sample.delivery,
            "attempt": sample.attempt,
            "masked": sample.is_masked,
            "recorded": text_of(&sample.difference.recorded, bytes),
            "found": text_of(&sample.difference.found, bytes),
        },
    })
}

/// A value as text, empty if there is none.
fn text_of(value: &Value, bytes: usize) -> String {
    if value.is_null() {
        return String::new();
    }
    cut(&pretty(value), bytes)
}

/// The beginning of a text, with hidden characters escaped. Lines stay.
fn cut(text: &str, bytes: usize) -> String {
    let lines = text.lines().map(printable).collect::<Vec<_>>();
    let text = lines.join("\n").replace(NUL, "\\0");
    if text.len() <= bytes {
        return text;
    }
    let mut cut = text[..text.floor_char_boundary(bytes)].to_owned();
    write!(cut, "… ({} bytes)", text.len()).expect("a String takes any text");
    cut
}

#[cfg(test)]
mod tests {
    use landfall_model::recording::{Comparison, Difference, DifferenceKind};

    use super::*;

    const EVENT: &str = "0190f3c1-8a5e-7000-8000-0123456789ab";

    /// A report of one attempt with these differences.
    fn report(differences: Vec<Difference>) -> TryReport {
        let mut report = TryReport::new("orders", "/builds/next.wasm", "0a");
        let shown = json!({ "event": { "id": EVENT }, "delivery": 3, "attempt": 1 });
        let compared = Comparison {
            differences,
            following: Vec::new(),
        };
        report.add(&shown, compared, true, &[]);
        report
    }

    fn difference(place: &str, found: Value) -> Difference {
        Difference {
            kind: DifferenceKind::Reply,
            place: place.to_owned(),
            recorded: Value::Null,
            found,
        }
    }

    #[test]
    fn values_are_published_as_text() {
        let found = json!({ "total": 1, "note": "\u{0}" });
        let published = report(vec![difference("body", found)]).to_published();
        assert_eq!(published["component"], "next.wasm");
        assert_eq!(
            (&published["attempts"], &published["differs"]),
            (&json!(1), &json!(1))
        );
        let sample = &published["groups"][0]["sample"];
        assert_eq!(
            (&sample["event"], &sample["masked"]),
            (&json!(EVENT), &json!(true))
        );
        assert_eq!(sample["recorded"], "");
        let text = sample["found"].as_str().unwrap();
        assert!(text.contains("\n  \"total\": 1"), "{text}");
        assert!(!published.to_string().contains("\\u0000"), "{published}");
    }

    #[test]
    fn hidden_characters_are_escaped() {
        let published = report(vec![difference("a\u{202e}b\0", json!("\u{1b}[31m\0"))]);
        let published = published.to_published().to_string();
        for hidden in ["\u{202e}", "\\u001b", "\\u0000"] {
            assert!(!published.contains(hidden), "{hidden:?} in {published}");
        }
    }

    #[test]
    fn large_reports_are_cut() {
        let long = "\"".repeat(2 << 10);
        let places = (0..200).map(|number| format!("{long}{number}"));
        let differences = places.map(|place| difference(&place, json!(long)));
        let published = report(differences.collect()).to_published();
        let size = published.to_string().len();
        assert!(size <= REPORT_BYTES_MAX, "{size}");
        assert_eq!(published["groups"].as_array().unwrap().len(), 200);
        let text = published["groups"][0]["sample"]["found"].as_str().unwrap();
        assert!(text.ends_with("… (2048 bytes)"), "{text}");
    }
}
