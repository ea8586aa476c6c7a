//! Conditions on an event: where to look, and what has to be there.

#[cfg(not(target_arch = "wasm32"))]
use landfall_sdk::schemars::{JsonSchema, Schema, SchemaGenerator};
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Reply, json, log, settings};
use serde::Deserialize;

/// One condition, checked once when the settings are read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Typed")]
pub struct Condition {
    place: Place,
    test: Test,
}

#[cfg(not(target_arch = "wasm32"))]
impl JsonSchema for Condition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Typed::json_schema(generator)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Place {
    Header(String),
    Attribute(String),
    /// A JSON pointer.
    Json(String),
    /// A field of a form.
    Form(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Value),
    StartsWith(String),
    Exists(bool),
}

/// What may be typed: one place and one test.
#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    header: Option<String>,
    attribute: Option<String>,
    json: Option<String>,
    form: Option<String>,
    equals: Option<Value>,
    starts_with: Option<String>,
    exists: Option<bool>,
}

impl TryFrom<Typed> for Condition {
    type Error = &'static str;

    fn try_from(typed: Typed) -> Result<Self, Self::Error> {
        let place = match (typed.header, typed.attribute, typed.json, typed.form) {
            (Some(name), None, None, None) => Place::Header(name),
            (None, Some(name), None, None) => Place::Attribute(name),
            (None, None, Some(pointer), None) if pointer.is_empty() || pointer.starts_with('/') => {
                Place::Json(pointer)
            }
            (None, None, Some(_), None) => {
                return Err("a condition's json is a pointer such as \"/ref\"");
            }
            (None, None, None, Some(name)) => Place::Form(name),
            _ => return Err("a condition has one of header, attribute, json and form"),
        };
        let test = match (typed.equals, typed.starts_with, typed.exists) {
            (Some(value), None, None) => Test::Equals(value),
            (None, Some(start), None) => Test::StartsWith(start),
            (None, None, Some(exists)) => Test::Exists(exists),
            _ => return Err("a condition has one of equals, starts_with and exists"),
        };
        Ok(Self { place, test })
    }
}

impl Condition {
    /// Why the condition does not hold; none where it does. `body` is the event's JSON, or null.
    fn unmet(&self, event: &Event, body: &Value) -> Option<String> {
        let found = self.place.find(event, body);
        if self.test.holds(found.as_ref()) {
            return None;
        }
        let found = found.map_or_else(|| "missing".to_owned(), |value| short(&value.to_string()));
        Some(format!("{} is {found}", self.place))
    }
}

impl Place {
    fn find(&self, event: &Event, body: &Value) -> Option<Value> {
        match self {
            Self::Header(name) => event.header(name).map(Value::from),
            Self::Attribute(name) => event.attribute(name).map(Value::from),
            Self::Json(pointer) => body.pointer(pointer).cloned(),
            Self::Form(name) => event.form_field(name).map(Value::from),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Attribute(name) => write!(f, "attribute {name}"),
            Self::Json(pointer) => write!(f, "json {pointer}"),
            Self::Form(name) => write!(f, "form {name}"),
        }
    }
}

impl Test {
    fn holds(&self, found: Option<&Value>) -> bool {
        match self {
            Self::Equals(value) => found == Some(value),
            Self::StartsWith(start) => found
                .and_then(Value::as_str)
                .is_some_and(|text| text.starts_with(start)),
            Self::Exists(exists) => found.is_some() == *exists,
        }
    }
}

/// A value goes into the answer to the caller, who sent it; a long one is of no use there.
fn short(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The reply to an event that a condition leaves out: `{WHAT: false, "because": …}`; none where all hold.
pub fn skipped(when: &[Condition], event: &Event, what: &str) -> Option<Reply> {
    let because = unmet(when, event)?;
    log::info(format!("not {what}: {because}"));
    Some(Reply::json(
        200,
        &json!({ what: false, "because": because }),
    ))
}

/// The first condition that does not hold, in words.
pub fn unmet(when: &[Condition], event: &Event) -> Option<String> {
    if when.is_empty() {
        return None;
    }
    // A body that is not JSON has nothing where a pointer points; conditions on headers may still hold.
    let body = event.json().unwrap_or(Value::Null);
    when.iter()
        .find_map(|condition| condition.unmet(event, &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{json, serde_json, testing};

    #[test]
    fn each_test_at_each_place() {
        let body = json!({ "ref": "refs/heads/main", "n": 3, "none": null });
        let event = testing::post(body.clone())
            .header("X-Kind", "push")
            .attribute("provider", "github")
            .build();
        let cases = [
            (json!({ "header": "X-KIND", "equals": "push" }), None),
            (
                json!({ "header": "x-kind", "equals": "ping" }),
                Some("header x-kind is \"push\""),
            ),
            (
                json!({ "header": "x-other", "equals": "push" }),
                Some("header x-other is missing"),
            ),
            (
                json!({ "attribute": "provider", "starts_with": "git" }),
                None,
            ),
            (
                json!({ "json": "/ref", "starts_with": "refs/tags/" }),
                Some("json /ref is \"refs/heads/main\""),
            ),
            (json!({ "json": "/n", "equals": 3 }), None),
            (json!({ "json": "/n", "equals": "3" }), Some("json /n is 3")),
            (json!({ "json": "/none", "exists": true }), None),
            (json!({ "json": "/deleted", "exists": false }), None),
            (
                json!({ "json": "/n", "exists": false }),
                Some("json /n is 3"),
            ),
        ];
        for (typed, unmet) in cases {
            let condition: Condition = serde_json::from_value(typed.clone()).unwrap();
            assert_eq!(condition.unmet(&event, &body).as_deref(), unmet, "{typed}");
        }
    }

    #[test]
    fn form_fields_are_compared() {
        let event = testing::post_raw("From=%2B1&n=1")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .build();
        for (typed, unmet) in [
            (json!({ "form": "From", "starts_with": "+" }), None),
            (
                json!({ "form": "n", "equals": "2" }),
                Some("form n is \"1\""),
            ),
            (
                json!({ "form": "To", "exists": true }),
                Some("form To is missing"),
            ),
        ] {
            let condition: Condition = serde_json::from_value(typed.clone()).unwrap();
            assert_eq!(
                condition.unmet(&event, &Value::Null).as_deref(),
                unmet,
                "{typed}"
            );
        }
    }

    #[test]
    fn conditions_have_one_place_one_test() {
        for typed in [
            json!({ "header": "a", "json": "/b", "equals": 1 }),
            json!({ "header": "a" }),
            json!({ "json": "ref", "exists": true }),
            json!({ "header": "a", "equal": 1 }),
        ] {
            assert!(
                serde_json::from_value::<Condition>(typed.clone()).is_err(),
                "{typed}"
            );
        }
    }
}
