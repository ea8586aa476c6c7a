//! Why a request was not let in. For the operator: the caller only ever sees one unchanging answer.

use std::fmt;

use landfall_model::SecretError;

/// One refusal: its word, and the sentence that says how the request differs from what was expected. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The word in logs, metrics and request vectors.
    pub reason: Reason,
    /// For the operator.
    pub detail: String,
    /// A key document that is needed and not at hand: fetch it and ask again.
    pub fetch: Option<String>,
}

/// Every kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nobody said how a sender proves itself. The hook is closed.
    Closed,
    /// No secret to compare with. The hook is closed, whoever calls.
    NoSecret,
    /// The key that the request names cannot be had.
    KeyUnavailable,
    /// Well formed, but made with another secret or over another payload.
    SignatureMismatch,
    /// Not decodable: a wrong prefix, encoding or length.
    MalformedSignature,
    /// Not there.
    MissingSignature,
    /// Older than the window.
    TimestampTooOld,
    /// Later than the window.
    TimestampInFuture,
    /// Another token.
    TokenMismatch,
    /// No token.
    MissingToken,
    /// Only signatures of kinds that do not count.
    UnsupportedSignatureVersion,
    /// No signed time.
    MissingTimestamp,
    /// A header more than once where exactly one can be right.
    DuplicateHeader,
    /// Not a time.
    MalformedTimestamp,
    /// The request names a key at an address that is not the provider's.
    UntrustedKeyUrl,
    /// Not one of the algorithms that are taken.
    AlgorithmNotAllowed,
    /// No delivery id.
    MissingId,
    /// The digest of another body.
    BodyHashMismatch,
    /// No digest of the body.
    BodyHashMissing,
    /// The digest of another URL.
    UrlHashMismatch,
    /// Meant for somebody else.
    AudienceMismatch,
    /// Made by somebody else.
    IssuerMismatch,
    /// Made for somebody else.
    SubjectMismatch,
    /// Not JSON, not a form, or not the fields.
    MalformedBody,
    /// A topic that the operator has not listed.
    TopicNotAllowed,
    /// The client's address is in no range of `from_addresses`.
    AddressNotAllowed,
    /// An ownership check that does not show what it must.
    ChallengeRefused,
    /// An ownership check with another verify token than the operator's.
    VerifyTokenMismatch,
}

// === impl Refusal ===

impl Refusal {
    /// With the sentence for the operator.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            detail: detail.into(),
            fetch: None,
        }
    }

    /// No value to compare with.
    pub fn no_secret(error: &SecretError) -> Refusal {
        Refusal::new(Reason::NoSecret, error.to_string())
    }

    /// A key document is needed.
    pub fn needs(url: &str) -> Refusal {
        let detail = format!("the key document {url} is not at hand");
        Refusal {
            reason: Reason::KeyUnavailable,
            detail,
            fetch: Some(url.into()),
        }
    }

    /// Our side is not ready: the caller should come again, and is not told that it is wrong.
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
    /// The word for it.
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

/// A signature that cannot be decoded.
pub fn malformed(why: String) -> Refusal {
    Refusal::new(
        Reason::MalformedSignature,
        format!("signature malformed: {why}"),
    )
}
