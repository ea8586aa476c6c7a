//! Places in a request: which can hold a value, and which a scheme may name.

use super::{BuildError, wrong};
use crate::model::{Place, VerifySpec};

pub(super) fn one_place(spec: &VerifySpec) -> Result<Place, BuildError> {
    match &places(spec)?[..] {
        [one] => Ok(one.clone()),
        _ => Err(wrong("from", "only one place can be right here")),
    }
}

pub(super) fn places(spec: &VerifySpec) -> Result<Vec<Place>, BuildError> {
    let places = spec.from.clone().filter(|places| !places.is_empty()).ok_or_else(|| {
        wrong(
            "scheme",
            "from is missing: write from = { header = \"NAME\" }, { query = \"NAME\" } or { json = \"/POINTER\" }",
        )
    })?;
    places.iter().try_for_each(check_place)?;
    if places.iter().any(|place| matches!(place, Place::Claim(_))) {
        return Err(wrong("from", "a claim is known only after the token is verified"));
    }
    Ok(places)
}

/// Whether a place can hold a value.
pub fn check_place(place: &Place) -> Result<(), BuildError> {
    match place {
        Place::Header(name) => header_name("from", name),
        Place::Json(pointer) | Place::Claim(pointer) if !pointer.starts_with('/') => {
            Err(wrong("from", format!("`{pointer}` is not a JSON pointer: it begins with `/`")))
        }
        Place::Each(pointer) if !pointer.starts_with('/') || !is_each(pointer) => {
            Err(wrong("from", format!("`{pointer}` must be a JSON pointer with one `*` for the elements of an array")))
        }
        Place::Query(name) | Place::Form(name) | Place::Param(name) if name.is_empty() => {
            Err(wrong("from", "a parameter needs a name"))
        }
        Place::Body(which) if which != "whole" => {
            Err(wrong("from", "body = \"whole\" is the only part that can be named"))
        }
        Place::Path(which) if which != "last" => {
            Err(wrong("from", "path = \"last\" is the only segment that can be named"))
        }
        _ => Ok(()),
    }
}

/// One segment is `*`, and no other holds one.
fn is_each(pointer: &str) -> bool {
    pointer.split('/').filter(|segment| segment.contains('*')).eq(["*"])
}

pub(super) fn header_name(key: &'static str, name: &str) -> Result<(), BuildError> {
    match name.parse::<http::HeaderName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(wrong(key, format!("`{}` is not a header name", name.escape_debug()))),
    }
}
