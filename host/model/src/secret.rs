//! Secret values, which no formatter prints, and the trait that provides them.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use zeroize::Zeroizing;

use super::secret_grant::SecretDenied;
use super::secret_ref::SecretRef;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A secret value. `Debug` prints no part of it, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// When remote secrets are fetched again, and how long the last value is used.
#[derive(Debug, Clone, Copy)]
pub struct SecretAges {
    /// The time after which a secret is fetched again.
    pub refresh: Duration,
    /// How long the last value is used while the source is unreachable.
    pub keep: Duration,
}

impl Default for SecretAges {
    fn default() -> SecretAges {
        SecretAges {
            refresh: Duration::from_secs(300),
            keep: Duration::from_secs(12 * 3600),
        }
    }
}

/// Why a secret has no value now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("environment variable `{0}` is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("secret file {path}: {why}")]
    Unreadable {
        /// Path of the file.
        path: String,
        /// The error of the operating system.
        why: String,
    },
    /// Hook files may not name it.
    #[error("the secret {0}")]
    Refused(#[from] SecretDenied),
    /// It could not be fetched.
    #[error("secret {reference}: {why}")]
    Remote {
        /// The reference, as text.
        reference: String,
        /// The cause.
        why: String,
    },
    /// The value is not a key of the form that the scheme needs.
    #[error("the secret {0}: it should be a key as the provider gives it")]
    NoKey(String),
    /// The value is empty. An empty secret would accept every caller.
    #[error("the secret at `{0}` is empty")]
    Empty(String),
}

/// The future of `SecretSource::track`. It is boxed, so that the trait can be used as an object.
pub type TrackSecrets<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The current values of secrets. Implemented by the crate `secrets`.
pub trait SecretSource: Send + Sync {
    /// The current value, from memory if the secret is tracked.
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError>;

    /// Whether a hook file may name this secret.
    fn check(&self, _reference: &SecretRef) -> Result<(), SecretError> {
        Ok(())
    }

    /// Reads these secrets, and refreshes them from then on.
    fn track<'a>(&'a self, _references: &'a [SecretRef]) -> TrackSecrets<'a> {
        Box::pin(std::future::ready(()))
    }

    /// Reports that a server rejected this secret: a token may have been revoked before it expired.
    fn report_rejected(&self, _reference: &SecretRef) {}

    /// Stops tracking all other secrets.
    fn retain(&self, _references: &[SecretRef]) {}
}

// === impl Secret ===

impl Secret {
    /// A secret with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// The secret in the contents of a file or variable: without a byte-order mark, and without one
    /// line end at the end.
    pub fn without_line_end(mut bytes: Vec<u8>) -> Secret {
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if bytes.ends_with(b"\n") {
            bytes.truncate(bytes.len() - if bytes.ends_with(b"\r\n") { 2 } else { 1 });
        }
        Secret::new(bytes)
    }

    /// The bytes, for a comparison, a MAC or a credential of an outbound call.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_does_not_count() {
        for (held, secret) in [
            ("s", "s"),
            ("\u{feff}s\r\n", "s"),
            ("\u{feff}", ""),
            ("s\n", "s"),
            ("s\r\n", "s"),
            ("s\n\n", "s\n"),
            ("s\r", "s\r"),
            (" s ", " s "),
        ] {
            assert_eq!(
                Secret::without_line_end(held.into()).expose(),
                secret.as_bytes(),
                "{held:?}"
            );
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
