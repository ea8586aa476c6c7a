//! Whether a body has only what its known shape has. Most bodies do. This finds it out without a
//! tree of the body: nothing is allocated, unless a string has escapes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::format::Format;
use super::name::is_id;
use super::node::Node;
use super::read::SAFE_INTEGER_MAX;
use super::types::Types;

/// A place with fewer bodies, strings or objects is still counted: its words and formats may not be
/// kept yet.
const BODIES_MIN: u64 = 10;
/// The most fields that are looked for in one body: each object is compared with all fields of its
/// place. Reading a body with more objects into a tree takes less time.
const FIELDS_MAX: usize = 200_000;

/// Whether a JSON body differs nowhere and adds nothing to the shape, so that only its event
/// counts. Places with fewer than `min` bodies are still learned: with a value there, a body is not
/// usual. `stamp` is a number that grows with every object of every body.
pub(crate) fn is_usual(root: &mut Node, body: &[u8], min: u64, stamp: &mut u64) -> bool {
    let mut walk = Walk {
        min: min.max(BODIES_MIN),
        stamp: *stamp,
        fields: 0,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let place = Place {
        node: root,
        walk: &mut walk,
    };
    let is_usual = place.deserialize(&mut deserializer).is_ok() && deserializer.end().is_ok();
    *stamp = walk.stamp;
    is_usual
}

/// What is the same for all values of a body.
struct Walk {
    min: u64,
    stamp: u64,
    /// Fields that were looked for.
    fields: usize,
}

/// Compares one value with its place.
struct Place<'a> {
    node: &'a mut Node,
    walk: &'a mut Walk,
}

/// Finds the place of a name of an object, and marks it with the stamp of the object.
struct Name<'a> {
    node: &'a mut Node,
    stamp: u64,
}

/// Ends the walk at the first value that is not usual.
fn usual<E: Error>(is_usual: bool) -> Result<(), E> {
    if is_usual {
        Ok(())
    } else {
        Err(E::custom("not usual"))
    }
}

// === impl Place ===

impl Place<'_> {
    /// Whether values of this type are usual here.
    fn takes(&self, kind: Types) -> bool {
        let Node {
            any,
            bodies,
            is_new,
            types,
            known,
            ..
        } = &*self.node;
        let is_settled = *bodies >= self.walk.min && !is_new;
        *any || (is_settled && types.has(kind) && known.uncovered(kind).is_empty())
    }

    fn takes_integer(&self, size: u64, is_negative: bool) -> bool {
        let node = &*self.node;
        let has_sign = !is_negative || node.negative;
        let has_size = size <= SAFE_INTEGER_MAX || node.unsafe_integer;
        let is_in_i64 = is_negative || i64::try_from(size).is_ok() || node.above_i64;
        self.takes(Types::INTEGER) && (node.any || (has_sign && has_size && is_in_i64))
    }

    fn takes_string(&self, text: &str) -> bool {
        let node = &*self.node;
        if !self.takes(Types::STRING) || node.any {
            return node.any;
        }

        let format = node.known_format.or_else(|| node.format_of_all());
        node.strings >= self.walk.min
            && format.is_none_or(|format| Format::of(text) == Some(format))
            && node.words.has(text)
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        usual(self.takes(Types::NULL))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        usual(self.takes(Types::BOOLEAN))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        usual(self.takes_integer(number, false))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        usual(self.takes_integer(number.unsigned_abs(), number < 0))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        usual(self.takes(Types::NUMBER))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        usual(self.takes_string(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        usual::<A::Error>(self.takes(Types::ARRAY))?;
        let Place { node, walk } = self;
        if node.any {
            while array.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }

        let Some(items) = &mut node.items else {
            return usual(array.next_element::<IgnoredAny>()?.is_none());
        };
        loop {
            let element = Place {
                node: items,
                walk: &mut *walk,
            };
            if array.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        usual::<A::Error>(self.takes(Types::OBJECT))?;
        let Place { node, walk } = self;
        if node.any {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }

        usual::<A::Error>(node.objects >= walk.min)?;
        walk.stamp += 1;
        let stamp = walk.stamp;
        loop {
            let name = Name {
                node: &mut *node,
                stamp,
            };
            let Some(field) = object.next_key_seed(name)? else {
                break;
            };
            object.next_value_seed(Place {
                node: field,
                walk: &mut *walk,
            })?;
        }
        walk.fields += node.fields.len();
        usual::<A::Error>(walk.fields <= FIELDS_MAX)?;
        let mut fields = node.fields.values();
        usual(fields.all(|field| field.optional || field.is_new || field.stamp == stamp))
    }
}

// === impl Name ===

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = &'a mut Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'a mut Node, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'a> Visitor<'de> for Name<'a> {
    type Value = &'a mut Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<&'a mut Node, E> {
        let Node {
            fields,
            rest,
            is_map,
            has_twice,
            ..
        } = self.node;
        if let Some(field) = fields.get_mut(name) {
            usual::<E>(field.stamp != self.stamp || *has_twice)?;
            field.stamp = self.stamp;
            return Ok(field);
        }

        // As `Node::field` does.
        let is_full = rest.as_ref().is_some_and(|rest| rest.any);
        let is_value = *is_map || is_full || is_id(name);
        match rest {
            Some(rest) if is_value => Ok(&mut **rest),
            _ => Err(E::custom("not usual")),
        }
    }
}
