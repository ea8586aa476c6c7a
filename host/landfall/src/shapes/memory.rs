//! What the node that learns shapes remembers between two looks: what is known of each hook, and the
//! shapes that it has read or changed.

use std::collections::{BTreeMap, BTreeSet};

use landfall_model::printable_start;
use landfall_shape::{Difference, Shape, TYPE_BYTES_MAX, TYPES_MAX};

use super::store::{HookState, OpenDifferences, TypeState};

/// An unknown type that was not seen for this long makes room for another one.
const UNSEEN_MAX_MS: i64 = 86_400_000;

/// What the node that learns remembers between two looks.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) hooks: BTreeMap<String, HookState>,
    /// By hook and event type.
    pub(crate) shapes: BTreeMap<String, BTreeMap<String, Kept>>,
    pub(crate) unsaved: BTreeSet<String>,
    /// Requests of each hook that were counted at the last look.
    pub(crate) counted: BTreeMap<String, u64>,
    pub(crate) looks: u64,
    /// The hook at which the budget of the last look ended.
    pub(crate) last: String,
    /// Hooks with too many types, once each has been logged.
    pub(crate) warned: BTreeSet<String>,
    /// Hooks and types whose shapes made room for others, and are still in the ledger.
    pub(crate) evicted: Vec<(String, String)>,
    /// What the node shows of `hooks` has changed since `take_news`.
    has_news: bool,
}

/// A shape in memory.
pub(crate) struct Kept {
    pub(crate) shape: Shape,
    pub(crate) bytes: usize,
    pub(crate) unsaved: UnsavedPart,
}

/// What of a shape is not in the ledger yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UnsavedPart {
    Nothing,
    /// Numbers of events.
    Counts,
    /// Places or differences.
    Changes,
}

// === impl Kept ===

impl Kept {
    pub(crate) fn is_unsaved(&self) -> bool {
        self.unsaved != UnsavedPart::Nothing
    }

    /// Whether the shape is saved with its hook. The counts of a shape that is known and has no
    /// difference are saved more rarely.
    pub(crate) fn is_due(&self) -> bool {
        match self.unsaved {
            UnsavedPart::Nothing => false,
            UnsavedPart::Counts => !self.shape.is_known() || !self.shape.differences().is_empty(),
            UnsavedPart::Changes => true,
        }
    }
}

// === impl Memory ===

impl Memory {
    /// For a node that begins to learn.
    pub(crate) fn of(hooks: BTreeMap<String, HookState>) -> Memory {
        Memory {
            hooks,
            ..Memory::default()
        }
    }

    /// Whether what the node shows of `hooks` has changed since the last call.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// The hooks of which more is unsaved than the counts of known shapes, and how far they were
    /// read.
    pub(crate) fn due_hooks(&self) -> Vec<String> {
        let due = self.unsaved.iter().filter(|hook| {
            let mut shapes = self
                .shapes
                .get(*hook)
                .into_iter()
                .flat_map(BTreeMap::values);
            let state = self.hooks.get(*hook);
            shapes.any(Kept::is_due) || state.is_some_and(|state| state.gone_ms.is_some())
        });
        due.cloned().collect()
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.shapes.values().flat_map(BTreeMap::values)
    }

    /// The types with open differences, with their hooks.
    pub(crate) fn open_types(&self) -> Vec<(String, String)> {
        let all = self.hooks.iter().flat_map(|(hook, state)| {
            let open = state.types.iter().filter(|(_, one)| one.open.is_some());
            open.map(move |(event_type, _)| (hook.clone(), event_type.clone()))
        });
        all.collect()
    }

