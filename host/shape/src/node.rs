//! One place of a body and everything below it: which values were seen there. A tree of nodes is a
//! shape, or what was read of one body. The tree of a body is merged into that of the shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::format::Format;
use super::limits::{FIELDS_MAX, NAMES_BYTES_MAX, NODES_MAX};
use super::name::is_id;
use super::types::Types;
use super::word::Words;

/// An object that has so many names, of which most were seen once, in so many objects, is a map.
const MAP_NAMES_MIN: usize = 40;
const MAP_OBJECTS_MIN: u64 = 50;
/// A format holds if so many strings have it.
const FORMAT_STRINGS_MIN: u64 = 3;

/// The values of one place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    /// Bodies that have a value here.
    #[serde(rename = "b", skip_serializing_if = "is_zero")]
    pub(crate) bodies: u64,
    /// Of a field: objects that have it. A name that an object has twice counts once.
    #[serde(rename = "p", skip_serializing_if = "is_zero")]
    pub(crate) present: u64,
    #[serde(rename = "t")]
    pub(crate) types: Types,
    /// The types that are no difference.
    #[serde(rename = "k", skip_serializing_if = "Types::is_empty")]
    pub(crate) known: Types,
    /// The format whose loss is a difference.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub(crate) known_format: Option<Format>,
    /// It is no difference if an object does not have this field.
    #[serde(rename = "o", skip_serializing_if = "is_false")]
    pub(crate) optional: bool,
    /// This field is a difference.
    #[serde(rename = "d", skip_serializing_if = "is_false")]
    pub(crate) is_new: bool,
    /// There was a negative integer,
    #[serde(rename = "-", skip_serializing_if = "is_false")]
    pub(crate) negative: bool,
    /// one above 2^53,
    #[serde(rename = "+", skip_serializing_if = "is_false")]
    pub(crate) unsafe_integer: bool,
    /// and one above 2^63.
    #[serde(rename = "u", skip_serializing_if = "is_false")]
    pub(crate) above_i64: bool,
    #[serde(rename = "s", skip_serializing_if = "is_zero")]
    pub(crate) strings: u64,
    /// Strings by format.
    #[serde(rename = "f", skip_serializing_if = "is_all_zero")]
    pub(crate) formats: [u64; Format::COUNT],
    #[serde(rename = "w", skip_serializing_if = "Words::is_private")]
    pub(crate) words: Words,
    #[serde(rename = "c", skip_serializing_if = "is_zero")]
    pub(crate) objects: u64,
    #[serde(rename = "m", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fields: BTreeMap<String, Node>,
    /// Every name is a key of a map.
    #[serde(rename = "x", skip_serializing_if = "is_false")]
    pub(crate) is_map: bool,
    /// The values of names that are no fields.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub(crate) rest: Option<Box<Node>>,
    /// An object had a name twice.
    #[serde(rename = "2", skip_serializing_if = "is_false")]
    pub(crate) has_twice: bool,
    /// The elements of arrays.
    #[serde(rename = "i", skip_serializing_if = "Option::is_none")]
    pub(crate) items: Option<Box<Node>>,
    /// What is below is not learned: the limits are reached.
    #[serde(rename = "a", skip_serializing_if = "is_false")]
    pub(crate) any: bool,
    /// In what was read of one body, and in a shape that a body is compared with: the object that
    /// had this field last.
    #[serde(skip)]
    pub(crate) stamp: u64,
}

/// How a tree is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// What was read of a body, into a shape that is still learned.
    Learn,
    /// What was read of a body, into a shape that is known. Places with fewer bodies are still
    /// learned.
    Known {
        /// See `Rules::min_events`.
        min: u64,
    },
    /// One part of a tree into another one.
    Within,
}

/// What a tree may still grow by.
#[derive(Debug)]
pub(crate) struct Budget {
    nodes: usize,
    names: usize,
    /// Something other than a count has changed.
    pub(crate) has_changed: bool,
    /// There was no room for a node.
    pub(crate) is_exceeded: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_all_zero(counts: &[u64]) -> bool {
    counts.iter().all(is_zero)
}

fn is_false(flag: &bool) -> bool {
    !flag
}

// === impl Budget ===

impl Budget {
    /// What may be read of one body.
    pub(crate) fn whole() -> Budget {
        Budget {
            nodes: NODES_MAX,
            names: NAMES_BYTES_MAX,
            has_changed: false,
            is_exceeded: false,
        }
    }

