//! `/json/pointer=value`: sets a value in the JSON body of an event.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;
use serde_json::value::RawValue;

/// A value that replaces one in the body of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub(crate) pointer: String,
    /// The value, as JSON text.
    json: String,
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
    pub(crate) fn new(pointer: &str, value: &Value) -> Result<Override, PointerError> {
        Override::with_json(pointer, value.to_string())
    }

    fn with_json(pointer: &str, json: String) -> Result<Override, PointerError> {
        if !pointer.starts_with('/') {
            return Err(PointerError::NoPointer(pointer.to_owned()));
        }
        Ok(Override {
            pointer: pointer.to_owned(),
            json,
        })
    }

    /// The JSON text with the value in its place. Everything else stays as it is written. Objects
    /// that are missing on the way are made.
    pub(crate) fn apply(&self, body: &str) -> Result<String, PointerError> {
        let tokens = self.pointer[1..].split('/');
        let tokens: Vec<String> = tokens
            .map(|token| token.replace("~1", "/").replace("~0", "~"))
            .collect();
        self.replaced(body, &tokens)
    }

    /// `text` is valid JSON.
    fn replaced(&self, text: &str, tokens: &[String]) -> Result<String, PointerError> {
        let Some((token, rest)) = tokens.split_first() else {
            return Ok(self.json.clone());
        };
        match Parts::of(text) {
            Parts::Null => {
                let value = self.replaced("null", rest)?;
                Ok(format!("{{{}:{value}}}", Value::from(token.as_str())))
            }
            Parts::Object(values) => match values.get(token) {
                Some(value) => self.spliced(text, value.get(), rest),
                None => {
                    let value = self.replaced("null", rest)?;
                    let entry = format!("{}:{value}", Value::from(token.as_str()));
                    Ok(appended(text, &entry, values.is_empty()))
                }
            },
            Parts::List(values) => {
                let length = values.len();
                let index = token.parse().ok().filter(|index| *index <= length);
                let index: usize = index.ok_or_else(|| PointerError::NoIndex {
                    pointer: self.pointer.clone(),
                    index: token.clone(),
                    length,
                })?;
                match values.get(index) {
                    Some(value) => self.spliced(text, value.get(), rest),
                    None => {
                        let value = self.replaced("null", rest)?;
                        Ok(appended(text, &value, length == 0))
                    }
                }
            }
            Parts::Single(kind) => Err(no_place(&self.pointer, kind)),
        }
    }

    /// `text` with another value in place of `part`, which is a slice of it.
    fn spliced(&self, text: &str, part: &str, rest: &[String]) -> Result<String, PointerError> {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        let (before, after) = (&text[..start], &text[start + part.len()..]);
        Ok(format!("{before}{}{after}", self.replaced(part, rest)?))
    }
}

impl FromStr for Override {
    type Err = PointerError;

    /// A value that is no JSON is a text.
    fn from_str(text: &str) -> Result<Override, PointerError> {
        let (pointer, value) = text
            .split_once('=')
            .ok_or_else(|| PointerError::NoValue(text.to_owned()))?;
        let json = match serde_json::from_str::<&RawValue>(value) {
            Ok(json) => json.get().to_owned(),
            Err(_) => Value::from(value).to_string(),
        };
        Override::with_json(pointer, json)
    }
}

/// A JSON value whose parts are slices of its text.
enum Parts<'a> {
    Null,
    Object(BTreeMap<String, &'a RawValue>),
    List(Vec<&'a RawValue>),
    /// A value without parts, by its name.
    Single(&'static str),
}

// === impl Parts ===

impl Parts<'_> {
    fn of(text: &str) -> Parts<'_> {
        match text.trim_start().as_bytes().first() {
            // The key of an object can be half of a surrogate pair.
            Some(b'{') => serde_json::from_str(text).map_or(
                Parts::Single("an object with a key that is not text"),
                Parts::Object,
            ),
            Some(b'[') => serde_json::from_str(text)
                .map_or(Parts::Single("a list that cannot be read"), Parts::List),
            Some(b'"') => Parts::Single("a text"),
            Some(b't' | b'f') => Parts::Single("true or false"),
            Some(b'n') | None => Parts::Null,
            Some(_) => Parts::Single("a number"),
        }
    }
}

/// An object or a list with one more part behind the others.
fn appended(text: &str, part: &str, is_first: bool) -> String {
    let (before, close) = text.trim_end().split_at(text.trim_end().len() - 1);
    let before = before.trim_end();
    let comma = if is_first { "" } else { "," };
    format!("{before}{comma}{part}{close}")
}

fn no_place(pointer: &str, kind: &'static str) -> PointerError {
    PointerError::NoPlace {
        pointer: pointer.to_owned(),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(body: &str, overrides: &[&str]) -> String {
        overrides.iter().fold(body.to_owned(), |body, text| {
            text.parse::<Override>().unwrap().apply(&body).unwrap()
        })
    }

    #[test]
    fn values_are_set_and_added() {
        let body = apply(
            r#"{"a":{"b":[1]},"t":"x"}"#,
            &[
                "/a/b/0=2",
                "/a/b/1=\"n\"",
                "/new/deep=refs/heads/main",
                "/x~1y=null",
            ],
        );
        assert_eq!(
            body,
            r#"{"a":{"b":[2,"n"]},"t":"x","new":{"deep":"refs/heads/main"},"x/y":null}"#
        );
        assert_eq!(
            apply("null", &["/a=1", "/l=[]", "/l/0={}"]),
            r#"{"a":1,"l":[{}]}"#
        );
        assert_eq!(apply("{}", &["/=1"]), r#"{"":1}"#);
    }

    #[test]
    fn other_values_stay_as_written() {
        let body =
            "{ \"z\": 12345678901234567890123,\n  \"p\": 1.10, \"a\": [ 1e400, {\"b\" : 1} ] }\n";
        assert_eq!(
            apply(body, &["/a/1/b=2.50"]),
            body.replace(": 1}", ": 2.50}")
        );
        assert_eq!(
            apply(body, &["/id=98765432109876543210987"]),
            body.replace(" }\n", ",\"id\":98765432109876543210987}")
        );
        // Of two equal keys, most parsers take the last one.
        assert_eq!(apply(r#"{"a":1,"a":2}"#, &["/a=3"]), r#"{"a":1,"a":3}"#);
    }

    #[test]
    fn wrong_pointers_say_what_to_write() {
        let problem = |text: &str| match text.parse::<Override>() {
            Err(error) => error.to_string(),
            Ok(value) => value.apply(r#"{"t":"x","l":[1]}"#).unwrap_err().to_string(),
        };
        assert!(problem("/a").contains("has no value"));
        assert!(problem("a=1").contains("begins with `/`"));
        assert!(problem("/t/b=1").contains("leads into a text"));
        assert!(problem("/l/0/b=1").contains("leads into a number"));
        assert!(problem("/l/3=1").contains("place 3 of a list of 1"));
    }
}
