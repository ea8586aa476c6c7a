//! What the pointers of `[settings]` point into.

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure};

/// The JSON document of an event; the fields of a form as an object; null for an empty body. Any
/// other body is a reject.
pub fn document(event: &Event) -> Result<Value, Failure> {
    let failure = match event.json() {
        Ok(json) => return Ok(json),
        Err(failure) => failure,
    };
    match event.form_fields() {
        Some(fields) => Ok(fields
            .into_iter()
            .rev()
            .map(|(name, value)| (name, Value::from(value)))
            .collect()),
        None if event.bytes().is_empty() => Ok(Value::Null),
        None => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{json, testing};

    #[test]
    fn forms_and_empty_bodies_are_documents() {
        let form = testing::post_raw("a=1&b=2&a=3")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .build();
        assert_eq!(document(&form), Ok(json!({ "a": "1", "b": "2" })));
        assert_eq!(document(&testing::post_raw("").build()), Ok(Value::Null));
        assert!(matches!(
            document(&testing::post_raw("a=1").build()),
            Err(Failure::Reject { .. })
        ));
    }
}
