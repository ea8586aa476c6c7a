//! The types of a pack's fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who says how a provider signs.
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
    /// What it is and where the operator finds it.
    pub about: String,
    /// A value as it looks.
    pub example: Option<String>,
    /// The hook does not load without it.
    #[serde(default)]
    pub required: bool,
}

/// The answer of a pack to an event that was stored and is handled later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PackAnswer {
    /// None: 202 where the provider takes it, else the first 2xx in `success`.
    pub status: Option<u16>,
    /// Beside, or instead of, `content-type: application/json`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// None: `{"accepted": true, "event": ID}`. Empty text: no body.
    pub body: Option<String>,
}

/// The body of a handler's reply, as a provider wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBody {
    /// The handler's.
    #[default]
    Handler,
    /// None, ever.
    Empty,
    /// That of `accepted`, in every 2xx.
    Accepted,
}

/// One status code (`"410"`) or a class of them (`"4xx"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StatusPattern {
    /// Exactly this one.
    Code(u16),
    /// All that begin with this digit.
    Class(u16),
}

// === impl StatusPattern ===

impl StatusPattern {
    /// Whether this status is one of them.
    pub fn matches(self, status: u16) -> bool {
        match self {
            StatusPattern::Code(code) => code == status,
            StatusPattern::Class(class) => status / 100 == class,
        }
    }
}

impl TryFrom<String> for StatusPattern {
    type Error = String;

    fn try_from(text: String) -> Result<StatusPattern, String> {
        let wrong = || {
            format!(
                "`{}` is not a status: write \"410\" or \"4xx\"",
                text.escape_debug()
            )
        };

        let pattern = match text.strip_suffix("xx") {
            Some(class) => StatusPattern::Class(class.parse().map_err(|_| wrong())?),
            None => StatusPattern::Code(text.parse().map_err(|_| wrong())?),
        };

        match pattern {
            StatusPattern::Class(3..=5) | StatusPattern::Code(300..=599) => Ok(pattern),
            _ => Err(wrong()),
        }
    }
}
