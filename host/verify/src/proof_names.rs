//! What looks like a token or a signature, by its name or by itself. For requests of which it is
//! not known where they carry one.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::pack::{Pack, Packs, pack_names};
use landfall_model::ValueLocation;

/// A name that contains one of these texts, in any case, is that of a proof.
const PARTS: [&str; 11] = [
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "hmac",
    "passcode",
    "passphrase",
    "password",
    "secret",
    "signature",
    "token",
];
/// So is a name that has one of these words, in the singular or the plural. Words end at characters
/// that are neither letters nor digits, and before capitals.
const WORDS: [&str; 14] = [
    "auth", "digest", "hash", "jwt", "key", "mac", "nonce", "otp", "passwd", "pin", "pwd",
    "session", "sig", "signed",
];
const SIGN: &str = "sign";
/// Digits and letters in a row that are too many for a word.
const RANDOM_BYTES_MIN: usize = 16;

/// The names under which the provider packs read proofs.
#[derive(Debug, Clone, Default)]
pub struct ProofNames {
    own: PackNames,
}

#[derive(Debug, Clone, Default)]
struct PackNames {
    /// In lower case.
    headers: BTreeSet<String>,
    /// Of the query.
    parameters: BTreeSet<String>,
    /// Of forms.
    fields: BTreeSet<String>,
    /// The last keys of JSON pointers.
    keys: BTreeSet<String>,
}

static EMBEDDED: LazyLock<PackNames> = LazyLock::new(|| {
    let packs = Packs::default();
    PackNames::of(pack_names().filter_map(|name| packs.find(name).ok()))
});

// === impl ProofNames ===

impl ProofNames {
    /// The names of the embedded packs, and of the operator's.
    pub fn of(packs: &Packs) -> ProofNames {
        ProofNames {
            own: PackNames::of(packs.own()),
        }
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        looks_like_name(&name) || self.any(|packs| packs.headers.contains(&name))
    }

    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        looks_like_name(name) || self.any(|packs| packs.parameters.contains(name))
    }

    pub(crate) fn has_field(&self, name: &str) -> bool {
        looks_like_name(name) || self.any(|packs| packs.fields.contains(name))
    }

    pub(crate) fn has_key(&self, name: &str) -> bool {
        looks_like_name(name) || self.any(|packs| packs.keys.contains(name))
    }

    fn any(&self, has: impl Fn(&PackNames) -> bool) -> bool {
        has(&EMBEDDED) || has(&self.own)
    }
}

// === impl PackNames ===

impl PackNames {
    /// Locations that belong to a scheme, and not to its pack, have names that look like proofs.
    fn of(packs: impl Iterator<Item = Pack>) -> PackNames {
        let mut names = PackNames::default();
        for pack in packs {
            pack.verify
                .from
                .iter()
                .flatten()
                .for_each(|place| names.add(place));
        }
        names
    }

    fn add(&mut self, place: &ValueLocation) {
        match place {
            ValueLocation::Header(name) => self.headers.insert(name.to_ascii_lowercase()),
            ValueLocation::Query(name) => self.parameters.insert(name.clone()),
            ValueLocation::Form(name) => self.fields.insert(name.clone()),
            ValueLocation::Json(pointer) | ValueLocation::Each(pointer) => {
                let last = pointer.rsplit('/').next().unwrap_or_default();
                self.keys.insert(last.replace("~1", "/").replace("~0", "~"))
            }
            // Such a value is judged by itself.
            ValueLocation::Path(_)
            | ValueLocation::Param(_)
            | ValueLocation::Body(_)
            | ValueLocation::Claim(_) => false,
        };
    }
}

fn looks_like_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part)) || words(name).any(|word| is_word(&word))
}

fn is_word(word: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    WORDS.contains(&word) || WORDS.contains(&singular) || word == SIGN
}

/// The words of a name, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for one in name.chars() {
        let begins = !one.is_alphanumeric() || (was_lower && one.is_uppercase());
        if begins {
            words.push(String::new());
        }
        was_lower = one.is_lowercase() || one.is_numeric();
        if one.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(one.to_lowercase());
        }
    }
    words.into_iter()
}

/// Whether a value is a token or a signature whatever its name is: it names its scheme, or has many
/// letters and digits in a row. A URL or a sentence is none.
pub(crate) fn looks_like_proof(value: &str) -> bool {
    let begins_with = |scheme: &str| {
        let beginning = value.get(..scheme.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme))
    };
    if begins_with("bearer ") || begins_with("basic ") {
        return true;
    }

    let is_text = value.contains(char::is_whitespace) || value.contains("://");
    let mut runs = value.split(|one: char| !one.is_ascii_alphanumeric());
    !is_text && runs.any(is_random)
}

fn is_random(run: &str) -> bool {
    run.len() >= RANDOM_BYTES_MIN
        && run.bytes().any(|byte| byte.is_ascii_digit())
        && run.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_a_proof() {
        for (name, is_proof) in [
            ("token", true),
            ("access_token", true),
            ("csrfToken", true),
            ("X-Hub-Signature-256", true),
            ("HMACSignature", true),
            ("api-key", true),
            ("apiKeys", true),
            ("auth", true),
            ("Set-Cookie", true),
            ("event_hash", true),
            ("signedPayload", true),
            ("sign", true),
            ("bt_signature", true),
            ("author", false),
            ("assignees", false),
            ("keys_url", true),
            ("monkey", false),
            ("design", false),
            ("ref", false),
            ("", false),
        ] {
            assert_eq!(looks_like_name(name), is_proof, "{name}");
        }
    }

    #[test]
    fn packs_name_their_proofs() {
        let own =
            "name = \"Own\"\n[verify]\nscheme = \"token\"\nfrom = { json = \"/a/odd~1one\" }\n";
        let packs = Packs::with([("own".to_owned(), Ok(own.to_owned()))].into());
        let names = ProofNames::of(&packs);
        assert!(names.has_key("odd/one") && !ProofNames::default().has_key("odd/one"));
        assert!(names.has_key("clientState"), "of an embedded pack");
        assert!(names.has_parameter("code") && !names.has_key("code"));
        assert!(names.has_header("X-Hub-Signature-256"));
        for of_schemes in ["Signature", "hmacSignature", "event_hash", "signedPayload"] {
            assert!(names.has_key(of_schemes), "{of_schemes}");
        }
        assert!(names.has_field("bt_signature"));
    }

    #[test]
    fn random_values_look_like_proofs() {
        for (value, is_proof) in [
            ("Bearer x", true),
            ("BASIC eA==", true),
            ("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl", true),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
            ("da39a3ee5e6b4b0d3255bfef95601890afd80709", true),
            ("72d3162e-cc78-11e3-81ab-4c9367dc0958", false),
            ("2026-01-31T08:15:30.123456Z", false),
            ("refs/heads/branch-12", false),
            ("12345678901234567890", false),
            ("https://example.com/da39a3ee5e6b4b0d3255", false),
            ("a sentence with da39a3ee5e6b4b0d3255", false),
            ("", false),
        ] {
            assert_eq!(looks_like_proof(value), is_proof, "{value}");
        }
    }
}
