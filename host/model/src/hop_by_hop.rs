//! Headers that describe one connection and not the message.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

/// RFC 9110 section 7.6.1, and what proxies and clients add in practice.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Removes hop-by-hop headers, also those that `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none. To compare their names costs less than to look for each of these.
    let mut names = headers.keys().map(HeaderName::as_str);
    if !names.any(|name| HOP_BY_HOP.contains(&name)) {
        return;
    }

    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_are_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "x-second"),
            ("x-hop", "1"),
            ("x-second", "2"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-event", "push"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        remove_hop_by_hop(&mut headers);

        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-event"]);
    }
}
