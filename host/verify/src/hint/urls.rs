//! URLs that the sender may have called instead of the configured one.

use crate::view::PublicUrl;

/// A hint if the request names another host than the configured URL: a proxy has changed it, or the
/// sender calls another URL.
pub(super) fn other_host(configured: &PublicUrl, host: &str) -> Option<String> {
    let (PublicUrl::Base(text) | PublicUrl::Whole(text)) = configured;
    let known = url::Url::parse(text).ok()?;
    let named = url::Url::parse(&format!("{}://{host}", known.scheme())).ok()?;
    let is_same = known.host() == named.host()
        && known.port_or_known_default() == named.port_or_known_default();

    (!is_same).then(|| {
        format!(
            "the signature is checked for {text}, and the request names the host {}: if the provider calls another URL than that, \
             correct public_url or url",
            host.escape_debug()
        )
    })
}

/// The configured URL with the other scheme, with the host of the request, and with the path of the
/// request.
pub(super) fn other_urls(
    configured: &PublicUrl,
    host: Option<&str>,
    request_path: &str,
) -> Vec<PublicUrl> {
    let (PublicUrl::Base(text) | PublicUrl::Whole(text)) = configured;
    let Some((scheme, rest)) = text.split_once("://") else {
        return Vec::new();
    };

    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let authority = &rest[..rest.len() - path.len()];
    let swapped = if scheme == "https" { "http" } else { "https" };
    let mut texts = vec![format!("{swapped}://{authority}{path}")];
    if let Some(host) = host.filter(|host| *host != authority) {
        texts.extend([scheme, swapped].map(|scheme| format!("{scheme}://{host}{path}")));
    }

    if !path.is_empty() {
        let paths = match configured {
            PublicUrl::Base(_) => "",
            PublicUrl::Whole(_) => request_path,
        };

        let hosts = std::iter::once(authority).chain(host.filter(|host| *host != authority));
        texts.extend(
            hosts.flat_map(|host| {
                [scheme, swapped].map(|scheme| format!("{scheme}://{host}{paths}"))
            }),
        );
    }

    let of_same_kind = match configured {
        PublicUrl::Base(_) => PublicUrl::Base,
        PublicUrl::Whole(_) => PublicUrl::Whole,
    };

    texts.into_iter().map(of_same_kind).collect()
}

/// Whether a URL has a loopback host.
pub(super) fn is_loopback(url: &str) -> bool {
    let url = url::Url::parse(url).ok();
    url.as_ref()
        .and_then(url::Url::host)
        .is_some_and(|host| match host {
            url::Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        })
}
