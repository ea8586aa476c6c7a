//! Public keys of minisign, and the check of a component's signature.

use std::fmt;
use std::str::FromStr;

use minisign_verify::{Error, PublicKey, Signature};

/// A key whose signatures are trusted.
#[derive(Clone)]
pub struct TrustedKey {
    text: String,
    key: PublicKey,
}

/// A text that is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a public key of minisign: write the second line of its .pub file, which begins with `RW`",
    .0.escape_debug()
)]
pub struct TrustedKeyError(String);

/// Why a signature does not make a component trusted. The texts follow the name of the signature's
/// file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The file has another content.
    #[error("is not a signature of minisign")]
    NotASignature,
    /// The key is not one of the trusted keys.
    #[error("is made with a key that is not in components.trusted_keys")]
    UntrustedKey,
    /// The component or the signature was changed.
    #[error("is not a signature of this version of the component")]
    OtherContent,
    /// `minisign -l`
    #[error("has the old format of minisign: sign again without `-l`")]
    OldFormat,
}

// === impl TrustedKey ===

impl TrustedKey {
    /// Checks that one of the keys made this signature of these bytes.
    pub fn check(keys: &[TrustedKey], bytes: &[u8], signature: &str) -> Result<(), SignatureError> {
        let signature = Signature::decode(signature).map_err(|_| SignatureError::NotASignature)?;
        let mut why = SignatureError::UntrustedKey;
        for trusted in keys {
            match trusted.key.verify(bytes, &signature, false) {
                Ok(()) => return Ok(()),
                // The numbers of keys are not secret, so that two keys can have the same one.
                Err(Error::UnexpectedKeyId) => {}
                Err(Error::UnexpectedAlgorithm) => why = SignatureError::OldFormat,
                Err(_) => why = SignatureError::OtherContent,
            }
        }
        Err(why)
    }
}

impl FromStr for TrustedKey {
    type Err = TrustedKeyError;

    fn from_str(text: &str) -> Result<TrustedKey, TrustedKeyError> {
        match PublicKey::from_base64(text) {
            Ok(key) => Ok(TrustedKey {
                text: text.to_owned(),
                key,
            }),
            Err(_) => Err(TrustedKeyError(text.to_owned())),
        }
    }
}

impl PartialEq for TrustedKey {
    fn eq(&self, other: &TrustedKey) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWT4NWBLphkZfwRneb5JhivCnKjNJrKcTTK5rsOYdWa1EHYkjuj10ROQ";
    const OTHER_KEY: &str = "RWTFUu4yEgUU4sKfjMdf/5kaVj2uqFiZHozX40SpZW4L6qYNCrO4Cmp1";
    /// Of `abc`, as `minisign -S` wrote it.
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUT4NWBLphkZf9XSoYbrqUIKWoGOT99cG3b0OKEv12b58CeH3DfvbtmEC0EhEPa+WiE0C0ne8B4WhTjgx+g1Q8MnAFx/hm4TFgU=\n\
        trusted comment: t\n\
        rbgjRs92v4WRc7KVs4CCKZJ4iMsro8oAk5fvNyNAAnL0P8QoJ5/CsSn4DNry0EJ04Roi32vFEf1LODanVbIzDw==\n";
    /// The same as `minisign -S -l` wrote it.
    const OLD_FORMAT: &str = "untrusted comment: signature from minisign secret key\n\
        RWT4NWBLphkZf9w89i5coyNxOMFko4HBdO5vO4zMN8j5tW2H5dkPtIPFO8zLh/KsvCmpYGqpGP0lH4IG5vsDSeZLJrWVtGdNEwQ=\n\
        trusted comment: timestamp:1795945963\tfile:m\n\
        G/a8dlOGTQrqSqcQnwDzOMQHVbn/T+LOahhgX7PNaXiFKccmBn3dxUBxiwXIxoIHQkSVOFlMhKuCQ2wkZIRVCw==\n";

    fn check(keys: &[&str], bytes: &[u8], signature: &str) -> Result<(), SignatureError> {
        let keys: Vec<TrustedKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
        TrustedKey::check(&keys, bytes, signature)
    }

    #[test]
    fn only_trusted_signatures_are_accepted() {
        assert_eq!(check(&[OTHER_KEY, KEY], b"abc", SIGNATURE), Ok(()));
        for (keys, bytes, signature, expected) in [
            (&[KEY][..], "abd", SIGNATURE, SignatureError::OtherContent),
            (&[OTHER_KEY], "abc", SIGNATURE, SignatureError::UntrustedKey),
            (&[], "abc", SIGNATURE, SignatureError::UntrustedKey),
            (&[KEY], "abc", OLD_FORMAT, SignatureError::OldFormat),
            (&[KEY], "abc", "", SignatureError::NotASignature),
        ] {
            assert_eq!(check(keys, bytes.as_bytes(), signature), Err(expected));
        }
        let comment_changed = SIGNATURE.replace("comment: t", "comment: u");
        let changed = check(&[KEY], b"abc", &comment_changed);
        assert_eq!(changed, Err(SignatureError::OtherContent));
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in [
            "",
            "RW",
            &KEY[..50],
            "untrusted comment: minisign public key 7F1919A64B6035F8",
        ] {
            let error = text.parse::<TrustedKey>().unwrap_err().to_string();
            assert!(error.contains("second line of its .pub file"), "{error}");
        }
    }
}
