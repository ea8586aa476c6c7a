//! The shape of the events of one type: learned from bodies, compared with them once it is known,
//! and changed by an operator, by time, or by what comes.

use serde::{Deserialize, Serialize};

use super::compare::compare;
use super::difference::{Closed, Difference, DifferenceKind, Found};
use super::fields::{Field, fields};
use super::limits::{BODY_MAX, DIFFERENCES_MAX};
use super::node::{Budget, Merge, Node};
use super::read::{Read, is_form, read};
use super::usual::is_usual;

/// The form in which this version stores shapes.
pub(crate) const VERSION: u32 = 1;
/// A difference is over after so many events of this type without it,
const QUIET_EVENTS: u64 = 20;
/// and this time, in ms: 5 minutes.
const QUIET_MS: i64 = 5 * 60_000;

/// When a shape is known, and when a difference becomes a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A shape is known after so many events. Each of its places is known after so many bodies that
    /// have it.
    pub min_events: u64,
    /// It is known after this time, in ms.
    pub min_ms: i64,
    /// A difference becomes a part of the shape after this time, in ms.
    pub adopt_ms: i64,
}

/// One stored event.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The id of the event.
    pub event: &'a str,
    /// The body as it was stored.
    pub body: &'a [u8],
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// When the event was received, in ms since 1970.
    pub at_ms: i64,
}

/// What came of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// Only counts have changed.
    Counted,
    /// The shape, or its differences, have changed.
    Changed,
    /// The body was not learned. Why: `large`, `complex` or `unreadable`.
    Skipped(&'static str),
}

/// The shape of the events of one type. Its size is bounded, and it has no values of fields but
/// words of the provider's vocabulary.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    version: u32,
    /// Learned events.
    events: u64,
    forms: u64,
    /// Events whose body is neither JSON nor a form.
    others: u64,
    skipped: u64,
    first_ms: i64,
    last_ms: i64,
    /// When the shape was known.
    known_ms: Option<i64>,
    /// It is no difference if the body is neither JSON nor a form.
    others_known: bool,
    pub(crate) root: Node,
    differences: Vec<Difference>,
    /// The last object that was compared with the shape.
    #[serde(skip)]
    stamp: u64,
}

// === impl Shape ===

impl Shape {
    /// A shape without events.
    pub fn new() -> Shape {
        Shape {
            version: VERSION,
            ..Shape::default()
        }
    }

    /// The shape of a text of `to_json`. `None`: it is of another version, or damaged.
    pub fn parse(text: &str) -> Option<Shape> {
        let shape: Shape = serde_json::from_str(text).ok()?;
        (shape.version == VERSION).then_some(shape)
    }

    /// The shape as text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Learned events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Events whose body was a form, and those whose body was neither JSON nor a form.
    pub fn forms_and_others(&self) -> (u64, u64) {
        (self.forms, self.others)
    }

    /// When the first and the last learned event were received, in ms since 1970.
    pub fn time(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }

    /// Whether differences are reported. Before, everything is learned.
    pub fn is_known(&self) -> bool {
        self.known_ms.is_some()
    }

    /// The open differences, oldest first.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// The places of a shape: fields, and elements of arrays. At most `max`.
    pub fn fields(&self, max: usize) -> Vec<Field> {
        fields(&self.root, max)
    }

    /// Whether a body was JSON or a form, so that there is something to write.
    pub fn has_types(&self) -> bool {
        self.root.bodies > 0
    }

    /// An estimate of the memory that the shape uses, in bytes.
    pub fn bytes(&self) -> usize {
        let (nodes, names) = self.root.size();
        nodes * (size_of::<Node>() + 64) + names
    }

    /// Learns from one event. If the shape is known, compares it first. An event that neither
    /// differs nor adds anything is only counted, without the counts of its places: they grow
    /// together, and are compared with each other.
    pub fn learn(&mut self, sample: &Sample<'_>, rules: &Rules) -> Learned {
        if self.is_usual(sample, rules) {
            self.count(Vec::new(), sample);
            return Learned::Counted;
        }
        self.learn_whole(sample, rules)
    }

