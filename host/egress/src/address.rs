//! Addresses that are reached only if the operator grants them: every address outside the public
//! internet.

use std::net::IpAddr;

use ipnet::IpNet;

/// Special-purpose ranges: the IANA IPv4 and IPv6 registries (RFC 6890 and updates), every form of
/// IPv6 that carries an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo), and the metadata
/// addresses of clouds outside those.
const SPECIAL: [&str; 34] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "168.63.129.16/32",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
];

/// Where clouds answer their machines: AWS (and most others), its containers, its IPv6, Google's
/// IPv6, Alibaba, Oracle, Azure.
const METADATA: [&str; 8] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
];

/// Whether the address is that of a metadata server, which has the credentials of a machine.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    let address = address.to_canonical();
    METADATA.iter().any(|text| text.parse() == Ok(address))
}

/// Whether the address lies in a special range. IPv4-mapped addresses are judged as the IPv4
/// address they are.
pub(crate) fn is_special(address: IpAddr) -> bool {
    static RANGES: std::sync::LazyLock<Vec<IpNet>> = std::sync::LazyLock::new(|| {
        SPECIAL
            .iter()
            .map(|text| text.parse().expect("a range in our own table"))
            .collect()
    });
    let address = address.to_canonical();
    RANGES.iter().any(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_in_every_dress() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "5f00::1",
        ] {
            assert!(is_special(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_not() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert!(!is_special(text.parse().unwrap()), "{text}");
        }
    }
}
