//! What can go wrong between a node and its broker, sorted by what the caller can do about it.

use landfall_model::{SecretError, SecretRef};

/// The fewest bytes of a secret in `queue.key`.
pub(crate) const KEY_MIN: usize = 16;

/// Why a broker did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The broker does not answer, or not in time. It may or may not have stored what was sent.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// The broker is not set up as it must be. The sentence says what to do.
    #[error("{0}")]
    Misconfigured(String),
    /// The broker can never carry this event as it must be carried.
    #[error("the queue does not take this event: {0}")]
    Rejected(String),
    /// The broker never takes an event of this size.
    #[error(
        "an event of {bytes} bytes is larger than the {most} that the queue takes: lower \
         max_body, or raise the queue's limit"
    )]
    TooLarge {
        /// The size of the envelope.
        bytes: usize,
        /// The limit of the broker.
        most: usize,
    },
    /// A secret of `queue.key` cannot be used now.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why the settings of a broker cannot be used: a sentence that names the key and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("settings: {0}")]
pub struct SettingsError(pub(crate) String);

/// Why a secret of `queue.key` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret has no value now.
    #[error("queue.key: {0}")]
    NoValue(String),
    /// The secret is too easy to guess.
    #[error("queue.key: the secret {0} is shorter than {KEY_MIN} bytes: use 32 random ones")]
    TooShort(SecretRef),
}

/// Why a message of the broker cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It cannot be verified yet: a newer version wrote it, or a key has no value at present.
    #[error("{0}")]
    Later(String),
    /// The MAC is missing or wrong.
    #[error("{0}")]
    Unverified(String),
    /// It is not an envelope of Landfall, or it is damaged.
    #[error("{0}")]
    Malformed(String),
}

// === impl KeyError ===

impl From<SecretError> for KeyError {
    fn from(error: SecretError) -> KeyError {
        KeyError::NoValue(error.to_string())
    }
}

// === impl DecodeError ===

impl DecodeError {
    /// The reason in metrics and records.
    pub fn reason(&self) -> &'static str {
        match self {
            DecodeError::Later(_) => "waits",
            DecodeError::Unverified(_) => "unverified",
            DecodeError::Malformed(_) => "unreadable",
        }
    }

    pub(crate) fn malformed(why: impl ToString) -> DecodeError {
        DecodeError::Malformed(why.to_string())
    }
}