    /// What a tree may still grow by.
    pub(crate) fn left_of(root: &Node) -> Budget {
        let (nodes, names) = root.size();
        Budget {
            nodes: NODES_MAX.saturating_sub(nodes),
            names: NAMES_BYTES_MAX.saturating_sub(names),
            has_changed: false,
            is_exceeded: false,
        }
    }

    /// Takes room for one node with this name. False: there is none.
    fn take(&mut self, name: &str) -> bool {
        if self.nodes == 0 || self.names < name.len() {
            self.is_exceeded = true;
            return false;
        }
        self.nodes -= 1;
        self.names -= name.len();
        self.has_changed = true;
        true
    }

    fn give_back(&mut self, (nodes, names): (usize, usize), name: &str) {
        self.nodes += nodes;
        self.names += names + name.len();
    }
}

// === impl Node ===

impl Node {
    /// The number of nodes from this one on, and the bytes of their names.
    pub(crate) fn size(&self) -> (usize, usize) {
        let mut size = (1, 0);
        for (name, field) in &self.fields {
            let (nodes, names) = field.size();
            size = (size.0 + nodes, size.1 + names + name.len());
        }
        for below in [&self.rest, &self.items].into_iter().flatten() {
            let (nodes, names) = below.size();
            size = (size.0 + nodes, size.1 + names);
        }
        size
    }

    /// The format of all strings, if there are enough of them.
    pub(crate) fn format(&self) -> Option<Format> {
        (self.strings >= FORMAT_STRINGS_MIN)
            .then(|| self.format_of_all())
            .flatten()
    }

    /// The format of all strings.
    pub(crate) fn format_of_all(&self) -> Option<Format> {
        let index = self.formats.iter().position(|count| *count > 0)?;
        (self.formats[index] == self.strings)
            .then(|| Format::at(index))
            .flatten()
    }

    /// All values of the strings here, if each is a word of a vocabulary.
    pub(crate) fn vocabulary(&self) -> Option<Vec<&str>> {
        self.words.all(self.strings)
    }

    /// Whether every object has this field.
    pub(crate) fn is_required(&self, field: &Node) -> bool {
        self.objects > 0 && field.present >= self.objects
    }

    /// The node of a name. Names that are no fields share one. So do names for which there was no
    /// room: from then on, the object gets no more fields, because their earlier values are unknown.
    pub(crate) fn field(&mut self, name: &str, budget: &mut Budget) -> &mut Node {
        if self.fields.contains_key(name) {
            return self.fields.entry(name.to_owned()).or_default();
        }
        if !self.is_map && !is_id(name) {
            let is_full = self.rest.as_ref().is_some_and(|rest| rest.any);
            if self.fields.len() >= FIELDS_MAX {
                self.collapse(budget);
            } else if !is_full && budget.take(name) {
                return self.fields.entry(name.to_owned()).or_default();
            } else {
                self.rest_node(budget).any = true;
            }
        }
        self.rest_node(budget)
    }

    /// The node of the elements.
    pub(crate) fn items_node(&mut self, budget: &mut Budget) -> &mut Node {
        let has_room = self.items.is_some() || budget.take("");
        let items = self.items.get_or_insert_default();
        items.any |= !has_room;
        items
    }

    /// The node of names that are no fields.
    pub(crate) fn rest_node(&mut self, budget: &mut Budget) -> &mut Node {
        let has_room = self.rest.is_some() || budget.take("");
        let rest = self.rest.get_or_insert_default();
        rest.any |= !has_room;
        rest
    }

    /// Adds what another tree has seen.
    pub(crate) fn merge(&mut self, mut other: Node, how: Merge, budget: &mut Budget) {
        self.merge_values(&other, how, budget);
        self.merge_words(std::mem::take(&mut other.words), other.strings);
        if self.any {
            self.fields.clear();
            (self.rest, self.items) = (None, None);
            return;
        }

        self.merge_fields(&mut other, how, budget);
        if let Some(items) = other.items {
            let into = self.items_node(budget);
            into.merge(*items, how, budget);
            into.collapse_map(budget);
        }
    }

    /// Everything that was seen is no difference from now on.
    pub(crate) fn accept(&mut self) {
        self.accept_here();
        let objects = self.objects;
        for field in self.fields.values_mut() {
            field.optional |= field.present < objects;
            field.accept();
        }
        for below in [&mut self.rest, &mut self.items].into_iter().flatten() {
            below.accept();
        }
    }