    /// Whether a type of a hook is learned. A type that is not known yet and has not been seen for
    /// long makes room for a new one.
    pub(crate) fn makes_room(&mut self, hook: &str, event_type: &str, now_ms: i64) -> bool {
        let known = self.hooks.get_mut(hook);
        if let Some(of_type) = known.and_then(|state| state.types.get_mut(event_type)) {
            // A type that has just been seen makes no room.
            of_type.last_ms = of_type.last_ms.max(now_ms);
            return true;
        }

        let state = self.hooks.entry(hook.to_owned()).or_default();
        let is_name = event_type.len() <= TYPE_BYTES_MAX && !event_type.contains('\0');
        if is_name && state.types.len() >= TYPES_MAX {
            let unseen = state.types.iter().filter(|(_, one)| {
                !one.is_known && now_ms.saturating_sub(one.last_ms) >= UNSEEN_MAX_MS
            });
            let oldest = unseen.min_by_key(|(_, one)| one.last_ms);
            if let Some(oldest) = oldest.map(|(event_type, _)| event_type.clone()) {
                self.drop_type(hook, &oldest);
                self.evicted.push((hook.to_owned(), oldest));
            }
        }

        let state = self.hooks.entry(hook.to_owned()).or_default();
        if is_name && state.types.len() < TYPES_MAX {
            let of_type = TypeState {
                last_ms: now_ms,
                ..TypeState::default()
            };
            state.types.insert(event_type.to_owned(), of_type);
            self.has_news = true;
            return true;
        }
        state.untyped += 1;
        false
    }

    pub(crate) fn kept_mut(&mut self, hook: &str, event_type: &str) -> Option<&mut Kept> {
        self.shapes.get_mut(hook)?.get_mut(event_type)
    }

    /// A shape as the ledger has it.
    pub(crate) fn put(&mut self, hook: &str, event_type: String, shape: Shape) {
        let kept = Kept {
            bytes: shape.bytes(),
            shape,
            unsaved: UnsavedPart::Nothing,
        };
        self.put_back(hook, event_type, kept);
    }

    /// A shape of `take`.
    pub(crate) fn put_back(&mut self, hook: &str, event_type: String, kept: Kept) {
        let shapes = self.shapes.entry(hook.to_owned()).or_default();
        shapes.insert(event_type, kept);
    }

    /// Takes a shape out of the memory.
    pub(crate) fn take(&mut self, hook: &str, event_type: &str) -> Option<Kept> {
        self.shapes.get_mut(hook)?.remove(event_type)
    }

    /// A shape in memory has changed: notes what is known of it, and that it is not saved.
    pub(crate) fn note_change(&mut self, hook: &str, event_type: &str) {
        let Some(kept) = self.kept_mut(hook, event_type) else {
            return;
        };
        kept.unsaved = UnsavedPart::Changes;
        kept.bytes = kept.shape.bytes();
        let (_, last_ms) = kept.shape.time();
        let differences = kept.shape.differences();
        let open = differences.first().map(|first| OpenDifferences {
            count: differences.len() as u64,
            first_ms: first.first_ms,
            sentence: sentence(event_type, first),
        });
        let of_type = TypeState {
            last_ms,
            is_known: kept.shape.is_known(),
            open,
        };
        let state = self.hooks.entry(hook.to_owned()).or_default();
        state.types.insert(event_type.to_owned(), of_type);
        self.unsaved.insert(hook.to_owned());
        self.has_news = true;
    }

    pub(crate) fn drop_type(&mut self, hook: &str, event_type: &str) {
        if let Some(state) = self.hooks.get_mut(hook) {
            state.types.remove(event_type);
        }
        if let Some(shapes) = self.shapes.get_mut(hook) {
            shapes.remove(event_type);
        }
        self.unsaved.insert(hook.to_owned());
        self.has_news = true;
    }

    pub(crate) fn drop_hook(&mut self, hook: &str) {
        self.hooks.remove(hook);
        self.shapes.remove(hook);
        self.unsaved.remove(hook);
        self.counted.remove(hook);
        self.warned.remove(hook);
        self.has_news = true;
    }
}

