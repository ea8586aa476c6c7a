//! Removes the same secrets from many texts: their forms and what finds them are made once.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use bytes::Bytes;

use super::redact::{Form, SECRET_MIN, clean, forms};
use super::spelling::{SPELLINGS, contains_any, decode};
use landfall_model::Secret;

/// Removes secrets from texts and bodies. One that contains none is searched once for all of them.
#[derive(Default)]
pub struct Redactor {
    secrets: Arc<[Secret]>,
    /// The longest first.
    forms: Vec<Form>,
    finder: Option<Finder>,
}

/// Finds texts that contain any secret.
struct Finder {
    /// Any form.
    forms: AhoCorasick,
    /// Any secret itself, for texts in other spellings.
    plain: AhoCorasick,
}

// === impl Redactor ===

impl Redactor {
    /// Makes the forms of these secrets. Those of less than 4 bytes are not removed.
    pub fn new(secrets: Arc<[Secret]>) -> Redactor {
        let exposed: Vec<&[u8]> = secrets.iter().map(Secret::expose).collect();
        let forms = forms(&exposed);
        let finder = Finder::new(&forms, &exposed);
        Redactor {
            secrets,
            forms,
            finder,
        }
    }

    /// The secrets.
    pub fn secrets(&self) -> &Arc<[Secret]> {
        &self.secrets
    }

    /// A text without the secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.may_change(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        let cleaned = clean(&Bytes::copy_from_slice(text.as_bytes()), &self.forms);
        Cow::Owned(String::from_utf8_lossy(&cleaned).into_owned())
    }

    /// A body without the secrets, which need not be text.
    pub fn bytes(&self, body: Bytes) -> Bytes {
        if !self.may_change(&body) {
            return body;
        }
        clean(&body, &self.forms)
    }

    /// Whether the bytes may contain a secret, in any form or spelling.
    fn may_change(&self, bytes: &[u8]) -> bool {
        if self.forms.is_empty() {
            return false;
        }
        // Without a finder, each form is searched.
        self.finder
            .as_ref()
            .is_none_or(|finder| finder.finds(bytes))
    }
}

impl fmt::Debug for Redactor {
    // It has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

// === impl Finder ===

impl Finder {
    /// `None`: the forms are too many or too long for it.
    fn new(forms: &[Form], secrets: &[&[u8]]) -> Option<Finder> {
        if forms.is_empty() {
            return None;
        }
        let plain = secrets.iter().filter(|secret| secret.len() >= SECRET_MIN);
        Some(Finder {
            forms: finder_of(forms.iter().map(Form::bytes))?,
            plain: finder_of(plain.copied())?,
        })
    }

    fn finds(&self, bytes: &[u8]) -> bool {
        self.forms.is_match(bytes)
            || SPELLINGS.iter().any(|(marks, spelling)| {
                contains_any(bytes, marks) && self.plain.is_match(&decode(bytes, *spelling).bytes)
            })
    }
}

/// It is made for each recording that is kept, so that it must not take long to make.
fn finder_of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Option<AhoCorasick> {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(texts)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets = secrets.iter().map(|secret| Secret::new(*secret));
        Redactor::new(secrets.collect())
    }

    #[test]
    fn forms_and_spellings_are_found() {
        let redactor = redactor(&["s3cr3t/key+1", "other secret", "abc"]);
        for (text, expected) in [
            ("a s3cr3t/key+1 b", "a [redacted] b"),
            ("s3cr3t%2Fkey%2B1", "[redacted]"),
            ("s3cr3t\\/key+1", "[redacted]"),
            ("other&#x20;secret", "[redacted]"),
            ("q=other+secret", "q=[redacted]"),
            ("6f7468657220736563726574", "[redacted]"),
            ("b3RoZXIgc2VjcmV0", "[redacted]"),
            ("\\u006fther secret", "[redacted]"),
            ("abc", "abc"),
            ("100 % & \\n +", "100 % & \\n +"),
        ] {
            assert_eq!(redactor.text(text), expected, "{text}");
            let body = Bytes::copy_from_slice(text.as_bytes());
            assert_eq!(redactor.bytes(body), expected, "{text}");
        }
    }

    /// What the finder lets pass is what the search of each form leaves.
    #[test]
    fn the_finder_changes_no_result() {
        let with = redactor(&["s3cr3t/key+1", "[redacted]", "0123456789"]);
        let without = Redactor {
            finder: None,
            ..redactor(&["s3cr3t/key+1", "[redacted]", "0123456789"])
        };
        let parts = [
            "s3cr3t",
            "/",
            "%2f",
            "key",
            "+1",
            "%2B1",
            "&amp;",
            "\\u0073",
            "[redacted]",
            "W3JlZGFjdGVkXQ",
            "0123456789",
            "MDEyMzQ1Njc4OQ",
            " ",
        ];
        for one in parts {
            for two in parts {
                for three in parts {
                    for four in ["", "key+1", "=="] {
                        let text = [one, two, three, four].concat();
                        assert_eq!(with.text(&text), without.text(&text), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn texts_without_secrets_are_not_copied() {
        let redactor = redactor(&["s3cr3t"]);
        assert!(matches!(redactor.text("nothing %41"), Cow::Borrowed(_)));
        let body = Bytes::from_static(b"nothing");
        assert_eq!(redactor.bytes(body.clone()).as_ptr(), body.as_ptr());
        assert_eq!(format!("{redactor:?}"), "Redactor { .. }");
    }
}
