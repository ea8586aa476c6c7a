//! The SHA-256 of a component file: `sha256:HEX`.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The digest that identifies a version of a component.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ComponentDigest([u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a digest: write `sha256:` and 64 hexadecimal digits, as `sha256sum FILE` and `landfall inspect FILE` print them",
    .0.escape_debug()
)]
pub struct ComponentDigestError(String);

// === impl ComponentDigest ===

impl ComponentDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> ComponentDigest {
        ComponentDigest(Sha256::digest(bytes).into())
    }

    /// The digest with this SHA-256.
    pub fn new(sha256: [u8; 32]) -> ComponentDigest {
        ComponentDigest(sha256)
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ComponentDigest {
    type Err = ComponentDigestError;

    fn from_str(text: &str) -> Result<ComponentDigest, ComponentDigestError> {
        let error = || ComponentDigestError(text.to_owned());
        let digits = text.strip_prefix("sha256:").ok_or_else(error)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error());
        }

        let mut sha256 = [0; 32];
        for (byte, at) in sha256.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| error())?;
        }
        Ok(ComponentDigest(sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_printed() {
        let digest = ComponentDigest::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(text.replace("ba78", "BA78").parse(), Ok(digest));
        for wrong in [
            "",
            "sha256:",
            "sha256:ba78",
            &text[7..],
            &text.replace('a', "g"),
        ] {
            let error = wrong.parse::<ComponentDigest>().unwrap_err().to_string();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }
}
