//! Secrets: a value that no formatter prints, and a reference to where such a value lives.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use zeroize::Zeroizing;

/// A secret value. `Debug` prints no part of it, and its memory is wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Where a secret lives: `env:NAME` or `file:PATH`. Secrets are never written as literals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file, relative to the hook file that names it; one trailing line end is not part of the secret.
    File(PathBuf),
}

/// Why there is no value now. The hook that needs it is closed until there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("environment variable `{0}` is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("secret file {path}: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// It is there, and is not what the scheme needs.
    #[error("the secret {0}: it should be a key as the provider gives it")]
    NoKey(String),
    /// An empty secret would let everybody in.
    #[error("the secret at `{0}` is empty")]
    Empty(String),
}

/// Gives the present value of a secret; `secrets` implements it, others only ask.
pub trait SecretSource: Send + Sync {
    /// The value now. Never blocks for long: sources are read ahead.
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError>;

    /// Reads these ahead from now on. Blocks for as long as the sources take.
    fn track(&self, _references: &[SecretRef]) {}

    /// Forgets all but these.
    fn keep(&self, _references: &[SecretRef]) {}
}

// === impl Secret ===

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// The bytes: only for a comparison, a MAC or a credential on its way out.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl SecretRef ===

impl FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretRef, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
            // The text itself is not repeated: it may be the secret.
            _ => Err("not a secret reference: write `env:NAME` or `file:PATH`, never the secret itself".into()),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_literal_is_refused_and_not_repeated() {
        let error = "hunter2".parse::<SecretRef>().unwrap_err();
        assert!(error.contains("env:NAME"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
