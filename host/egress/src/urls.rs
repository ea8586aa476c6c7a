//! URLs of calls: which ones can be called, and how they are shown.

use url::Url;

use super::exchange::OutgoingError;

/// The most characters of a URL in logs and records.
const SHOWN_CHARACTERS_MAX: usize = 500;

/// A URL that can be called, without its fragment.
pub(crate) fn checked(text: &str) -> Result<Url, OutgoingError> {
    let mut url =
        Url::parse(text).map_err(|why| OutgoingError::Invalid(format!("not a URL: {why}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(OutgoingError::Invalid(
            "a URL must begin with `https://` or `http://` and name a host".into(),
        ));
    }

    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutgoingError::Invalid(
            "a URL must not carry a user or password".into(),
        ));
    }

    url.set_fragment(None);
    Ok(url)
}

/// A URL without its query, which may contain a token.
pub(crate) fn origin_and_path(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// A URL for logs and records: without user, password, query and fragment, which may contain
/// secrets.
pub fn shown_url(url: &str) -> String {
    let printable = match Url::parse(url) {
        Ok(url) if url.has_host() => origin_and_path(&url),
        _ => url
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_owned(),
    };

    printable
        .chars()
        .take(SHOWN_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}
