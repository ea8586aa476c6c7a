//! Reads the values at some JSON pointers in one pass over the text, without a tree of the
//! document: of most bodies, the host needs two or three short texts.
//!
//! The values are those that a tree would have: if an object has a key twice, the last value
//! counts, and a text that is not JSON up to its end has no values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// JSON pointers (RFC 6901), arranged as a tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonPaths {
    pointers: Vec<String>,
    root: Node,
}

/// A place in documents at which a pointer ends, or through which pointers lead.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The position of the pointer that ends here.
    ends: Option<usize>,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    key: String,
    /// The key as a position in an array, if it can be one.
    index: Option<usize>,
    node: Node,
}

/// A value that was found in a text.
#[derive(Debug)]
pub(crate) enum Scanned<'t> {
    Text(Cow<'t, str>),
    /// Null, a boolean or a number.
    Scalar(Value),
    /// An array or an object, which is not kept.
    Container,
}

/// What was found at each pointer.
pub(crate) type ScannedValues<'t> = Vec<Option<Scanned<'t>>>;

/// A borrowed value of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum JsonValue<'v> {
    Text(&'v str),
    /// Null, a boolean or a number.
    Scalar(&'v Value),
    /// An array or an object.
    Container,
}

/// Whether the text is a JSON object that has at least one key, and only keys of this list. Reading
/// ends at the first other key.
pub(crate) fn has_only_keys(text: &[u8], keys: &[String]) -> bool {
    let mut json = serde_json::Deserializer::from_slice(text);
    let has_only_these = json.deserialize_map(OnlyKeys(keys)).unwrap_or(false);

    has_only_these && json.end().is_ok()
}

// === impl JsonPaths ===

impl JsonPaths {
    pub(crate) fn new<'p>(pointers: impl IntoIterator<Item = &'p str>) -> JsonPaths {
        let mut paths = JsonPaths::default();
        for pointer in pointers {
            if paths.position(pointer).is_none() {
                paths.add(pointer);
            }
        }

        paths
    }

    fn add(&mut self, pointer: &str) {
        let place = self.pointers.len();
        self.pointers.push(pointer.to_owned());

        // Nothing is at a pointer that does not begin with a slash.
        if pointer.is_empty() || pointer.starts_with('/') {
            let keys = pointer.split('/').skip(1);
            let end = keys.fold(&mut self.root, |node, key| {
                node.child_mut(&key.replace("~1", "/").replace("~0", "~"))
            });
            end.ends = Some(place);
        }
    }

    /// The position of a pointer in the result of `scan`.
    pub(crate) fn position(&self, pointer: &str) -> Option<usize> {
        self.pointers.iter().position(|known| known == pointer)
    }

    /// The value at each pointer; `None` if the text is not JSON.
    pub(crate) fn scan<'t>(&self, text: &'t [u8]) -> Option<ScannedValues<'t>> {
        let mut found: ScannedValues<'t> = self.pointers.iter().map(|_| None).collect();
        let mut json = serde_json::Deserializer::from_slice(text);
        let walk = Walk {
            node: Some(&self.root),
            found: &mut found,
        };
        walk.deserialize(&mut json).ok()?;
        json.end().ok()?;

        Some(found)
    }
}

// === impl Node ===

impl Node {
    fn child_mut(&mut self, key: &str) -> &mut Node {
        let place = self.children.iter().position(|child| child.key == key);
        let place = place.unwrap_or_else(|| {
            self.children.push(Child {
                key: key.to_owned(),
                index: index(key),
                node: Node::default(),
            });
            self.children.len() - 1
        });

        &mut self.children[place].node
    }

    fn at_key(&self, key: &str) -> Option<&Node> {
        let mut children = self.children.iter();
        children
            .find(|child| child.key == key)
            .map(|child| &child.node)
    }

    fn at_index(&self, index: usize) -> Option<&Node> {
        let mut children = self.children.iter();
        children
            .find(|child| child.index == Some(index))
            .map(|child| &child.node)
    }