/// A difference for the alarm.
fn sentence(event_type: &str, difference: &Difference) -> String {
    let event = &difference.event;
    if event_type.is_empty() {
        format!("{difference}; first in event {event}")
    } else {
        let event_type = printable_start(event_type, TYPE_BYTES_MAX);
        format!("event type {event_type}: {difference}; first in event {event}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn unseen_types_make_room() {
        let mut memory = Memory::default();
        for number in 0..TYPES_MAX {
            assert!(memory.makes_room("in", &format!("old{number}"), 0));
        }
        assert!(!memory.makes_room("in", "new", DAY_MS - 1));
        assert!(memory.makes_room("in", "old0", DAY_MS));
        for number in 1..TYPES_MAX {
            assert!(memory.makes_room("in", &format!("new{number}"), DAY_MS));
        }
        assert!(!memory.makes_room("in", "more", DAY_MS));
        assert_eq!(memory.hooks["in"].types.len(), TYPES_MAX);
        assert_eq!(memory.hooks["in"].untyped, 2);
        assert_eq!(memory.evicted.len(), TYPES_MAX - 1);
    }

    /// The stored shape was damaged, and is learned anew.
    #[test]
    fn new_shapes_have_nothing_open() {
        let open = OpenDifferences {
            count: 1,
            first_ms: 0,
            sentence: String::new(),
        };
        let of_type = TypeState {
            open: Some(open),
            ..TypeState::default()
        };
        let state = HookState {
            types: BTreeMap::from([(String::new(), of_type)]),
            ..HookState::default()
        };
        let mut memory = Memory::default();
        memory.hooks.insert("in".to_owned(), state);
        assert_eq!(memory.open_types().len(), 1);

        memory.put("in", String::new(), Shape::new());
        memory.note_change("in", "");
        assert!(memory.open_types().is_empty());
    }

    /// Only the counts of known shapes without differences wait.
    #[test]
    fn changes_are_due_at_once() {
        let mut memory = Memory::default();
        memory.put("in", String::new(), Shape::new());
        assert!(!memory.kept_mut("in", "").unwrap().is_due());
        let kept = memory.kept_mut("in", "").unwrap();
        kept.unsaved = UnsavedPart::Counts;
        assert!(kept.is_due(), "it is still learned");
        memory.unsaved.insert("in".to_owned());
        assert_eq!(memory.due_hooks(), ["in"]);

        let rules = landfall_shape::Rules {
            min_events: 1,
            min_ms: 0,
            adopt_ms: i64::MAX,
        };
        let sample = landfall_shape::Sample {
            event: "",
            body: b"{}",
            content_type: None,
            at_ms: 0,
        };
        let kept = memory.kept_mut("in", "").unwrap();
        kept.shape.learn(&sample, &rules);
        assert!(!kept.is_due());
        assert!(memory.due_hooks().is_empty());
        memory.note_change("in", "");
        assert_eq!(memory.due_hooks(), ["in"]);
        assert!(memory.take_news() && !memory.take_news());
    }

    #[test]
    fn sentences_are_bounded() {
        let difference = Difference {
            kind: landfall_shape::DifferenceKind::New,
            path: vec!["\u{202e}".repeat(30); 24],
            expected: String::new(),
            seen: "string".to_owned(),
            event: "0190f3c1-8a5e-7000-8000-0123456789ab".to_owned(),
            events: 1,
            first_ms: 0,
            last_ms: 0,
            quiet: 0,
        };
        let shown = sentence(&"\n".repeat(TYPE_BYTES_MAX), &difference);
        assert!(shown.chars().count() < 600, "{shown}");
        assert!(!shown.chars().any(landfall_model::is_hidden), "{shown:?}");
    }

    #[test]
    fn long_names_have_no_room() {
        let mut memory = Memory::default();
        let long = "a".repeat(TYPE_BYTES_MAX + 1);
        assert!(!memory.makes_room("in", &long, 0));
        assert!(!memory.makes_room("in", "a\0b", 0));
        assert!(memory.makes_room("in", "", 0));
    }
}
