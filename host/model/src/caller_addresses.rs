//! The addresses from which requests may come.

use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Which clients may call, by their address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAddresses {
    /// Clients in the ranges that the provider publishes; the pack lists them.
    Provider,
    /// Clients in these ranges.
    Ranges(Vec<IpNet>),
}

/// A text that is not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// It is not in CIDR notation.
    #[error("`{}` is not a range of addresses: write it as 192.0.2.0/24", .0.escape_debug())]
    Malformed(String),
    /// A range of IPv4 in IPv6 form. IPv4 clients are compared as IPv4, so it would match no
    /// address.
    #[error("`{}` is a range of IPv4: write it as 192.0.2.0/24", .0.escape_debug())]
    MappedIpv4(String),
}

/// Reads a range in CIDR notation; an address alone is a range of one.
pub fn address_range(text: &str) -> Result<IpNet, AddressRangeError> {
    let range = text.parse::<IpNet>();
    let range = range.or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    let range = range.map_err(|_| AddressRangeError::Malformed(text.to_owned()))?;

    match range.trunc() {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err(AddressRangeError::MappedIpv4(text.to_owned()))
        }
        range => Ok(range),
    }
}

impl<'de> Deserialize<'de> for FromAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FromAddresses, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a list of address ranges such as [\"192.0.2.0/24\"], or \"provider\""
        )]
        enum Typed {
            Word(String),
            Ranges(Vec<String>),
        }

        let texts = match Typed::deserialize(deserializer)? {
            Typed::Word(word) if word == "provider" => return Ok(FromAddresses::Provider),
            Typed::Word(word) => vec![word],
            Typed::Ranges(texts) => texts,
        };
        if texts.is_empty() {
            return Err(D::Error::custom(
                "an empty list would refuse every caller: write a range, or leave from_addresses out",
            ));
        }

        let ranges: Result<_, _> = texts.iter().map(|text| address_range(text)).collect();
        ranges.map(FromAddresses::Ranges).map_err(D::Error::custom)
    }
}
