//! The grammar of `Host` and of authorities: `uri-host [":" port]` (RFC 9110 section 7.2, RFC 3986
//! section 3.2.2).

use std::net::Ipv6Addr;

use http::uri::Scheme;

/// Whether this is a host with or without a port. The host may be empty: a client sends an empty
/// `Host` if its target has no authority (RFC 9112 section 3.2).
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (host, port) = split(value);
    let is_host = match host.strip_prefix(b"[") {
        Some(literal) => is_ip_literal(literal),
        None => is_registered_name(host),
    };
    is_host && is_port(port)
}

/// Whether the host is empty.
pub(crate) fn is_empty(value: &[u8]) -> bool {
    split(value).0.is_empty()
}

/// Whether both name the same host and port. Case does not matter, nor a default port.
pub(crate) fn is_same(one: &[u8], other: &[u8], scheme: Option<&Scheme>) -> bool {
    let default: &[u8] = match scheme {
        Some(scheme) if *scheme == Scheme::HTTPS => b":443",
        _ => b":80",
    };

    let ((host, port), (other_host, other_port)) = (split(one), split(other));
    host.eq_ignore_ascii_case(other_host)
        && explicit(port, default) == explicit(other_port, default)
}

/// The port, or nothing if it is the default.
fn explicit<'a>(port: &'a [u8], default: &[u8]) -> &'a [u8] {
    if port == b":" || port == default {
        b""
    } else {
        port
    }
}

/// The host, and the port with its colon.
fn split(value: &[u8]) -> (&[u8], &[u8]) {
    let after_literal = match value.first() {
        Some(b'[') => value.iter().position(|byte| *byte == b']').unwrap_or(0),
        _ => 0,
    };
    let colon = value[after_literal..].iter().position(|byte| *byte == b':');
    value.split_at(colon.map_or(value.len(), |colon| after_literal + colon))
}

fn is_port(port: &[u8]) -> bool {
    match port.split_first() {
        None => true,
        Some((_, digits)) => digits.iter().all(u8::is_ascii_digit),
    }
}

/// An IPv6 address or an address of a later version, after its opening bracket.
fn is_ip_literal(literal: &[u8]) -> bool {
    let Some(address) = literal.strip_suffix(b"]") else {
        return false;
    };

    match address.first() {
        Some(b'v' | b'V') => is_future_address(&address[1..]),
        _ => std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
    }
}

fn is_future_address(text: &[u8]) -> bool {
    let Some(dot) = text.iter().position(|byte| *byte == b'.') else {
        return false;
    };

    let (version, address) = (&text[..dot], &text[dot + 1..]);
    let is_address = |byte: &u8| is_name_byte(*byte) || *byte == b':';
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && !address.is_empty()
        && address.iter().all(is_address)
}

/// Names and IPv4 addresses have the same characters.
fn is_registered_name(mut name: &[u8]) -> bool {
    while let Some((byte, rest)) = name.split_first() {
        name = match byte {
            b'%' => match rest {
                [high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest
                }
                _ => return false,
            },
            byte if is_name_byte(*byte) => rest,
            _ => return false,
        };
    }

    true
}

/// `unreserved` and `sub-delims` of RFC 3986.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_the_grammar() {
        for value in [
            "",
            "a",
            "a:",
            "a:80",
            ":80",
            "EXAMPLE.com.",
            "a_b~c",
            "a%20b",
            "a,b;c=d",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "[::ffff:127.0.0.1]:",
            "[v1.a:b]",
        ] {
            assert!(is_host(value.as_bytes()), "{value}");
        }
        for value in [
            "a b",
            "user@a",
            "<script>",
            "a/",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "a|b",
            "a^b",
            "a`b",
            "{a}",
            "a%2",
            "a%zz",
            "a:b",
            "a:80:80",
            "a:-1",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[a]",
            "[::1]a",
            "[::1]80",
            "[1.2.3.4]",
            "[v.a]",
            "[v1.]",
            "[vg.a]",
            "[fe80::1%25eth0]",
            "h\u{e9}te",
        ] {
            assert!(!is_host(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn case_and_default_ports_are_equal() {
        let https = Some(&Scheme::HTTPS);
        for (one, other, scheme, expected) in [
            ("a", "A", None, true),
            ("a:80", "a", None, true),
            ("a:", "a", None, true),
            ("a:443", "a", https, true),
            ("a:443", "a", None, false),
            ("a:80", "a", https, false),
            ("a:81", "a:82", None, false),
            ("[::A]:80", "[::a]", None, true),
            ("a", "b", None, false),
        ] {
            let found = is_same(one.as_bytes(), other.as_bytes(), scheme);
            assert_eq!(found, expected, "{one} {other}");
        }
    }
}
