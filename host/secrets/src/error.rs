//! Why a secret cannot be fetched or stored. No message contains a secret.

use std::path::{Path, PathBuf};

use landfall_egress::OutgoingError;
use landfall_model::{SecretDenied, SecretError, SecretRef};

/// Why a remote secret could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("environment variable {name} is not set: {purpose}")]
    NotSet {
        name: &'static str,
        purpose: &'static str,
    },
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("{url}: {error}")]
    Call { url: String, error: OutgoingError },
    /// The body of the answer may repeat what was sent, so the error has only its status.
    #[error("{url} answers {status}{}", hint_for(.status))]
    Status { url: String, status: u16 },
    #[error("{url} answers with something that is not JSON")]
    NotJson { url: String },
    #[error("the answer has no `{0}`")]
    NoField(String),
    #[error("the answer contains invalid base64")]
    InvalidBase64,
    #[error("{secret} {problem}")]
    Unusable { secret: String, problem: String },
    #[error("no credentials: {problem} ({error})")]
    NoCredentials {
        problem: &'static str,
        error: Box<FetchError>,
    },
    #[error("the private key of the service account cannot be read")]
    PrivateKey,
    #[error("the client secret: {0}")]
    ClientSecret(#[from] SecretError),
    #[error("no answer in time")]
    Timeout,
}

/// Why the secret of a pairing could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// Only a file can be created.
    #[error("`{0}` is not a file: pairing needs secret = \"file:PATH\"")]
    NotAFile(SecretRef),
    /// Hook files may not name this file.
    #[error("the secret {0}")]
    Refused(#[from] SecretDenied),
    /// The file exists, or its directory cannot be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
}

// === impl FetchError ===

impl FetchError {
    pub(crate) fn file(path: impl AsRef<Path>, why: impl ToString) -> FetchError {
        FetchError::File {
            path: path.as_ref().to_owned(),
            why: why.to_string(),
        }
    }

    pub(crate) fn unusable(secret: impl ToString, problem: impl Into<String>) -> FetchError {
        FetchError::Unusable {
            secret: secret.to_string(),
            problem: problem.into(),
        }
    }
}

fn hint_for(status: &u16) -> &'static str {
    match status {
        400 | 404 => ": is the name right?",
        401 | 403 => ": may this identity read it?",
        _ => "",
    }
}
