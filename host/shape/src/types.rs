//! The types of JSON values, as a set.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of types. An integer is a number without a fraction and without an exponent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Types(u8);

// === impl Types ===

impl Types {
    pub(crate) const NULL: Types = Types(1);
    pub(crate) const BOOLEAN: Types = Types(1 << 1);
    pub(crate) const INTEGER: Types = Types(1 << 2);
    pub(crate) const NUMBER: Types = Types(1 << 3);
    pub(crate) const STRING: Types = Types(1 << 4);
    pub(crate) const ARRAY: Types = Types(1 << 5);
    pub(crate) const OBJECT: Types = Types(1 << 6);

    /// Each type with the word of JSON Schema, in the order in which texts have them.
    const WORDS: [(Types, &'static str); 7] = [
        (Types::OBJECT, "object"),
        (Types::ARRAY, "array"),
        (Types::STRING, "string"),
        (Types::INTEGER, "integer"),
        (Types::NUMBER, "number"),
        (Types::BOOLEAN, "boolean"),
        (Types::NULL, "null"),
    ];

    pub(crate) fn is_empty(&self) -> bool {
        *self == Types::default()
    }

    pub(crate) fn has(self, one: Types) -> bool {
        self.0 & one.0 != 0
    }

    pub(crate) fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    /// The types of `seen` that this set does not cover. Every integer is a number.
    pub(crate) fn uncovered(self, seen: Types) -> Types {
        let new = seen.without(self);
        if self.has(Types::NUMBER) {
            new.without(Types::INTEGER)
        } else {
            new
        }
    }

    /// Without integers if there are numbers.
    pub(crate) fn reduced(self) -> Types {
        if self.has(Types::NUMBER) {
            self.without(Types::INTEGER)
        } else {
            self
        }
    }

    /// The words of JSON Schema.
    pub(crate) fn words(self) -> Vec<&'static str> {
        let reduced = self.reduced();
        let all = Types::WORDS.into_iter();
        all.filter(|(one, _)| reduced.has(*one))
            .map(|(_, word)| word)
            .collect()
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_numbers() {
        let number = Types::NUMBER;
        assert!(number.uncovered(Types::INTEGER).is_empty());
        assert_eq!(Types::INTEGER.uncovered(number), number);
        let both = number.with(Types::INTEGER).with(Types::NULL);
        assert_eq!(both.to_string(), "number or null");
    }
}
