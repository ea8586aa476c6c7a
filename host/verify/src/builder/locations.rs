//! Locations in a request: which ones can hold a value, and which ones a scheme may name.

use super::error::{BuildError, wrong};
use crate::view::describe;
use landfall_model::{DeliveryId, Scheme, ValueLocation, VerifySpec};

/// Headers that frame or route a message, or manage the connection. Proxies and HTTP libraries set,
/// change and drop them, so they cannot hold a token, a signature or an identity.
const TRANSPORT_HEADERS: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// Names of authentication schemes (RFC 9110 section 11.1). A space follows the name.
const AUTH_SCHEMES: [&str; 9] = [
    "apikey",
    "basic",
    "bearer",
    "digest",
    "hmac",
    "jwt",
    "negotiate",
    "signature",
    "token",
];

/// The single location of the token or signature.
pub(super) fn one_place(spec: &VerifySpec) -> Result<ValueLocation, BuildError> {
    match &places(spec)?[..] {
        [one] => Ok(one.clone()),
        _ => Err(wrong("from", "only one place can be right here: leave one")),
    }
}

/// The locations of signatures, at least one.
pub(super) fn places(spec: &VerifySpec) -> Result<Vec<ValueLocation>, BuildError> {
    let places = spec.from.clone().filter(|places| !places.is_empty()).ok_or_else(|| {
        wrong(
            "scheme",
            "from is missing: write from = { header = \"NAME\" }, { query = \"NAME\" } or { json = \"/POINTER\" }",
        )
    })?;

    let reads_each = spec.scheme == Some(Scheme::Token);
    for place in &places {
        match place {
            ValueLocation::Each(_) if reads_each => check_place(place)?,
            place => check_held_value("from", place)?,
        }

        check_prefix(spec, place)?;
    }

    Ok(places)
}

/// Checks that a location can hold a single value in a request that is not verified yet. `key`
/// names the setting.
pub(super) fn check_value(key: &'static str, place: &ValueLocation) -> Result<(), BuildError> {
    match place {
        ValueLocation::Each(_) => Err(wrong(
            key,
            format!(
                "{key} = {{ each = … }} names many values: only from of scheme = \"token\" can \
                 read them; use json"
            ),
        )),
        ValueLocation::Claim(_) => Err(wrong(
            key,
            format!(
                "{key} = {{ claim = … }} cannot be read: a claim is known only after the token is verified; only \
                 event_type, [dedup] id and order_by can name one"
            ),
        )),
        place => check_place(place).map_err(|error| BuildError { key, ..error }),
    }
}

/// Checks that a location can hold a value that the sender sets for this hook.
pub(super) fn check_held_value(key: &'static str, place: &ValueLocation) -> Result<(), BuildError> {
    check_value(key, place)?;
    check_transport(key, place)
}