    /// Forgets what was found here and below: a later value of the same key replaces it.
    fn forget(&self, found: &mut [Option<Scanned<'_>>]) {
        if let Some(place) = self.ends {
            found[place] = None;
        }

        for child in &self.children {
            child.node.forget(found);
        }
    }
}

/// The key as a position in an array (RFC 6901, section 4): without sign and leading zeros.
pub(crate) fn index(key: &str) -> Option<usize> {
    let has_leading_zero = key.starts_with('0') && key.len() > 1;
    if key.starts_with('+') || has_leading_zero {
        return None;
    }

    key.parse().ok()
}

// === impl Scanned ===

impl Scanned<'_> {
    pub(crate) fn value(&self) -> JsonValue<'_> {
        match self {
            Scanned::Text(text) => JsonValue::Text(text),
            Scanned::Scalar(value) => JsonValue::Scalar(value),
            Scanned::Container => JsonValue::Container,
        }
    }
}

// === impl JsonValue ===

impl<'v> JsonValue<'v> {
    pub(crate) fn of(value: &'v Value) -> JsonValue<'v> {
        match value {
            Value::String(text) => JsonValue::Text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => JsonValue::Scalar(value),
            Value::Array(_) | Value::Object(_) => JsonValue::Container,
        }
    }
}

/// Reads one value and what is below it. Every text and number is checked as for a tree, also those
/// that no pointer leads to.
struct Walk<'w, 't> {
    /// `None`: no pointer leads here.
    node: Option<&'w Node>,
    found: &'w mut [Option<Scanned<'t>>],
}

// === impl Walk ===

impl<'t> Walk<'_, 't> {
    /// Where to keep the value, if a pointer ends here.
    fn slot(&mut self) -> Option<&mut Option<Scanned<'t>>> {
        let place = self.node?.ends?;
        Some(&mut self.found[place])
    }

    fn keep_scalar(mut self, value: Value) {
        if let Some(slot) = self.slot() {
            *slot = Some(Scanned::Scalar(value));
        }
    }

    fn keep_container(&mut self) {
        if let Some(slot) = self.slot() {
            *slot = Some(Scanned::Container);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.keep_scalar(Value::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.keep_scalar(value.into());
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.keep_scalar(value.into());
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.keep_scalar(value.into());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.keep_scalar(Number::from_f64(value).map_or(Value::Null, Value::Number));
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(mut self, value: &'de str) -> Result<(), E> {
        if let Some(slot) = self.slot() {
            *slot = Some(Scanned::Text(value.into()));
        }
        Ok(())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        if let Some(slot) = self.slot() {
            *slot = Some(Scanned::Text(value.to_owned().into()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        self.keep_container();
        let mut index = 0;
        loop {
            let element = Walk {
                node: self.node.and_then(|node| node.at_index(index)),
                found: &mut *self.found,
            };
            if access.next_element_seed(element)?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        self.keep_container();
        while let Some(node) = access.next_key_seed(ChildOf(self.node))? {
            if let Some(node) = node {
                node.forget(self.found);
            }

            access.next_value_seed(Walk {
                node,
                found: &mut *self.found,
            })?;
        }
        Ok(())
    }
}

/// Reads a key, and finds the child of that name.
struct ChildOf<'w>(Option<&'w Node>);

impl<'de, 'w> DeserializeSeed<'de> for ChildOf<'w> {
    type Value = Option<&'w Node>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Option<&'w Node>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for ChildOf<'w> {
    type Value = Option<&'w Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<&'w Node>, E> {
        Ok(self.0.and_then(|node| node.at_key(key)))
    }
}

/// Reads an object up to the first key that is not in the list.
struct OnlyKeys<'k>(&'k [String]);

impl<'de> Visitor<'de> for OnlyKeys<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<bool, A::Error> {
        let mut has_keys = false;
        while let Some(is_listed) = access.next_key_seed(IsListed(self.0))? {
            if !is_listed {
                return Ok(false);
            }

            has_keys = true;
            access.next_value::<Skipped>()?;
        }

        Ok(has_keys)
    }
}

/// Reads a key, and looks for it in the list.
struct IsListed<'k>(&'k [String]);

impl<'de> DeserializeSeed<'de> for IsListed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsListed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(self.0.iter().any(|listed| listed == key))
    }
}

/// A value that no pointer leads to.
struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Skipped, D::Error> {
        let walk = Walk {
            node: None,
            found: &mut [],
        };
        walk.deserialize(deserializer).map(|()| Skipped)
    }
}

#[cfg(test)]
#[path = "json_paths_tests.rs"]
mod tests;
