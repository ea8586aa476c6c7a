//! The signature beside a component, as far as it can be judged without a key.

/// What is beside a component in place of its minisign signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundSignature {
    /// Nothing.
    None,
    /// The text of a signature. It is not checked.
    Text(String),
    /// Something else: a sentence that names it and says what to do.
    Unusable(String),
}

/// A signature has less than 1 KiB.
pub(crate) const SIGNATURE_BYTES_MAX: usize = 16 << 10;
/// How a minisign signature begins.
const SIGNATURE_START: &str = "untrusted comment:";

// === impl FoundSignature ===

impl FoundSignature {
    /// What these bytes are. `place` is where they were found.
    pub(crate) fn of(place: &str, bytes: &[u8]) -> FoundSignature {
        let why = match std::str::from_utf8(bytes) {
            _ if bytes.len() > SIGNATURE_BYTES_MAX => {
                format!("it has more than {SIGNATURE_BYTES_MAX} bytes")
            }
            Err(_) => "it is not text".to_owned(),
            Ok(text) if text.starts_with(SIGNATURE_START) => {
                return FoundSignature::Text(text.to_owned());
            }
            Ok(_) => format!("it does not begin with `{SIGNATURE_START}`"),
        };
        FoundSignature::unusable(place, &why)
    }

    /// `place` has something that is no signature.
    pub(crate) fn unusable(place: &str, why: &str) -> FoundSignature {
        FoundSignature::Unusable(format!(
            "{place} is not a signature of minisign: {why}; sign the component again with `minisign -S`"
        ))
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            FoundSignature::Text(text) => Some(text),
            FoundSignature::None | FoundSignature::Unusable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_no_signatures() {
        let text = "untrusted comment: x\n";
        let found = FoundSignature::of("a", text.as_bytes());
        assert_eq!(found.text(), Some(text));
        let long = text.repeat(1000);
        for (bytes, words) in [
            (long.as_bytes(), "it has more than 16384 bytes"),
            (b"\xff", "it is not text"),
            (b"", "it does not begin with `untrusted comment:`"),
            (b"<html>", "it does not begin with `untrusted comment:`"),
        ] {
            let FoundSignature::Unusable(why) = FoundSignature::of("a.minisig", bytes) else {
                panic!("{words}")
            };
            assert!(
                why.starts_with("a.minisig is not a signature of minisign: ")
                    && why.contains(words),
                "{why}"
            );
        }
    }
}
