//! The components of a request that an HTTP message signature covers (RFC 9421 section 2).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sfv::{BareItem, Item};

use crate::refusal::{Reason, Refusal, malformed};
use crate::view::View;

/// What `application/x-www-form-urlencoded` escapes, with a space as `%20`.
const FORM_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

pub(super) fn component_name(item: &Item) -> Result<&str, Refusal> {
    match &item.bare_item {
        BareItem::String(name) => Ok(name.as_str()),
        _ => Err(malformed("a component has no name")),
    }
}

pub(super) fn component_value(item: &Item, view: &View<'_>) -> Result<String, Refusal> {
    let name = component_name(item)?;
    if name == "@query-param" {
        return query_param(item, view);
    }

    if let Some((parameter, _)) = item.params.first() {
        return Err(malformed(format!(
            "component {name} with `{}` is not supported",
            parameter.as_str()
        )));
    }

    let called = called_url(view);
    Ok(match name {
        "@method" => view.request.method.to_string(),
        "@target-uri" => view.url()?,
        "@authority" => authority(view)?,
        "@scheme" => match called.scheme {
            Some(scheme) => scheme,
            None => view.url()?,
        },
        "@path" => called.path,
        "@query" => format!("?{}", called.query.unwrap_or_default()),
        "@request-target" => match called.query {
            Some(query) => format!("{}?{query}", called.path),
            None => called.path,
        },
        _ if name.starts_with('@') => {
            return Err(malformed(format!("component {name} is not of a request")));
        }
        _ if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            return Err(malformed(format!("component {name} is not in lower case")));
        }
        _ => field(view, name).ok_or_else(|| {
            Refusal::new(
                Reason::SignatureMismatch,
                format!("covered header {name} is missing"),
            )
        })??,
    })
}

/// All values of a header, in their order; `None` if it is missing.
pub(super) fn field(view: &View<'_>, name: &str) -> Option<Result<String, Refusal>> {
    let mut values = view.request.headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.map(|value| std::str::from_utf8(value.as_bytes()).map(str::trim_ascii));
    let texts = texts
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| malformed(format!("header {name} is not text")));

    Some(texts.map(|texts| texts.join(", ")))
}

/// The value of `@query-param` (RFC 9421 section 2.2.8).
fn query_param(item: &Item, view: &View<'_>) -> Result<String, Refusal> {
    let asked = match item.params.first() {
        Some((key, BareItem::String(name))) if key.as_str() == "name" && item.params.len() == 1 => {
            name.as_str()
        }
        _ => return Err(malformed("@query-param without a name")),
    };

    let query = called_url(view).query.unwrap_or_default();
    let mut values =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| escape(name) == asked);

    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(escape(&value)),
        _ => Err(malformed(format!(
            "query parameter {} is not there exactly once",
            asked.escape_debug()
        ))),
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, FORM_VALUE).to_string()
}

/// The called URL, as far as it is known.
struct Called {
    /// `None` without `public_url`: the request does not contain the scheme.
    scheme: Option<String>,
    authority: Option<String>,
    path: String,
    query: Option<String>,
}

/// The parts of `public_url`, or those of the request if it is not configured.
fn called_url(view: &View<'_>) -> Called {
    let Ok(url) = view.url() else {
        let (path, query) = (view.request.path.clone(), view.request.query.clone());
        return Called {
            scheme: None,
            authority: None,
            path,
            query,
        };
    };

    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = rest
        .split_once('?')
        .map_or((rest, None), |(path, query)| (path, Some(query.to_owned())));

    Called {
        scheme: Some(scheme.to_ascii_lowercase()),
        authority: Some(authority.to_owned()),
        path: if path.is_empty() {
            "/".into()
        } else {
            path.to_owned()
        },
        query,
    }
}

/// The host in lower case, without the scheme's default port.
fn authority(view: &View<'_>) -> Result<String, Refusal> {
    let called = called_url(view);
    let authority = match called.authority {
        Some(authority) => authority,
        None => {
            field(view, "host").ok_or_else(|| malformed("the request has no Host header"))??
        }
    };

    let authority = authority.to_ascii_lowercase();
    let standard = if called.scheme.as_deref() == Some("http") {
        ":80"
    } else {
        ":443"
    };

    Ok(authority
        .strip_suffix(standard)
        .unwrap_or(&authority)
        .to_owned())
}
