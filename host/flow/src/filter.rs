//! `[filter]`: whether an event runs.

use landfall_model::{Condition, Event};
use serde_json::Value;

use super::seen::{NoJson, Seen};

/// The most characters of a value in a reason.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// Whether an event runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All conditions hold.
    Runs,
    /// A condition does not hold, for this reason: `json /ref is "refs/heads/next"`.
    Filtered(String),
    /// A condition cannot be evaluated, for this reason. The event runs: nothing is lost because of
    /// a body that is not what the condition expects.
    Undecided(String),
}

/// Evaluates conditions in their order, up to the first that does not hold.
pub(crate) fn check(when: &[Condition], event: &Event) -> Verdict {
    let seen = Seen::new(event);
    for Condition { place, test } in when {
        let found = match seen.find(place) {
            Ok(found) => found,
            Err(NoJson) => {
                return Verdict::Undecided(format!(
                    "the condition on {place} needs a JSON body, and this one is none"
                ));
            }
        };
        if !test.holds(found.as_ref()) {
            return Verdict::Filtered(format!("{place} is {}", shown(found.as_ref())));
        }
    }
    Verdict::Runs
}

/// The place of the condition in the reason of `Verdict::Filtered`, without the value. A place with
/// ` is ` in its own name ends there.
pub fn filtered_place(why: &str) -> &str {
    why.split_once(" is ").map_or("", |(place, _)| place)
}

fn shown(found: Option<&Value>) -> String {
    let Some(value) = found else {
        return "missing".to_owned();
    };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::event;

    fn verdict(when: Value, event: &Event) -> Verdict {
        let when: Vec<Condition> = serde_json::from_value(when).unwrap();
        check(&when, event)
    }

    fn filtered(why: &str) -> Verdict {
        Verdict::Filtered(why.to_owned())
    }

    #[test]
    fn each_place_is_compared() {
        let mut push = event(r#"{"ref":"refs/heads/main","n":3,"none":null}"#);
        push.headers.insert("x-kind", "push".parse().unwrap());
        let of = |condition: Value| verdict(json!([condition]), &push);
        for (condition, expected) in [
            (
                json!({ "header": "X-KIND", "equals": "push" }),
                Verdict::Runs,
            ),
            (
                json!({ "header": "x-kind", "equals": "ping" }),
                filtered("header x-kind is \"push\""),
            ),
            (
                json!({ "header": "x-other", "exists": true }),
                filtered("header x-other is missing"),
            ),
            (
                json!({ "field": "provider", "equals": "github" }),
                Verdict::Runs,
            ),
            (json!({ "field": "hook", "equals": "in" }), Verdict::Runs),
            (
                json!({ "field": "method", "equals": "PUT" }),
                filtered("method is \"POST\""),
            ),
            (
                json!({ "attribute": "verified-by", "starts_with": "sig" }),
                Verdict::Runs,
            ),
            (
                json!({ "attribute": "proof", "exists": true }),
                filtered("attribute proof is missing"),
            ),
            (
                json!({ "json": "/ref", "starts_with": "refs/tags/" }),
                filtered("json /ref is \"refs/heads/main\""),
            ),
            (json!({ "json": "/n", "equals": 3 }), Verdict::Runs),
            (json!({ "json": "/none", "exists": true }), Verdict::Runs),
            (
                json!({ "json": "/deleted", "exists": false }),
                Verdict::Runs,
            ),
        ] {
            assert_eq!(of(condition.clone()), expected, "{condition}");
        }
    }

    #[test]
    fn places_are_without_the_value() {
        assert_eq!(filtered_place("json /ref is \"a is b\""), "json /ref");
        assert_eq!(filtered_place("header x is missing"), "header x");
        assert_eq!(filtered_place("json /a is b is \"secret\""), "json /a");
    }

    #[test]
    fn unreadable_bodies_are_not_filtered() {
        let when = json!([{ "json": "/ref", "equals": "x" }]);
        let why = "the condition on json /ref needs a JSON body, and this one is none";
        for body in ["not json", "{\"ref\":", "\u{feff}{}"] {
            assert_eq!(
                verdict(when.clone(), &event(body)),
                Verdict::Undecided(why.to_owned()),
                "{body}"
            );
        }
        // An earlier condition decides, and an empty body has no values.
        let other =
            json!([{ "field": "method", "equals": "PUT" }, { "json": "/ref", "equals": "x" }]);
        assert_eq!(
            verdict(other, &event("not json")),
            filtered("method is \"POST\"")
        );
        assert_eq!(verdict(when, &event("")), filtered("json /ref is missing"));
    }

    #[test]
    fn form_fields_are_compared() {
        let mut form = event("From=%2B1&n=1&payload=%7B%22a%22%3A2%7D");
        let kind = "application/x-www-form-urlencoded".parse().unwrap();
        form.headers.insert("content-type", kind);
        form.attributes
            .push(("json-form-field".into(), "payload".into()));
        let of = |condition: Value| verdict(json!([condition]), &form);
        assert_eq!(
            of(json!({ "form": "From", "starts_with": "+" })),
            Verdict::Runs
        );
        assert_eq!(
            of(json!({ "form": "n", "equals": "2" })),
            filtered("form n is \"1\"")
        );
        assert_eq!(of(json!({ "json": "/a", "equals": 2 })), Verdict::Runs);
    }
}
