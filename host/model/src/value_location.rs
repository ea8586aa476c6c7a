//! Where a value is in a request.

use serde::{Deserialize, Serialize};

/// A place in a request that contains one value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueLocation {
    /// A header, by name.
    Header(String),
    /// A query parameter, by name.
    Query(String),
    /// A string in the JSON body, by JSON pointer (RFC 6901).
    Json(String),
    /// The same string at every element of an array: `/value/*/clientState`.
    Each(String),
    /// A field of a form body (`application/x-www-form-urlencoded`).
    Form(String),
    /// A segment of the path; only `last`.
    Path(String),
    /// A `{NAME}` segment of the hook's path.
    Param(String),
    /// The body itself; only `whole`.
    Body(String),
    /// A claim of the verified token, by JSON pointer. If the claim is a text that contains JSON,
    /// the pointer continues in it. Only for `event_type`, `delivery_id` and `order_by`.
    Claim(String),
}