    /// As `learn`, with the counts of all places.
    pub(crate) fn learn_whole(&mut self, sample: &Sample<'_>, rules: &Rules) -> Learned {
        let (found, has_changed) = match read(sample.body, sample.content_type) {
            Read::Skipped(why) => {
                self.skipped += 1;
                return Learned::Skipped(why);
            }
            Read::Other(what) => self.learn_other(what),
            Read::Tree { root, is_form } => {
                self.forms += u64::from(is_form);
                self.learn_tree(*root, rules)
            }
        };

        let has_changed = self.count(found, sample) || has_changed;
        let is_enough = self.events >= rules.min_events
            && sample.at_ms.saturating_sub(self.first_ms) >= rules.min_ms;
        if self.known_ms.is_none() && is_enough {
            self.known_ms = Some(sample.at_ms);
            return Learned::Changed;
        }
        if has_changed {
            Learned::Changed
        } else {
            Learned::Counted
        }
    }

    /// Ends differences that are over, and those that have become a part of the shape. Neither is
    /// a difference again.
    pub fn close_differences(&mut self, now_ms: i64, rules: &Rules) -> Vec<(Difference, Closed)> {
        let mut closed = Vec::new();
        for difference in std::mem::take(&mut self.differences) {
            let is_quiet = difference.quiet >= QUIET_EVENTS
                && now_ms.saturating_sub(difference.last_ms) >= QUIET_MS;
            let is_old = now_ms.saturating_sub(difference.first_ms) >= rules.adopt_ms;
            let why = match (is_quiet, is_old) {
                (true, _) => Closed::Over,
                (false, true) => Closed::Adopted,
                (false, false) => {
                    self.differences.push(difference);
                    continue;
                }
            };
            self.accept_at(&difference.path);
            closed.push((difference, why));
        }
        closed
    }

    /// Makes everything that was seen a part of the shape, also what is not in `differences`,
    /// because there were too many. Returns the differences that were open.
    pub fn accept(&mut self) -> Vec<Difference> {
        self.root.accept();
        self.others_known |= self.others > 0;
        std::mem::take(&mut self.differences)
    }

    fn accept_at(&mut self, path: &[String]) {
        if path.is_empty() {
            self.others_known |= self.others > 0;
        }
        self.root.accept_at(path);
    }

    /// Whether the body of an event has only what the known shape has.
    pub(crate) fn is_usual(&mut self, sample: &Sample<'_>, rules: &Rules) -> bool {
        let Sample {
            body, content_type, ..
        } = *sample;
        self.is_known()
            && body.len() <= BODY_MAX
            && !content_type.is_some_and(is_form)
            && is_usual(&mut self.root, body, rules.min_events, &mut self.stamp)
    }

    /// Counts an event with what is different in it. Returns whether a difference is new.
    fn count(&mut self, found: Vec<Found>, sample: &Sample<'_>) -> bool {
        if self.events == 0 {
            self.first_ms = sample.at_ms;
        }
        self.events += 1;
        self.last_ms = self.last_ms.max(sample.at_ms);
        self.add_differences(found, sample)
    }

    fn learn_other(&mut self, what: &'static str) -> (Vec<Found>, bool) {
        self.others += 1;
        if self.others_known {
            return (Vec::new(), false);
        }
        if self.known_ms.is_none() {
            self.others_known = true;
            return (Vec::new(), true);
        }

        let expected = if self.forms > 0 { "a form" } else { "JSON" };
        let found = Found {
            kind: DifferenceKind::Retyped,
            path: Vec::new(),
            expected: expected.to_owned(),
            seen: what.to_owned(),
        };
        (vec![found], true)
    }

    fn learn_tree(&mut self, root: Node, rules: &Rules) -> (Vec<Found>, bool) {
        let min = rules.min_events;
        let (found, how) = match self.known_ms {
            None => (Vec::new(), Merge::Learn),
            Some(_) => (compare(&self.root, &root, min), Merge::Known { min }),
        };
        let mut budget = Budget::left_of(&self.root);
        self.root.merge(root, how, &mut budget);
        (found, budget.has_changed)
    }

    /// Returns whether a difference is new.
    fn add_differences(&mut self, found: Vec<Found>, sample: &Sample<'_>) -> bool {
        for difference in &mut self.differences {
            difference.quiet += 1;
        }

        let before = self.differences.len();
        for found in found {
            let mut open = self.differences.iter_mut();
            if let Some(known) = open.find(|known| known.is(&found)) {
                known.events += 1;
                known.quiet = 0;
                known.last_ms = known.last_ms.max(sample.at_ms);
            } else if self.differences.len() < DIFFERENCES_MAX {
                let new = Difference::new(found, sample.event, sample.at_ms);
                self.differences.push(new);
            }
        }
        self.differences.len() > before
    }
}
