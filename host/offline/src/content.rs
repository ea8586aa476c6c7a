//! A body in the forms in which cases name it: JSON or text.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A whole body.
#[derive(Debug, Clone)]
pub(crate) struct Content(Bytes);

// === impl Content ===

impl Content {
    pub(crate) fn new(bytes: Bytes) -> Content {
        Content(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body as a JSON object or list. Of a number or a text alone it is unknown whether JSON is
    /// meant.
    pub(crate) fn structure(&self) -> Option<Value> {
        self.json()
            .filter(|json| json.is_object() || json.is_array())
    }

    /// The body as JSON of any kind.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.0).ok()
    }

    /// The body as text. Bytes that are no text are described by their digest.
    pub(crate) fn into_text(self) -> String {
        match String::from_utf8(self.0.into()) {
            Ok(text) => text,
            Err(error) => {
                let bytes = error.into_bytes();
                let digest = hex::encode(Sha256::digest(&bytes));
                format!("{} bytes that are not text, sha256 {digest}", bytes.len())
            }
        }
    }

    /// Adds the body as `json` if it is an object or a list, otherwise as `body`, and nothing if it
    /// is empty.
    pub(crate) fn put_into(self, message: &mut Map<String, Value>) {
        if self.is_empty() {
            return;
        }
        match self.structure() {
            Some(json) => message.insert("json".into(), json),
            None => message.insert("body".into(), self.into_text().into()),
        };
    }
}

/// Headers by name. Several values of one name are joined by a comma.
pub(crate) fn header_map(headers: &HeaderMap) -> Map<String, Value> {
    let mut map = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        map.insert(name.as_str().to_owned(), texts.join(", ").into());
    }
    map
}
