//! Ownership checks as data: how a check is recognised, what it must contain, and the response.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One ownership check.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeSpec {
    /// The method of the request. `None`: `POST`.
    pub method: Option<String>,
    /// A query parameter that must be present.
    pub query: Option<String>,
    /// A header that must be present.
    pub header: Option<String>,
    /// JSON pointer to a string that must be present in the body.
    pub json: Option<String>,
    /// Required values, by JSON pointer, `header:NAME`, `query:NAME` or `form:NAME`.
    #[serde(default)]
    pub equals: BTreeMap<String, serde_json::Value>,
    /// JSON pointers to values that must be absent from the body.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The only keys that the JSON object of the body may have. Empty: any keys.
    #[serde(default)]
    pub only_keys: Vec<String>,
    /// The only field of the form in the body.
    pub only_form_field: Option<String>,
    /// Respond only after the request is authenticated. `false` if the provider does not sign its
    /// check.
    #[serde(default = "yes")]
    pub verify_first: bool,
    /// What the check must also contain. If it does not, the response has `refused_status` and an
    /// empty body.
    #[serde(default)]
    pub require: Requirement,
    /// The status if `require` is not met. `None`: 403.
    pub refused_status: Option<u16>,
    /// The place of a new secret of the hook (`header:NAME`, `json:/POINTER`). It is stored if the
    /// operator has set `config = { handshake_open = "true" }` and the hook has no secret yet.
    pub pair: Option<String>,
    /// The request is a check only while `handshake_open` is set.
    #[serde(default)]
    pub needs_open: bool,
    /// The response.
    #[serde(default)]
    pub answer: ChallengeAnswer,
}

/// What a check must contain.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Query parameters and their values. Several values are separated by `|`.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// A query parameter of 20 to 32 hexadecimal digits.
    pub query_hex: Option<String>,
    /// A query parameter that equals one of the secrets.
    pub query_secret: Option<String>,
    /// A query parameter or header (`query:NAME`, `header:NAME`), and the `config` entry that lists
    /// its allowed values. `*` allows every value. Without the entry, the check is refused.
    pub listed: Option<(String, String)>,
}

/// The response. Templates may contain `{query:NAME}`, `{header:NAME}`, `{json:/POINTER}`,
/// `{config.NAME}` and `{hmac-sha1-hex QUERY}`, `{hmac-sha256-hex …}`, `{hmac-sha256-base64 …}` of
/// one of the first three.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// `None`: 200.
    pub status: Option<u16>,
    /// A template that is sent as `text/plain`.
    pub text: Option<String>,
    /// Templates that are sent as `application/json`.
    pub json: Option<serde_json::Map<String, serde_json::Value>>,
    /// Names of headers and templates of their values.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}
