//! The types of a pack's fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The source of the knowledge how a provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The provider's own documentation, SDK or source code.
    Vendor,
    /// Another party's code or text.
    ThirdParty,
}

/// A value of `[verify] config` that a pack reads.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigKey {
    /// What the value is and where the operator finds it.
    pub about: String,
    /// An example value.
    pub example: Option<String>,
    /// Whether a hook without the value is a load error.
    #[serde(default)]
    pub required: bool,
}

/// A pack's response to an event that is stored and handled later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PackAnswer {
    /// `None` means 202 if the provider treats it as success, else the first 2xx in `success`.
    pub status: Option<u16>,
    /// Added to the response. A `content-type` here replaces `application/json`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// `None` means `{"accepted": true, "event": ID}`, an empty text means no body.
    pub body: Option<String>,
}

/// Which body a provider expects in a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBody {
    /// The handler's body.
    #[default]
    Handler,
    /// Never a body.
    Empty,
    /// The body of `accepted` in every 2xx.
    Accepted,
}

/// One status code (`"410"`) or a class of them (`"4xx"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StatusPattern {
    /// This status code.
    Code(u16),
    /// All status codes that begin with this digit.
    Class(u16),
}

/// A text that is not a status pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a status: write \"410\" or \"4xx\"", text = .0.escape_debug())]
pub struct StatusPatternError(String);

// === impl StatusPattern ===

impl StatusPattern {
    /// Whether the pattern covers this status.
    pub fn matches(self, status: u16) -> bool {
        match self {
            StatusPattern::Code(code) => code == status,
            StatusPattern::Class(class) => status / 100 == class,
        }
    }
}

impl TryFrom<String> for StatusPattern {
    type Error = StatusPatternError;

    fn try_from(text: String) -> Result<StatusPattern, StatusPatternError> {
        let pattern = match text.strip_suffix("xx") {
            Some(class) => class.parse().map(StatusPattern::Class),
            None => text.parse().map(StatusPattern::Code),
        };

        match pattern {
            Ok(pattern @ (StatusPattern::Class(3..=5) | StatusPattern::Code(300..=599))) => {
                Ok(pattern)
            }
            _ => Err(StatusPatternError(text)),
        }
    }
}
