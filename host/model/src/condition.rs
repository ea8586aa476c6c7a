//! A condition on an event: where to look, and what has to be there. Hook files write conditions as
//! the `when` of the bundled handlers does.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// One condition, checked when it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Typed")]
pub struct Condition {
    /// Where to look.
    pub place: ConditionPlace,
    /// What has to be there.
    pub test: ConditionTest,
}

/// A place in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionPlace {
    /// A field of the event.
    Field(EventField),
    /// The first header of this name.
    Header(String),
    /// An attribute that the host has determined.
    Attribute(String),
    /// A value of the JSON body, by JSON pointer (RFC 6901).
    Json(String),
    /// A field of a form.
    Form(String),
}

/// A field of the event, by its name in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventField {
    /// The provider pack.
    Provider,
    /// The type that the provider gives the event.
    EventType,
    /// The delivery id of the provider.
    DeliveryId,
    /// The name of the hook.
    Hook,
    /// The method, in upper case.
    Method,
    /// The path as sent.
    Path,
}

/// What has to be at the place.
#[derive(Debug, Clone, PartialEq)]
pub enum ConditionTest {
    /// This value.
    Equals(Value),
    /// A text that begins with this one.
    StartsWith(String),
    /// Any value, null included (`true`), or none (`false`).
    Exists(bool),
}

/// What may be typed: one place and one test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    field: Option<EventField>,
    header: Option<String>,
    attribute: Option<String>,
    json: Option<String>,
    form: Option<String>,
    equals: Option<Value>,
    starts_with: Option<String>,
    exists: Option<bool>,
}

/// A typed condition that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It has no place, or several.
    #[error("a condition has one of field, header, attribute, json and form")]
    Place,
    /// It has no test, or several.
    #[error("a condition has one of equals, starts_with and exists")]
    Test,
    /// The JSON pointer does not begin with a slash.
    #[error("a condition's json is a pointer such as \"/ref\"")]
    Pointer,
    /// An attribute that is a field of the event.
    #[error(
        "provider, event-type and delivery-id are fields of the event: write field = \"event-type\" instead of \
         attribute"
    )]
    Attribute,
}

// === impl Condition ===

impl TryFrom<Typed> for Condition {
    type Error = ConditionError;

    fn try_from(typed: Typed) -> Result<Condition, ConditionError> {
        let places = [
            typed.field.map(ConditionPlace::Field),
            typed.header.map(ConditionPlace::Header),
            typed.attribute.map(ConditionPlace::Attribute),
            typed.json.map(ConditionPlace::Json),
            typed.form.map(ConditionPlace::Form),
        ];
        let mut places = places.into_iter().flatten();
        let (Some(place), None) = (places.next(), places.next()) else {
            return Err(ConditionError::Place);
        };

        match &place {
            ConditionPlace::Json(pointer) if !pointer.is_empty() && !pointer.starts_with('/') => {
                return Err(ConditionError::Pointer);
            }
            ConditionPlace::Attribute(name)
                if matches!(name.as_str(), "provider" | "event-type" | "delivery-id") =>
            {
                return Err(ConditionError::Attribute);
            }
            _ => {}
        }

        let test = match (typed.equals, typed.starts_with, typed.exists) {
            (Some(value), None, None) => ConditionTest::Equals(value),
            (None, Some(start), None) => ConditionTest::StartsWith(start),
            (None, None, Some(exists)) => ConditionTest::Exists(exists),
            _ => return Err(ConditionError::Test),
        };
        Ok(Condition { place, test })
    }
}

// === impl ConditionPlace ===

impl fmt::Display for ConditionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConditionPlace::Field(field) => f.write_str(field.name()),
            ConditionPlace::Header(name) => write!(f, "header {name}"),
            ConditionPlace::Attribute(name) => write!(f, "attribute {name}"),
            ConditionPlace::Json(pointer) => write!(f, "json {pointer}"),
            ConditionPlace::Form(name) => write!(f, "form {name}"),
        }
    }
}

// === impl EventField ===

impl EventField {
    /// The name of the field in the contract.
    pub fn name(self) -> &'static str {
        match self {
            EventField::Provider => "provider",
            EventField::EventType => "event-type",
            EventField::DeliveryId => "delivery-id",
            EventField::Hook => "hook",
            EventField::Method => "method",
            EventField::Path => "path",
        }
    }
}

// === impl ConditionTest ===

impl ConditionTest {
    /// Whether the value at the place passes.
    pub fn holds(&self, found: Option<&Value>) -> bool {
        match self {
            ConditionTest::Equals(value) => found == Some(value),
            ConditionTest::StartsWith(start) => found
                .and_then(Value::as_str)
                .is_some_and(|text| text.starts_with(start.as_str())),
            ConditionTest::Exists(exists) => found.is_some() == *exists,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_have_one_place_one_test() {
        for (typed, error) in [
            (
                json!({ "header": "a", "json": "/b", "equals": 1 }),
                ConditionError::Place,
            ),
            (json!({ "exists": true }), ConditionError::Place),
            (json!({ "header": "a" }), ConditionError::Test),
            (
                json!({ "header": "a", "equals": 1, "exists": true }),
                ConditionError::Test,
            ),
            (
                json!({ "json": "ref", "exists": true }),
                ConditionError::Pointer,
            ),
            (
                json!({ "attribute": "event-type", "exists": true }),
                ConditionError::Attribute,
            ),
        ] {
            let typed: Typed = serde_json::from_value(typed).unwrap();
            assert_eq!(Condition::try_from(typed), Err(error));
        }
    }

    #[test]
    fn each_test_compares_one_value() {
        let equals = ConditionTest::Equals(json!(3));
        assert!(equals.holds(Some(&json!(3))));
        assert!(!equals.holds(Some(&json!("3"))));
        assert!(!equals.holds(None));
        let starts = ConditionTest::StartsWith("refs/".into());
        assert!(starts.holds(Some(&json!("refs/heads/main"))));
        assert!(!starts.holds(Some(&json!(7))));
        assert!(ConditionTest::Exists(true).holds(Some(&Value::Null)));
        assert!(ConditionTest::Exists(false).holds(None));
    }
}
