//! `/json/pointer=value`: sets a value in the JSON body of an event.

use std::str::FromStr;

use serde_json::{Map, Value};

/// A value that replaces one in the body of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub(crate) pointer: String,
    pub(crate) value: Value,
}

/// Why a value cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// The text has no `=`.
    #[error("`{0}` has no value: write /POINTER=VALUE, such as /ref=refs/heads/main")]
    NoValue(String),
    /// The text does not begin with a slash.
    #[error("`{0}` is not a JSON pointer: it begins with `/`, such as /repository/name")]
    NoPointer(String),
    /// The pointer leads into a value that has no parts.
    #[error("`{pointer}` leads into {kind}: name a place in an object or a list")]
    NoPlace {
        /// The whole pointer.
        pointer: String,
        /// What is there.
        kind: &'static str,
    },
    /// The list has no such place.
    #[error(
        "`{pointer}` names place {index} of a list of {length}: the last place is {length}, which appends"
    )]
    NoIndex {
        /// The whole pointer.
        pointer: String,
        /// What was written in place of a number of the list.
        index: String,
        /// The elements of the list.
        length: usize,
    },
}

// === impl Override ===

impl Override {
    pub(crate) fn new(pointer: &str, value: Value) -> Result<Override, PointerError> {
        if !pointer.starts_with('/') {
            return Err(PointerError::NoPointer(pointer.to_owned()));
        }
        Ok(Override {
            pointer: pointer.to_owned(),
            value,
        })
    }

    /// Sets the value. Objects that are missing on the way are made.
    pub(crate) fn apply(&self, body: &mut Value) -> Result<(), PointerError> {
        let mut place = body;
        for token in self.pointer[1..].split('/') {
            let token = token.replace("~1", "/").replace("~0", "~");
            place = step(place, token, &self.pointer)?;
        }
        *place = self.value.clone();
        Ok(())
    }
}

impl FromStr for Override {
    type Err = PointerError;

    /// A value that is no JSON is a text.
    fn from_str(text: &str) -> Result<Override, PointerError> {
        let (pointer, value) = text
            .split_once('=')
            .ok_or_else(|| PointerError::NoValue(text.to_owned()))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        Override::new(pointer, value)
    }
}

fn step<'a>(
    place: &'a mut Value,
    token: String,
    pointer: &str,
) -> Result<&'a mut Value, PointerError> {
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(object) => Ok(object.entry(token).or_insert(Value::Null)),
        Value::Array(list) => {
            let length = list.len();
            let index = token.parse().ok().filter(|index| *index <= length);
            let index: usize = index.ok_or_else(|| PointerError::NoIndex {
                pointer: pointer.to_owned(),
                index: token.clone(),
                length,
            })?;
            if index == length {
                list.push(Value::Null);
            }
            Ok(&mut list[index])
        }
        Value::String(_) => Err(no_place(pointer, "a text")),
        Value::Number(_) => Err(no_place(pointer, "a number")),
        Value::Bool(_) | Value::Null => Err(no_place(pointer, "true or false")),
    }
}

fn no_place(pointer: &str, kind: &'static str) -> PointerError {
    PointerError::NoPlace {
        pointer: pointer.to_owned(),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_set_and_added() {
        let mut body = json!({ "a": { "b": [1] }, "t": "x" });
        for text in [
            "/a/b/0=2",
            "/a/b/1=\"n\"",
            "/new/deep=refs/heads/main",
            "/x~1y=null",
        ] {
            text.parse::<Override>().unwrap().apply(&mut body).unwrap();
        }
        assert_eq!(
            body,
            json!({ "a": { "b": [2, "n"] }, "new": { "deep": "refs/heads/main" }, "t": "x", "x/y": null })
        );
    }

    #[test]
    fn wrong_pointers_say_what_to_write() {
        let mut body = json!({ "t": "x", "l": [1] });
        let mut problem = |text: &str| match text.parse::<Override>() {
            Err(error) => error.to_string(),
            Ok(value) => value.apply(&mut body).unwrap_err().to_string(),
        };
        assert!(problem("/a").contains("has no value"));
        assert!(problem("a=1").contains("begins with `/`"));
        assert!(problem("/t/b=1").contains("leads into a text"));
        assert!(problem("/l/3=1").contains("place 3 of a list of 1"));
    }
}