    /// What was seen at this path is no difference from now on. `*` is every element of an array,
    /// every value of a map, and a field of this name.
    pub(crate) fn accept_at(&mut self, path: &[String]) {
        let Some((name, path)) = path.split_first() else {
            self.accept_here();
            return;
        };
        let objects = self.objects;
        if let Some(field) = self.fields.get_mut(name) {
            field.optional |= path.is_empty() && field.present < objects;
            field.accept_at(path);
        }
        if name == "*" {
            for below in [&mut self.rest, &mut self.items].into_iter().flatten() {
                below.accept_at(path);
            }
        }
    }

    fn accept_here(&mut self) {
        self.known = self.types;
        self.known_format = self.format();
        self.is_new = false;
    }

    fn merge_values(&mut self, other: &Node, how: Merge, budget: &mut Budget) {
        let is_learned = how.learns(self.bodies);
        self.bodies = match how {
            Merge::Within => self.bodies.max(other.bodies),
            Merge::Learn | Merge::Known { .. } => self.bodies + 1,
        };
        self.present += other.present;
        self.strings += other.strings;
        for (count, other) in self.formats.iter_mut().zip(other.formats) {
            *count += other;
        }

        let before = (self.types, self.known_format, self.any);
        self.types = self.types.with(other.types);
        self.negative |= other.negative;
        self.unsafe_integer |= other.unsafe_integer;
        self.above_i64 |= other.above_i64;
        self.any |= other.any;
        if is_learned {
            self.known = self.types;
            self.known_format = self.format();
        }
        budget.has_changed |= before != (self.types, self.known_format, self.any);
    }

    /// `strings`: how many of them the other tree has. They are counted already.
    fn merge_words(&mut self, other: Words, strings: u64) {
        if strings == 0 {
            return;
        }
        if self.strings == strings && !other.is_private() {
            self.words.begin();
        }
        self.words.merge(other);
    }

    fn merge_fields(&mut self, other: &mut Node, how: Merge, budget: &mut Budget) {
        let before = self.objects;
        let is_learned = how.learns(self.bodies.saturating_sub(1)) || how.learns(before);
        self.objects += other.objects;
        self.has_twice |= other.has_twice;
        if other.is_map && !self.is_map {
            self.collapse(budget);
        } else if self.is_map && !other.fields.is_empty() {
            other.collapse(&mut Budget::whole());
        }

        for (name, field) in &mut self.fields {
            let present = other.fields.get(name).map_or(0, |field| field.present);
            if is_learned && present < other.objects && !field.optional {
                field.optional = true;
                budget.has_changed = true;
            }
        }
        for (name, field) in std::mem::take(&mut other.fields) {
            let is_late = before > 0 || field.present < other.objects;
            let into = self.field(&name, budget);
            if into.types.is_empty() {
                into.optional = is_late;
                into.is_new = !is_learned && !into.any;
            }
            into.merge(field, how, budget);
            into.collapse_map(budget);
        }
        if let Some(rest) = other.rest.take() {
            let into = self.rest_node(budget);
            if into.types.is_empty() {
                into.is_new = !is_learned && !into.any;
            }
            into.merge(*rest, how, budget);
            into.collapse_map(budget);
        }
    }

    /// Makes a map of an object most of whose names were seen once.
    fn collapse_map(&mut self, budget: &mut Budget) {
        if self.is_map || self.fields.len() < MAP_NAMES_MIN || self.objects < MAP_OBJECTS_MIN {
            return;
        }
        let single = self.fields.values().filter(|field| field.present == 1);
        if single.count() * 5 >= self.fields.len() * 3 {
            self.collapse(budget);
        }
    }

    /// Makes a map of an object: its fields become values of one kind.
    fn collapse(&mut self, budget: &mut Budget) {
        self.is_map = true;
        budget.has_changed = true;
        let fields = std::mem::take(&mut self.fields);
        for (name, field) in &fields {
            budget.give_back(field.size(), name);
        }
        let rest = self.rest_node(budget);
        for field in fields.into_values() {
            rest.merge(field, Merge::Within, budget);
        }
    }
}

// === impl Merge ===

impl Merge {
    /// Whether a place with so many bodies is still learned.
    fn learns(self, bodies: u64) -> bool {
        match self {
            Merge::Learn | Merge::Within => true,
            Merge::Known { min } => bodies < min,
        }
    }
}
