//! Compares what was read of one body with the shape that is known.

use super::difference::{DifferenceKind, Found};
use super::node::Node;
use super::types::Types;

/// Of one body, so many differences are looked at.
const FOUND_MAX: usize = 100;
/// Every element of an array, or every value of a map.
const EACH: &str = "*";

/// The differences of a body, in the order of their places. Places with fewer than `min` bodies are
/// still learned: they have none.
pub(crate) fn compare(known: &Node, body: &Node, min: u64) -> Vec<Found> {
    let mut comparison = Comparison {
        min,
        path: Vec::new(),
        found: Vec::new(),
    };
    comparison.compare(known, body);
    comparison.found
}

struct Comparison {
    min: u64,
    path: Vec<String>,
    found: Vec<Found>,
}

// === impl Comparison ===

impl Comparison {
    fn compare(&mut self, known: &Node, body: &Node) {
        if known.any || body.any || known.bodies < self.min {
            return;
        }

        self.compare_types(known, body);
        if known.objects >= self.min && body.objects > 0 {
            self.compare_fields(known, body);
        }
        if let (Some(known), Some(body)) = (&known.items, &body.items) {
            self.below(EACH, known, body);
        }
    }

    fn compare_types(&mut self, known: &Node, body: &Node) {
        let new = known.known.uncovered(body.types);
        if !new.is_empty() {
            let expected = match known.known_format {
                Some(format) if known.known == Types::STRING => {
                    format!("string ({})", format.word())
                }
                _ => known.known.to_string(),
            };
            self.add(DifferenceKind::Retyped, expected, new.to_string());
        } else if let Some(format) = known.known_format
            && known.strings >= self.min
            && body.strings > 0
            && body.format_of_all() != Some(format)
        {
            let expected = format!("string ({})", format.word());
            let seen = match body.format_of_all() {
                Some(format) => format!("string ({})", format.word()),
                None => "string without this format".to_owned(),
            };
            self.add(DifferenceKind::Retyped, expected, seen);
        }
    }

    fn compare_fields(&mut self, known: &Node, body: &Node) {
        if known.is_map {
            let values = body.fields.values().chain(body.rest.as_deref());
            for value in values {
                if let Some(known) = &known.rest {
                    self.below(EACH, known, value);
                }
            }
            return;
        }

        for (name, field) in &known.fields {
            let present = body.fields.get(name).map_or(0, |field| field.present);
            if !field.optional && !field.is_new && present < body.objects {
                self.path.push(name.clone());
                let expected = field.known.to_string();
                self.add(DifferenceKind::Missing, expected, "nothing".to_owned());
                self.path.pop();
            }
        }
        let is_full = known.rest.as_ref().is_some_and(|rest| rest.any);
        for (name, field) in &body.fields {
            match known.fields.get(name) {
                Some(known) if !known.is_new => self.below(name, known, field),
                None if is_full => {}
                _ => self.add_new(name, field),
            }
        }
        match (&known.rest, &body.rest) {
            (Some(known), Some(body)) if !known.is_new => self.below(EACH, known, body),
            (_, Some(body)) => self.add_new(EACH, body),
            (_, None) => {}
        }
    }

    fn below(&mut self, name: &str, known: &Node, body: &Node) {
        self.path.push(name.to_owned());
        self.compare(known, body);
        self.path.pop();
    }

    fn add_new(&mut self, name: &str, field: &Node) {
        self.path.push(name.to_owned());
        let seen = field.types.to_string();
        self.add(DifferenceKind::New, "nothing".to_owned(), seen);
        self.path.pop();
    }

    fn add(&mut self, kind: DifferenceKind, expected: String, seen: String) {
        if self.found.len() < FOUND_MAX {
            self.found.push(Found {
                kind,
                path: self.path.clone(),
                expected,
                seen,
            });
        }
    }
}
