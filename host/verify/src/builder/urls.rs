//! URLs in a `[verify]` table: the public URL of the hook and those of key documents.

use super::error::{BuildError, wrong};
use crate::payload::configured_text;
use crate::view::PublicUrl;
use landfall_model::VerifySpec;

pub(super) const NEEDS_URL: &str = "public_url is missing: this provider signs the URL that it \
                                    calls; write public_url = \"https://hooks.example.com\", or \
                                    the whole URL as url = …";

pub(super) const NEEDS_HOST: &str = "public_url is missing: the signature covers the host that \
                                     senders call, and the Host header of a request is the \
                                     sender's choice; write public_url = \
                                     \"https://hooks.example.com\", or the whole URL as url = …";

pub(super) fn names_url(spec: &VerifySpec) -> bool {
    spec.public_url.is_some() || spec.url.is_some()
}

/// The public URL of the table: the whole URL, or scheme, host and path prefix without a trailing
/// slash.
pub(crate) fn public_url(spec: &VerifySpec) -> Result<Option<PublicUrl>, BuildError> {
    match (&spec.public_url, &spec.url) {
        (Some(_), Some(_)) => Err(wrong(
            "url",
            "public_url and url exclude each other: url is the whole URL, leave one",
        )),
        (Some(base), None) if is_url(base, false) => {
            Ok(Some(PublicUrl::Base(base.trim_end_matches('/').to_owned())))
        }
        (Some(_), None) => Err(wrong(
            "public_url",
            "public_url must be what senders call, such as \"https://hooks.example.com\"",
        )),
        (None, Some(whole)) if is_url(whole, true) => Ok(Some(PublicUrl::Whole(whole.clone()))),
        (None, Some(_)) => Err(wrong(
            "url",
            "url must be the whole URL that senders call, such as \"https://hooks.example.com/in\"",
        )),
        (None, None) => Ok(None),
    }
}

fn is_url(text: &str, with_query: bool) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && (with_query || url.query().is_none())
            && url.fragment().is_none()
    })
}

/// The URL of a key document, with configured values filled in.
pub(super) fn address(
    key: &'static str,
    what: &str,
    typed: &str,
    spec: &VerifySpec,
) -> Result<String, BuildError> {
    let url = configured_text(typed, &spec.config).map_err(|why| wrong("config", why))?;
    let is_fit = url::Url::parse(&url).is_ok_and(|parsed| {
        let is_loopback = parsed.host_str() == Some("127.0.0.1");
        let is_bare = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.fragment().is_none();

        is_bare && (parsed.scheme() == "https" || (parsed.scheme() == "http" && is_loopback))
    });
    if is_fit {
        Ok(url)
    } else {
        let named = typed
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map(|(name, _)| name);

        Err(wrong(
            key,
            format!(
                "{} must begin with `https://`, and have no `#`",
                named.unwrap_or(what)
            ),
        ))
    }
}
