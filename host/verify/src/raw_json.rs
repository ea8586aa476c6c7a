//! The text of one value of a JSON document, as it was sent. A parsed number may be rounded.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::json_paths::index;

/// The text of the value at a JSON pointer (RFC 6901). Of a key that occurs twice, the last value
/// counts, as in a parsed document. `None`: nothing is there, or the document is not JSON.
pub(crate) fn text_at<'t>(json: &'t [u8], pointer: &str) -> Option<&'t str> {
    let mut at: &'t RawValue = serde_json::from_slice(json).ok()?;
    for key in pointer.split('/').skip(1) {
        at = child(at, &key.replace("~1", "/").replace("~0", "~"))?;
    }

    Some(at.get())
}

fn child<'t>(parent: &'t RawValue, key: &str) -> Option<&'t RawValue> {
    let text = parent.get();
    if text.starts_with('[') {
        let elements: Vec<&'t RawValue> = serde_json::from_str(text).ok()?;
        return elements.get(index(key)?).copied();
    }

    let mut values: HashMap<String, &'t RawValue> = serde_json::from_str(text).ok()?;
    values.remove(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_sent() {
        const JSON: &str = r#" {"id": 0.10000000000000000001 , "a/b":[1, {"~":-0}],"id2":1E5,
            "twice":1.0,"tw\u0069ce":{"x": 1.50}} "#;
        for (pointer, text) in [
            ("/id", Some("0.10000000000000000001")),
            ("/a~1b/0", Some("1")),
            ("/a~1b/1/~0", Some("-0")),
            ("/a~1b/01", None),
            ("/a~1b/2", None),
            ("/id2", Some("1E5")),
            ("/id2/x", None),
            ("/twice", Some("{\"x\": 1.50}")),
            ("/twice/x", Some("1.50")),
            ("/absent", None),
        ] {
            assert_eq!(text_at(JSON.as_bytes(), pointer), text, "{pointer}");
        }
        assert_eq!(text_at(b"7.0", ""), Some("7.0"));
        assert_eq!(text_at(b"{\"a\":", "/a"), None);
    }
}
