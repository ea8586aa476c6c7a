//! Why a request was refused. Only the operator sees this; every refused caller gets the same
//! response.

use std::fmt;

use landfall_model::SecretError;

/// A refusal. It never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason in logs, metrics and request vectors.
    pub reason: Reason,
    /// How the request differs from what was expected, for the operator.
    pub detail: String,
    /// The URL of a key document that is missing. The caller fetches it and checks the request
    /// again.
    pub fetch: Option<String>,
}

/// The reasons for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The hook has no `[verify]` table, so every request is refused.
    Closed,
    /// None of the hook's secrets has a value, so every request is refused.
    NoSecret,
    /// The key that the request names is not available.
    KeyUnavailable,
    /// The signature is well formed, but was made with another secret or over another payload.
    SignatureMismatch,
    /// The signature cannot be decoded: wrong prefix, encoding or length.
    MalformedSignature,
    /// The signature is missing.
    MissingSignature,
    /// The signed time is older than the window.
    TimestampTooOld,
    /// The signed time is later than the window.
    TimestampInFuture,
    /// The token does not match.
    TokenMismatch,
    /// The token is missing.
    MissingToken,
    /// The request only has signatures of unsupported versions.
    UnsupportedSignatureVersion,
    /// The signed time is missing.
    MissingTimestamp,
    /// A header that must be unique occurs more than once.
    DuplicateHeader,
    /// The signed time cannot be parsed.
    MalformedTimestamp,
    /// The request names a key at a URL that does not belong to the provider.
    UntrustedKeyUrl,
    /// The algorithm is not accepted.
    AlgorithmNotAllowed,
    /// The signed delivery id is missing.
    MissingId,
    /// The signed digest belongs to another body.
    BodyHashMismatch,
    /// The signed digest of the body is missing.
    BodyHashMissing,
    /// The signed digest belongs to another URL.
    UrlHashMismatch,
    /// The token has another audience.
    AudienceMismatch,
    /// The token has another issuer.
    IssuerMismatch,
    /// The token has another subject, or another value of a required claim.
    SubjectMismatch,
    /// The body is not valid JSON, not a valid form, or has not the required fields.
    MalformedBody,
    /// The topic is not in the configured list.
    TopicNotAllowed,
    /// The client's address is not in `from_addresses`.
    AddressNotAllowed,
    /// The ownership check does not meet the rule's requirements.
    ChallengeRefused,
    /// The ownership check carries another verify token.
    VerifyTokenMismatch,
}

// === impl Refusal ===

impl Refusal {
    /// `detail` says how the request differs from what was expected.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Refusal {
        Refusal {
            reason,
            detail: detail.to_string(),
            fetch: None,
        }
    }

    /// No secret has a value.
    pub(crate) fn no_secret(error: &SecretError) -> Refusal {
        Refusal::new(Reason::NoSecret, error.to_string())
    }

    /// The key document at `url` is missing.
    pub(crate) fn needs(url: &str) -> Refusal {
        let detail = format!("the key document {url} has not been fetched yet");
        Refusal {
            reason: Reason::KeyUnavailable,
            detail,
            fetch: Some(url.into()),
        }
    }

    /// Whether the host is not ready. The caller should retry and is not told that its request is
    /// wrong.
    pub fn is_ours(&self) -> bool {
        matches!(self.reason, Reason::NoSecret | Reason::Closed)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refusal {}

// === impl Reason ===

impl Reason {
    /// The reason as text.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Closed => "closed",
            Reason::NoSecret => "no_secret",
            Reason::KeyUnavailable => "key_unavailable",
            Reason::SignatureMismatch => "signature_mismatch",
            Reason::MalformedSignature => "malformed_signature",
            Reason::MissingSignature => "missing_signature",
            Reason::TimestampTooOld => "timestamp_too_old",
            Reason::TimestampInFuture => "timestamp_in_future",
            Reason::TokenMismatch => "token_mismatch",
            Reason::MissingToken => "missing_token",
            Reason::UnsupportedSignatureVersion => "unsupported_signature_version",
            Reason::MissingTimestamp => "missing_timestamp",
            Reason::DuplicateHeader => "duplicate_header",
            Reason::MalformedTimestamp => "malformed_timestamp",
            Reason::UntrustedKeyUrl => "untrusted_key_url",
            Reason::AlgorithmNotAllowed => "algorithm_not_allowed",
            Reason::MissingId => "missing_id",
            Reason::BodyHashMismatch => "body_hash_mismatch",
            Reason::BodyHashMissing => "body_hash_missing",
            Reason::UrlHashMismatch => "url_hash_mismatch",
            Reason::AudienceMismatch => "audience_mismatch",
            Reason::IssuerMismatch => "issuer_mismatch",
            Reason::SubjectMismatch => "subject_mismatch",
            Reason::MalformedBody => "malformed_body",
            Reason::TopicNotAllowed => "topic_not_allowed",
            Reason::AddressNotAllowed => "address_not_allowed",
            Reason::ChallengeRefused | Reason::VerifyTokenMismatch => "challenge_refused",
        }
    }
}

/// The refusal of a signature that cannot be decoded.
pub(crate) fn malformed(why: impl fmt::Display) -> Refusal {
    Refusal::new(
        Reason::MalformedSignature,
        format!("signature malformed: {why}"),
    )
}
