//! Why a file of vectors, or one vector in it, cannot be run.

use thiserror::Error;

use crate::builder::BuildError;

/// Why a file of vectors cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VectorError {
    /// The file is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// The file has no array of vectors.
    #[error("neither an array nor an object with an array `{0}`")]
    NoArray(&'static str),
    /// One member of the array is not what it must be.
    #[error("not {0}: {1}")]
    Malformed(&'static str, String),
}

/// Why one vector cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum RunError {
    #[error("[verify] {}: {}", .0.key, .0.message)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// Why HTTP libraries reject the request of a vector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum RequestError {
    #[error("header name {0}")]
    HeaderName(String),
    #[error("header value")]
    HeaderValue,
    #[error("method")]
    Method,
}

/// Why the body of a vector cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum BodyError {
    #[error("body is not text")]
    NotText,
    #[error("body is not base64")]
    NotBase64,
    #[error("body has no {0}")]
    NoField(&'static str),
    #[error("body is larger than 64 MiB")]
    TooLarge,
    #[error("body_encoding `{0}` is not known")]
    Encoding(String),
}
