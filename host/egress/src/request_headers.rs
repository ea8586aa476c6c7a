//! The headers of a call: which ones a component may send, and how many.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::exchange::OutgoingError;
use landfall_model::HOST_HEADERS;

/// The most headers a caller may set.
const HEADERS_MAX: usize = 100;

/// Headers that a cloud's metadata server requires: of Google and IBM, Azure, Azure App Service,
/// Google (old), OpenStack.
const METADATA_HEADERS: [&str; 5] = [
    "metadata-flavor",
    "metadata",
    "x-identity-header",
    "x-google-metadata-request",
    "x-metadata-token",
];
/// Prefixes of such headers: of AWS and Alibaba Cloud.
const METADATA_PREFIXES: [&str; 2] = ["x-aws-ec2-metadata-", "x-aliyun-ecs-metadata-"];

/// Whether a component may not send this header: the host writes it, or a metadata server requires
/// it.
fn is_forbidden(name: &str) -> bool {
    let name = name.trim();
    is_one_of(name, &HOST_HEADERS) || unlocks_metadata(name)
}

fn unlocks_metadata(name: &str) -> bool {
    is_one_of(name, &METADATA_HEADERS)
        || METADATA_PREFIXES
            .iter()
            .any(|prefix| begins_with(name, prefix))
}

fn begins_with(name: &str, prefix: &str) -> bool {
    let beginning = name.as_bytes().get(..prefix.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// Refuses a list with a header that a component may not send.
pub(crate) fn forbid(list: &[(String, String)]) -> Result<(), OutgoingError> {
    let Some((name, _)) = list.iter().find(|(name, _)| is_forbidden(name)) else {
        return Ok(());
    };

    let name = name.trim().to_ascii_lowercase();
    let printable = name.escape_debug();
    let why = if unlocks_metadata(&name) {
        format!(
            "header `{printable}` opens the metadata server of a cloud: a component may not send it"
        )
    } else {
        format!("header `{printable}` is written by the host")
    };

    Err(OutgoingError::Invalid(why))
}

/// The headers as HTTP carries them. A name or a value that it cannot carry is an error.
pub(crate) fn checked(list: &[(String, String)]) -> Result<HeaderMap, OutgoingError> {
    if list.len() > HEADERS_MAX {
        return Err(OutgoingError::Limit(format!(
            "a request may have {HEADERS_MAX} headers"
        )));
    }

    let mut headers = HeaderMap::with_capacity(list.len() + 4);
    for (name, value) in list {
        let parsed = name.parse::<HeaderName>().ok();
        let value = HeaderValue::from_str(value).ok();
        let (Some(parsed), Some(value)) = (parsed, value) else {
            let why = format!("header `{}` cannot be sent", name.escape_debug());
            return Err(OutgoingError::Invalid(why));
        };

        headers.append(parsed, value);
    }

    Ok(headers)
}
