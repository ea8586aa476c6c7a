//! URLs of calls: which ones can be called, and how they are shown.

use url::{Position, Url};

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
    match Url::parse(url) {
        Ok(url) if url.has_host() => shown(&url),
        _ => printable(
            url.split(['?', '#'])
                .next()
                .unwrap_or_default()
                .rsplit('@')
                .next()
                .unwrap_or_default(),
        ),
    }
}

/// As [`shown_url`], of a URL with a host.
pub(crate) fn shown(url: &Url) -> String {
    let has_user = !url.username().is_empty() || url.password().is_some();
    if matches!(url.scheme(), "http" | "https") && !has_user {
        // This is its origin and its path.
        printable(&url[..Position::AfterPath])
    } else {
        printable(&origin_and_path(url))
    }
}

fn printable(text: &str) -> String {
    if text.len() <= SHOWN_CHARACTERS_MAX && text.bytes().all(is_plain) {
        return text.to_owned();
    }

    text.chars()
        .take(SHOWN_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

/// Whether a character is shown as it is. Quotes and backslashes are escaped.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_have_no_secrets() {
        for (url, expected) in [
            ("https://A.example:443/x?token=a#b", "https://a.example/x"),
            ("http://127.0.0.1:9/in", "http://127.0.0.1:9/in"),
            ("http://[::1]:9", "http://[::1]:9/"),
            ("https://u:p@a.example:8443/x", "https://a.example:8443/x"),
            ("https://a.example/it's", "https://a.example/it\\'s"),
            ("ftp://u@a.example/x", "ftp://a.example/x"),
            ("u:p@a.example/x?y", "a.example/x"),
        ] {
            assert_eq!(shown_url(url), expected, "{url}");
        }
    }
}