fn check_transport(key: &'static str, place: &ValueLocation) -> Result<(), BuildError> {
    match place {
        ValueLocation::Header(name)
            if TRANSPORT_HEADERS
                .iter()
                .any(|taken| name.eq_ignore_ascii_case(taken)) =>
        {
            Err(wrong(
                key,
                format!(
                    "the header {name} belongs to the HTTP connection, and proxies change it: name the header in which the provider \
                 sends the value"
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Checks that the fields of `[dedup] id` can identify a delivery to a hook at this path.
pub(crate) fn check_identity(identity: &DeliveryId, path: &str) -> Result<(), BuildError> {
    for place in identity.all_fields() {
        check_transport("dedup", place)?;
        if !is_in_path(place, path) {
            return Err(wrong(
                "dedup",
                format!("{}: {}", describe(place), no_such_segment(place, path)),
            ));
        }
    }

    Ok(())
}

/// Whether a hook with this path has the segment that a location names; true for locations outside
/// of the path.
pub(crate) fn is_in_path(place: &ValueLocation, path: &str) -> bool {
    match place {
        ValueLocation::Path(_) => path
            .rsplit('/')
            .next()
            .is_some_and(|last| last.starts_with('{')),
        ValueLocation::Param(name) => {
            path.contains(&format!("{{{name}}}")) || path.contains(&format!("{{{name}...}}"))
        }
        _ => true,
    }
}

/// The error if `is_in_path` is false.
pub(crate) fn no_such_segment(place: &ValueLocation, path: &str) -> String {
    let path = path.trim_end_matches('/');
    match place {
        ValueLocation::Param(name) => {
            format!("`{name}` is read from the path: write path = \"{path}/{{{name}}}\"")
        }
        _ => format!(
            "the last segment of the path is the same in each request: write path = \
             \"{path}/{{id}}\""
        ),
    }
}

/// Whether two locations are the same. Header names are case-insensitive (RFC 9110 section 5.1).
pub(super) fn is_same_place(one: &ValueLocation, other: &ValueLocation) -> bool {
    match (one, other) {
        (ValueLocation::Header(one), ValueLocation::Header(other)) => {
            one.eq_ignore_ascii_case(other)
        }
        (one, other) => one == other,
    }
}

/// Rejects prefixes that no header can contain: leading white space is trimmed, and control
/// characters are not allowed.
fn check_prefix(spec: &VerifySpec, place: &ValueLocation) -> Result<(), BuildError> {
    let Some(prefix) = &spec.prefix else {
        return Ok(());
    };

    let ends_in_word = prefix.ends_with(|c: char| c.is_ascii_alphanumeric());
    let is_scheme = AUTH_SCHEMES
        .iter()
        .any(|scheme| prefix.eq_ignore_ascii_case(scheme));

    if let ValueLocation::Header(name) = place
        && ends_in_word
        && (is_scheme || name.eq_ignore_ascii_case("authorization"))
    {
        let prefix = prefix.escape_debug();
        let why = format!(
            "a space separates `{prefix}` from what follows it: write prefix = \"{prefix} \""
        );
        return Err(wrong("prefix", why));
    }

    let is_impossible =
        prefix.starts_with([' ', '\t']) || prefix.contains(|c: char| c.is_control() && c != '\t');
    match place {
        ValueLocation::Header(_) if is_impossible => Err(wrong(
            "prefix",
            format!(
                "no header value begins with `{}`: white space around the value is dropped",
                prefix.escape_debug()
            ),
        )),
        _ => Ok(()),
    }
}

/// Checks that a fact of a verified request can be read at a location. `has_claims` means that the
/// scheme verifies a token with claims.
pub(crate) fn check_fact(place: &ValueLocation, has_claims: bool) -> Result<(), BuildError> {
    match place {
        ValueLocation::Each(_) => Err(wrong(
            "from",
            "{ each = … } names many values, and one is needed: use json",
        )),
        ValueLocation::Claim(_) if !has_claims => Err(wrong(
            "from",
            "{ claim = … } is read from a verified token, and this scheme has none: use json, \
             header or query",
        )),
        place => check_place(place),
    }
}

/// Checks the syntax of a location.
fn check_place(place: &ValueLocation) -> Result<(), BuildError> {
    match place {
        ValueLocation::Header(name) => header_name("from", name),
        ValueLocation::Json(pointer) | ValueLocation::Claim(pointer)
            if !pointer.starts_with('/') =>
        {
            Err(wrong(
                "from",
                format!("`{pointer}` is not a JSON pointer: it begins with `/`"),
            ))
        }
        ValueLocation::Each(pointer) if !pointer.starts_with('/') || !is_each(pointer) => {
            Err(wrong(
                "from",
                format!(
                    "`{pointer}` must be a JSON pointer with one `*` for the elements of an array"
                ),
            ))
        }
        ValueLocation::Query(name) | ValueLocation::Form(name) | ValueLocation::Param(name)
            if name.is_empty() =>
        {
            Err(wrong("from", "a parameter needs a name"))
        }
        ValueLocation::Body(which) if which != "whole" => Err(wrong(
            "from",
            "body = \"whole\" is the only part that can be named",
        )),
        ValueLocation::Path(which) if which != "last" => Err(wrong(
            "from",
            "path = \"last\" is the only segment that can be named",
        )),
        _ => Ok(()),
    }
}

/// Whether exactly one segment is `*`, and no other segment contains one.
fn is_each(pointer: &str) -> bool {
    pointer
        .split('/')
        .filter(|segment| segment.contains('*'))
        .eq(["*"])
}

/// Whether a text is a valid header name.
pub(super) fn header_name(key: &'static str, name: &str) -> Result<(), BuildError> {
    match name.parse::<http::HeaderName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(wrong(
            key,
            format!("`{}` is not a header name", name.escape_debug()),
        )),
    }
}
