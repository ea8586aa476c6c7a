//! The client of a request: the peer of the connection or, if that is a trusted proxy, the address
//! that the proxy names.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client, or the proxy if the client is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// The client's address. If it is unknown: that of the trusted proxy that forwarded the
    /// request.
    pub(crate) address: IpAddr,
    /// False if a trusted proxy named something that is not an address. `from_addresses` then
    /// accepts no request.
    pub(crate) is_known: bool,
}

/// Reads `X-Forwarded-For`, or else `Forwarded` (RFC 7239), from the right. The first address that
/// is not a trusted proxy is the client's. An entry that is not an address ends the search:
/// everything to the left of it could have been written by the client.
///
/// If both are present, `X-Forwarded-For` counts: most proxies forward an unknown `Forwarded`
/// header unchanged.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let mut last = peer.to_canonical();
    if !is_trusted(last, trusted) {
        return Client {
            address: last,
            is_known: true,
        };
    }

    let hops = if headers.contains_key(&X_FORWARDED_FOR) {
        x_forwarded_for(headers)
    } else {
        forwarded(headers)
    };

    for hop in hops.into_iter().rev() {
        let Some(address) = hop else {
            return Client {
                address: last,
                is_known: false,
            };
        };

        last = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }

    Client {
        address: last,
        is_known: true,
    }
}

pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|range| range.contains(&address))
}

/// Whether a proxy forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(&X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// The entries in order; `None` for an entry that is not an address.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|entry| node(entry.trim_ascii()))
        .collect()
}

/// The `for` parameters in order; `None` for an element without an address. An invalid line counts
/// as one such element.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter();
    lines
        .flat_map(|line| elements(line.as_bytes()).unwrap_or_else(|| vec![None]))
        .collect()
}

/// The elements of one `Forwarded` line: `for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"`.
fn elements(line: &[u8]) -> Option<Vec<Option<IpAddr>>> {
    let mut elements = Vec::new();
    let mut rest = line.trim_ascii();
    loop {
        let mut address = None;
        loop {
            let end = rest.iter().position(|byte| b"=,;\"".contains(byte))?;
            if rest[end] != b'=' {
                return None;
            }

            let name = rest[..end].trim_ascii();
            let (value, after) = value(&rest[end + 1..])?;
            if name.eq_ignore_ascii_case(b"for") {
                address = node(&value);
            }

            rest = after.trim_ascii_start();
            match rest.first() {
                Some(b';') => rest = rest[1..].trim_ascii_start(),
                _ => break,
            }
        }

        elements.push(address);
        match rest.split_first() {
            None => return Some(elements),
            Some((b',', after)) => rest = after.trim_ascii_start(),
            Some(_) => return None,
        }
    }
}

/// A token or a quoted string, and the rest of the line.
fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|byte| b";,".contains(byte))
            .unwrap_or(text.len());
        let token = text[..end].trim_ascii();
        let is_token = !token.iter().any(|byte| b"\"= ".contains(byte));
        return is_token.then(|| (token.to_vec(), &text[end..]));
    };

    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((value, &quoted[at + 1..])),
            b'\\' => value.push(*bytes.next()?.1),
            other => value.push(*other),
        }
    }

    None
}

/// An address with or without a port. `unknown` and obfuscated names (`_proxy1`) are not addresses.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        judged(peer, headers).address.to_string()
    }

    fn judged(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|range| range.parse::<IpNet>().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }

        super::client(peer.parse().unwrap(), &map, &trusted)
    }

    #[test]
    fn only_trusted_peers_are_believed() {
        let spoofed = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")];
        assert_eq!(client("192.0.2.1", &spoofed), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &spoofed[..1]), "6.6.6.6");
        assert_eq!(client("::ffff:10.0.0.1", &spoofed[..1]), "6.6.6.6");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn hops_are_read_from_the_right() {
        for (value, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("6.6.6.6, 192.0.2.7", "192.0.2.7"),
            ("6.6.6.6, 192.0.2.7, 10.1.1.1, 10.0.0.9", "192.0.2.7"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
            ("6.6.6.6, garbage, 10.1.1.1", "10.1.1.1"),
            ("6.6.6.6, unknown", "10.0.0.1"),
            ("6.6.6.6,", "10.0.0.1"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1, fd00::5", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(
                client("10.0.0.1", &[("x-forwarded-for", value)]),
                expected,
                "{value}"
            );
        }
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "192.0.2.7, 10.1.1.1"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "192.0.2.7");
    }

    #[test]
    fn unreadable_entries_leave_the_client_unknown() {
        for value in [
            "for=\"x, for=6.6.6.6",
            "junk, for=6.6.6.6",
            ", for=6.6.6.6",
            "for=a=b, for=6.6.6.6",
        ] {
            assert!(
                !judged("10.0.0.1", &[("forwarded", value)]).is_known,
                "{value}"
            );
        }
        assert!(!judged("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, unknown")]).is_known);
        assert!(judged("10.0.0.1", &[("x-forwarded-for", "unknown, 6.6.6.6")]).is_known);
        assert!(judged("10.0.0.1", &[]).is_known);
        assert!(
            judged("6.6.6.6", &[("forwarded", "junk")]).is_known,
            "the header of an untrusted peer does not count"
        );
    }

    #[test]
    fn forwarded_is_parsed_by_its_rfc() {
        for (value, expected) in [
            ("for=192.0.2.7", "192.0.2.7"),
            (
                "For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1",
                "2001:db8::1",
            ),
            ("proto=https ; for=192.0.2.7 , for=10.2.2.2", "192.0.2.7"),
            ("for=\"192.0.2.7:80\"", "192.0.2.7"),
            ("for=6.6.6.6, for=_hidden, for=10.1.1.1", "10.1.1.1"),
            ("for=6.6.6.6, for=unknown", "10.0.0.1"),
            ("for=6.6.6.6, proto=https", "10.0.0.1"),
            ("for=6.6.6.6;x=\", for=192.0.2.7", "10.0.0.1"),
            ("for=6.6.6.6;x=\", for=\"[2001:db8::1]\"", "10.0.0.1"),
            ("6.6.6.6", "10.0.0.1"),
        ] {
            assert_eq!(
                client("10.0.0.1", &[("forwarded", value)]),
                expected,
                "{value}"
            );
        }
        let both = [
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        assert_eq!(client("10.0.0.1", &both), "192.0.2.7");
    }
}
