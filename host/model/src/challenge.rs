//! Ownership checks as data: which request is one, what it must show, and what to answer.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One ownership check.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeSpec {
    /// Of the request; `POST` unless said.
    pub method: Option<String>,
    /// A query parameter that is there.
    pub query: Option<String>,
    /// A header that is there.
    pub header: Option<String>,
    /// A string that is there in the JSON body.
    pub json: Option<String>,
    /// JSON pointer, `header:NAME`, `query:NAME` or `form:NAME`, and the value that must be there.
    #[serde(default)]
    pub equals: BTreeMap<String, serde_json::Value>,
    /// JSON pointers to what must not be there in the body.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The body is a JSON object that has no keys but these; empty = any keys.
    #[serde(default)]
    pub only_keys: Vec<String>,
    /// The body is a form of exactly this one field.
    pub only_form_field: Option<String>,
    /// Answer only a verified request. `false` if the provider sends its check unsigned.
    #[serde(default = "yes")]
    pub verify_first: bool,
    /// Further conditions. If one fails, the answer is `refused_status` without a reason.
    #[serde(default)]
    pub require: Requirement,
    /// The status if a condition of `require` fails. Default: 403.
    pub refused_status: Option<u16>,
    /// Where the request carries a new secret for the hook (`header:NAME`, `json:/POINTER`). It is stored if the operator allows that
    /// (`config = { handshake_open = "true" }`) and the hook has no secret yet.
    pub pair: Option<String>,
    /// With `pair`: the request is a challenge only while `handshake_open` is set. Otherwise it is a delivery.
    #[serde(default)]
    pub needs_open: bool,
    /// What to send back.
    #[serde(default)]
    pub answer: ChallengeAnswer,
}

/// What a challenge must show.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Query parameters and their values; `|` between several.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// A query parameter of 20 to 32 hexadecimal digits.
    pub query_hex: Option<String>,
    /// A query parameter that equals one of the secrets.
    pub query_secret: Option<String>,
    /// A query parameter or header (`query:NAME`, `header:NAME`) and the `config` entry that lists what it may be; `*`
    /// there allows anything. No entry = refused.
    pub listed: Option<(String, String)>,
}

/// What to send back. Templates may hold `{query:NAME}`, `{header:NAME}`, `{json:/POINTER}`, `{config.NAME}` and
/// `{hmac-sha1-hex QUERY}`, `{hmac-sha256-hex …}`, `{hmac-sha256-base64 …}` of one of the first three.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// 200 unless said.
    pub status: Option<u16>,
    /// Sent as `text/plain`.
    pub text: Option<String>,
    /// Sent as `application/json`: values are templates.
    pub json: Option<serde_json::Map<String, serde_json::Value>>,
    /// Names and templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}
