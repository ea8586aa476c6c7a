//! Which string values are kept: only words of the provider's vocabulary, such as `paid` in a field
//! `status`, and only after each was seen often. Every other value is private, and is never kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A place with more values has no vocabulary.
const WORDS_MAX: usize = 12;
/// A value is kept from this time on. Before, only a hash of it is.
const SEEN_MIN: u64 = 10;
const WORD_BYTES_MAX: usize = 40;
/// A longer run of letters and digits may be a token.
const RUN_MAX: usize = 20;
const DIGITS_MAX: usize = 3;

/// The last words of names whose values are words of the provider, not of a customer.
const VOCABULARY: [&str; 18] = [
    "action",
    "category",
    "currency",
    "event",
    "kind",
    "level",
    "method",
    "mode",
    "object",
    "outcome",
    "priority",
    "reason",
    "result",
    "severity",
    "state",
    "status",
    "type",
    "visibility",
];

/// The values of the strings of one place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Words {
    /// Values of this place are not kept.
    #[default]
    Private,
    /// So far there are few values. By their hash.
    Few(BTreeMap<u64, Word>),
}

/// A value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Word {
    #[serde(rename = "n")]
    count: u64,
    /// `None` until it was seen often. In what is read of one body: always there.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Whether the values of a field with this name are words of the provider's vocabulary.
pub(crate) fn is_vocabulary(name: &str) -> bool {
    let start = name
        .char_indices()
        .rev()
        .find(|(_, c)| c.is_ascii_uppercase() || !c.is_ascii_alphanumeric())
        .map_or(0, |(at, c)| {
            if c.is_ascii_uppercase() {
                at
            } else {
                at + c.len_utf8()
            }
        });
    let last = name[start..].to_ascii_lowercase();
    VOCABULARY.contains(&last.as_str())
}

/// Whether a value may be a word of a vocabulary, and not a name, a number, a token or a sentence.
fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let mut runs = text.split(|c: char| !c.is_ascii_alphanumeric());
    (1..=WORD_BYTES_MAX).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(is_plain)
        && digits <= DIGITS_MAX
        && runs.all(|run| run.len() <= RUN_MAX)
}

// === impl Words ===

impl Words {
    pub(crate) fn is_private(&self) -> bool {
        matches!(self, Words::Private)
    }

    /// The first value of a place whose values may be kept.
    pub(crate) fn begin(&mut self) {
        *self = Words::Few(BTreeMap::new());
    }

    /// Whether a value adds nothing: it is kept, or no value is.
    pub(crate) fn has(&self, text: &str) -> bool {
        match self {
            Words::Private => true,
            Words::Few(words) => {
                let word = words.get(&hash(text));
                word.is_some_and(|word| word.text.as_deref() == Some(text))
            }
        }
    }

    /// One more value of one body.
    pub(crate) fn add(&mut self, text: &str) {
        let Words::Few(words) = self else {
            return;
        };
        if !is_word(text) {
            *self = Words::Private;
            return;
        }

        let word = words.entry(hash(text)).or_insert_with(|| Word {
            count: 0,
            text: Some(text.to_owned()),
        });
        word.count += 1;
        if words.len() > WORDS_MAX {
            *self = Words::Private;
        }
    }

    /// Adds the values of one body. A value that was seen often is kept.
    pub(crate) fn merge(&mut self, other: Words) {
        let Words::Few(others) = other else {
            *self = Words::Private;
            return;
        };
        let Words::Few(words) = self else {
            return;
        };
        for (hash, other) in others {
            let word = words.entry(hash).or_insert(Word {
                count: 0,
                text: None,
            });
            word.count += other.count;
            if word.text.is_none() && word.count >= SEEN_MIN {
                word.text = other.text;
            }
        }
        if words.len() > WORDS_MAX {
            *self = Words::Private;
        }
    }

    /// All values of a place with so many strings, in order. `None` if not each of them is kept.
    pub(crate) fn all(&self, strings: u64) -> Option<Vec<&str>> {
        let Words::Few(words) = self else {
            return None;
        };
        let count: u64 = words.values().map(|word| word.count).sum();
        let mut texts: Vec<&str> = words
            .values()
            .map(|word| word.text.as_deref())
            .collect::<Option<_>>()?;
        texts.sort_unstable();
        (count == strings && !texts.is_empty()).then_some(texts)
    }
}

/// FNV-1a, which is the same in every version.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_vocabularies() {
        for name in [
            "status",
            "event_type",
            "deliveryStatus",
            "Object-Kind",
            "type",
        ] {
            assert!(is_vocabulary(name), "{name}");
        }
        for name in [
            "name",
            "email",
            "statuses",
            "prototype",
            "login",
            "",
            "état",
            "type_id",
        ] {
            assert!(!is_vocabulary(name), "{name}");
        }
    }

    #[test]
    fn tokens_are_no_words() {
        for text in ["paid", "order.created", "in_progress", "USD", "v2"] {
            assert!(is_word(text), "{text}");
        }
        for text in [
            "",
            "4242",
            "Jane Doe",
            "jane@example.com",
            "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
            "abcdefghijklmnopqrstuvwxyz",
            "cus_12345",
            "été",
        ] {
            assert!(!is_word(text), "{text}");
        }
    }

    #[test]
    fn words_are_kept_when_seen_often() {
        let mut known = Words::default();
        known.begin();
        for seen in 1..=SEEN_MIN {
            let mut body = Words::default();
            body.begin();
            body.add("paid");
            known.merge(body);
            let text = serde_json::to_string(&known).unwrap();
            assert_eq!(text.contains("paid"), seen == SEEN_MIN, "{text}");
            assert_eq!(known.all(seen).is_some(), seen == SEEN_MIN);
            known = serde_json::from_str(&text).unwrap();
        }

        for number in 0..WORDS_MAX {
            let mut body = Words::default();
            body.begin();
            body.add(&format!("other{number}"));
            known.merge(body);
        }
        assert!(known.is_private());
    }
}
