//! Reads one body into a tree of nodes. Strings and numbers are looked at and forgotten.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use url::form_urlencoded;

use super::format::Format;
use super::limits::{BODY_MAX, DEPTH_MAX, FORM_FIELDS_MAX};
use super::node::{Budget, Node};
use super::types::Types;
use super::word;

/// Integers above it are not exact in JavaScript.
pub(crate) const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;
const FORM: &str = "application/x-www-form-urlencoded";

/// What was read of a body.
#[derive(Debug)]
pub(crate) enum Read {
    /// JSON, or the fields of a form.
    Tree { root: Box<Node>, is_form: bool },
    /// Neither. What it is, in words.
    Other(&'static str),
    /// It is not learned. Why, in one word.
    Skipped(&'static str),
}

/// Reads a body. JSON is recognised by its syntax, a form by its content type and its syntax: the
/// text of another body must not become the name of a field.
pub(crate) fn read(body: &[u8], content_type: Option<&str>) -> Read {
    if body.len() > BODY_MAX {
        return Read::Skipped("large");
    }
    if content_type.is_some_and(is_form) && has_form_syntax(body) {
        return form(body);
    }
    if body.trim_ascii().is_empty() {
        return Read::Other("empty");
    }

    match json(body) {
        Ok((_, true)) => Read::Skipped("complex"),
        Ok((root, false)) => Read::Tree {
            root: Box::new(root),
            is_form: false,
        },
        // A number that no f64 can have, or half of a surrogate pair: other readers may accept it.
        Err(_) if serde_json::from_slice::<IgnoredAny>(body).is_ok() => Read::Skipped("unreadable"),
        Err(_) => Read::Other("neither JSON nor a form"),
    }
}

/// The tree of a body, and whether it has more places than a shape can have.
fn json(body: &[u8]) -> serde_json::Result<(Node, bool)> {
    let (mut root, mut run) = (Node::default(), Run::default());
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let seed = Seed {
        node: &mut root,
        run: &mut run,
        depth: 0,
        is_vocabulary: false,
    };
    seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((root, run.budget.is_exceeded))
}

pub(crate) fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(FORM)
}

/// Whether each part is a name and a value. Clients encode names, so that they have no spaces,
/// quotes and brackets of JSON or XML.
fn has_form_syntax(body: &[u8]) -> bool {
    let mut parts = body.trim_ascii().split(|byte| *byte == b'&');
    parts.all(|part| {
        let equals = part.iter().position(|byte| *byte == b'=');
        part.is_empty() || equals.is_some_and(|at| part[..at].iter().all(is_in_form_name))
    })
}

fn is_in_form_name(byte: &u8) -> bool {
    !byte.is_ascii_whitespace() && !byte.is_ascii_control() && !b"\"<>{}".contains(byte)
}

/// The fields of a form: strings, or arrays of strings where a name occurs more than once.
fn form(body: &[u8]) -> Read {
    let mut fields: BTreeMap<Cow<'_, str>, Vec<Cow<'_, str>>> = BTreeMap::new();
    let mut count = 0;
    for (name, value) in form_urlencoded::parse(body) {
        count += 1;
        if count > FORM_FIELDS_MAX {
            return Read::Skipped("large");
        }
        fields.entry(name).or_default().push(value);
    }

    let (mut root, mut budget) = (Node::default(), Budget::whole());
    root.types = Types::OBJECT;
    root.objects = 1;
    for (name, values) in fields {
        let is_vocabulary = word::is_vocabulary(&name);
        let field = root.field(&name, &mut budget);
        field.present += 1;
        match &values[..] {
            [value] => field.add_string(value, is_vocabulary),
            values => {
                field.types = field.types.with(Types::ARRAY);
                let items = field.items_node(&mut budget);
                values
                    .iter()
                    .for_each(|value| items.add_string(value, false));
            }
        }
    }
    if budget.is_exceeded {
        return Read::Skipped("complex");
    }
    Read::Tree {
        root: Box::new(root),
        is_form: true,
    }
}

/// What is the same for all values of a body.
struct Run {
    budget: Budget,
    objects: u64,
}

/// Reads one value into a node.
struct Seed<'a> {
    node: &'a mut Node,
    run: &'a mut Run,
    depth: usize,
    /// Strings here may be words of the provider's vocabulary.
    is_vocabulary: bool,
}

// === impl Run ===

impl Default for Run {
    fn default() -> Run {
        Run {
            budget: Budget::whole(),
            objects: 0,
        }
    }
}

// === impl Node ===

impl Node {
    fn add(&mut self, kind: Types) {
        self.types = self.types.with(kind);
    }

    fn add_string(&mut self, text: &str, is_vocabulary: bool) {
        self.add(Types::STRING);
        self.strings += 1;
        if let Some(format) = Format::of(text) {
            self.formats[format as usize] += 1;
        }
        if is_vocabulary && self.strings == 1 {
            self.words.begin();
        }
        self.words.add(text);
    }

    fn add_integer(&mut self, size: u64, is_negative: bool) {
        self.add(Types::INTEGER);
        self.negative |= is_negative;
        self.unsafe_integer |= size > SAFE_INTEGER_MAX;
        self.above_i64 |= !is_negative && i64::try_from(size).is_err();
    }
}

// === impl Seed ===

impl Seed<'_> {
    /// Whether what is below is read. If not, the node is any value.
    fn goes_deeper(&mut self) -> bool {
        self.node.any |= self.depth >= DEPTH_MAX;
        !self.node.any
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.node.add(Types::NULL);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.node.add(Types::BOOLEAN);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.node.add_integer(number, false);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.node.add_integer(number.unsigned_abs(), number < 0);
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.node.add(Types::NUMBER);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.node.add_string(text, self.is_vocabulary);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        self.node.add(Types::ARRAY);
        if !self.goes_deeper() {
            while array.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }

        let Seed {
            node, run, depth, ..
        } = self;
        let is_first = node.items.is_none();
        let items = node.items_node(&mut run.budget);
        let mut is_empty = true;
        loop {
            let seed = Seed {
                node: &mut *items,
                run: &mut *run,
                depth: depth + 1,
                is_vocabulary: false,
            };
            if array.next_element_seed(seed)?.is_none() {
                break;
            }
            is_empty = false;
        }
        if is_first && is_empty {
            node.items = None;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        self.node.add(Types::OBJECT);
        self.node.objects += 1;
        if !self.goes_deeper() {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }

        let Seed {
            node, run, depth, ..
        } = self;
        run.objects += 1;
        let stamp = run.objects;
        let mut has_twice = false;
        while let Some(name) = object.next_key::<String>()? {
            // Names that are no fields share a node.
            let is_field = node.fields.contains_key(&name);
            let field = node.field(&name, &mut run.budget);
            if field.stamp == stamp {
                has_twice |= is_field;
            } else {
                field.stamp = stamp;
                field.present += 1;
            }
            object.next_value_seed(Seed {
                node: field,
                run: &mut *run,
                depth: depth + 1,
                is_vocabulary: word::is_vocabulary(&name),
            })?;
        }
        node.has_twice |= has_twice;
        Ok(())
    }
}
