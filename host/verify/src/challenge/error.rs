//! Why the rule of an ownership check cannot be built.

use thiserror::Error;

use crate::payload::ConfigError;

/// The methods that an ownership check may have.
pub(super) const METHODS: [&str; 5] = ["GET", "HEAD", "OPTIONS", "POST", "PUT"];

/// Why the rule of an ownership check cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ChallengeError {
    #[error("method `{0}` cannot be a challenge: one of {known}", known = METHODS.join(", "))]
    Method(String),
    #[error("`{name}` is not a header name", name = .0.escape_debug())]
    HeaderName(String),
    #[error("a header value must be one line")]
    HeaderValue,
    #[error("header `{0}` is written by the host")]
    HostHeader(String),
    #[error(
        "every delivery would be answered as an ownership check and dropped: say what a check has \
         (query, header, json, equals, only_keys or only_form_field)"
    )]
    EveryDelivery,
    #[error("an answer with this status has no body")]
    NoBody,
    #[error("status {0} cannot be answered: 200 to 599")]
    Status(u16),
    #[error("`{{` without its `}}`")]
    Unclosed,
    #[error("write {{sha256-hex query:NAME challenge_secret endpoint}}")]
    Digest,
    #[error("`{0}` is none of hmac-sha1-hex, hmac-sha256-hex, hmac-sha256-base64")]
    UnknownMac(String),
    #[error("`{0}` names no value: write query:NAME, header:NAME, form:NAME or json:/POINTER")]
    NoValue(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
}
