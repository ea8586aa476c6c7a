//! Conditions on an event: where to look, and what has to be there.

#[cfg(not(target_arch = "wasm32"))]
use landfall_sdk::schemars::{JsonSchema, Schema, SchemaGenerator};
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, log, settings};
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
    Field(Field),
    Header(String),
    Attribute(String),
    /// A JSON pointer.
    Json(String),
    /// A field of a form.
    Form(String),
}

/// A field of the event, by its name in the contract.
#[settings]
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Field {
    Provider,
    EventType,
    DeliveryId,
    Hook,
    Method,
    Path,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::EventType => "event-type",
            Self::DeliveryId => "delivery-id",
            Self::Hook => "hook",
            Self::Method => "method",
            Self::Path => "path",
        }
    }

    fn find(self, event: &Event) -> Option<&str> {
        match self {
            Self::Provider => event.provider.as_deref(),
            Self::EventType => event.event_type.as_deref(),
            Self::DeliveryId => event.delivery_id.as_deref(),
            Self::Hook => Some(&event.hook),
            Self::Method => Some(&event.method),
            Self::Path => Some(&event.path),
        }
    }
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
    field: Option<Field>,
    header: Option<String>,
    attribute: Option<String>,
    #[schemars(extend("format" = "json-pointer"))]
    json: Option<String>,
    form: Option<String>,
    equals: Option<Value>,
    starts_with: Option<String>,
    exists: Option<bool>,
}

impl TryFrom<Typed> for Condition {
    type Error = &'static str;

    fn try_from(typed: Typed) -> Result<Self, Self::Error> {
        let places = [
            typed.field.map(Place::Field),
            typed.header.map(Place::Header),
            typed.attribute.map(Place::Attribute),
            typed.json.map(Place::Json),
            typed.form.map(Place::Form),
        ];
        let mut places = places.into_iter().flatten();
        let (Some(place), None) = (places.next(), places.next()) else {
            return Err("a condition has one of field, header, attribute, json and form");
        };
        match &place {
            Place::Json(pointer) if !pointer.is_empty() && !pointer.starts_with('/') => {
                return Err("a condition's json is a pointer such as \"/ref\"");
            }
            Place::Attribute(name)
                if matches!(name.as_str(), "provider" | "event-type" | "delivery-id") =>
            {
                return Err(
                    "provider, event-type and delivery-id are fields of the event: write \
                     field = \"event-type\" instead of attribute",
                );
            }
            _ => {}
        }
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
            Self::Field(field) => field.find(event).map(Value::from),
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
            Self::Field(field) => write!(f, "{}", field.name()),
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

/// The value for a log line.
fn short(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether a condition does not hold. The log says which one: `not posted: json /ref is missing`.
pub fn skipped(when: &[Condition], event: &Event, what: &str) -> bool {
    let because = unmet(when, event);
    if let Some(because) = &because {
        log::info(format!("not {what}: {because}"));
    }
    because.is_some()
}

/// The first condition that does not hold, in words.
pub fn unmet(when: &[Condition], event: &Event) -> Option<String> {
    if when.is_empty() {
        return None;
    }
    // A body that is not JSON has nothing where a pointer points; conditions on headers may still
    // hold.
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
            .provider("github")
            .attribute("verified-by", "hmac")
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
                json!({ "attribute": "verified-by", "starts_with": "hm" }),
                None,
            ),
            (json!({ "field": "provider", "equals": "github" }), None),
            (
                json!({ "field": "event-type", "equals": "push" }),
                Some("event-type is missing"),
            ),
            (
                json!({ "field": "method", "equals": "PUT" }),
                Some("method is \"POST\""),
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
            json!({ "field": "colour", "exists": true }),
            json!({ "attribute": "event-type", "exists": true }),
            json!({ "header": "a", "equal": 1 }),
        ] {
            assert!(
                serde_json::from_value::<Condition>(typed.clone()).is_err(),
                "{typed}"
            );
        }
    }
}
