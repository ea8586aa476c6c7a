//! Values with a form of their own: times, sizes, addresses, methods, secret references. Each error
//! says how to write the value.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error};

use super::value_error::ValueError;
use landfall_model::{SecretPattern, SecretRef, TrustedKey, address_range};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A duration with its unit: `"8s"`, `"1m 30s"`, `"250ms"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Time(pub Duration);

/// A size in bytes: `"1MiB"`, `"64KiB"`, or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Size(pub usize);

/// An HTTP method in upper case.
#[derive(Debug, Clone)]
pub(crate) struct MethodName(pub(crate) http::Method);

/// Ranges of addresses: `["10.0.0.0/8"]`, or one text with commas between them.
#[derive(Debug, Clone)]
pub struct Ranges(pub Vec<IpNet>);

/// Host names: `["node.internal"]`, or one text with commas between them. In lower case, without
/// ports.
#[derive(Debug, Clone)]
pub struct Names(pub Vec<String>);

/// Secret references with `*` or `/` at their end: `["env:HOOK_*"]`, or one text with commas
/// between them.
#[derive(Debug, Clone)]
pub struct SecretPatterns(pub Vec<SecretPattern>);

/// The address of a listener: `10.0.0.7:80`, `[::1]:80`, `localhost:80`, or `:80` for every IPv4
/// address of this machine.
#[derive(Debug, Clone, Copy)]
pub struct ListenAddress(pub SocketAddr);

/// Reads the address of a listener from a flag.
pub fn listen_address(text: &str) -> Result<SocketAddr, ValueError> {
    text.parse::<ListenAddress>().map(|address| address.0)
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<ListenAddress, ValueError> {
        if let Ok(address) = text.parse() {
            return Ok(ListenAddress(address));
        }
        if text.parse::<u16>().is_ok() {
            return Err(ValueError::PortAlone(text.to_owned()));
        }

        let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let host = match name {
            "" => Some(Ipv4Addr::UNSPECIFIED),
            name if name.eq_ignore_ascii_case("localhost") => Some(Ipv4Addr::LOCALHOST),
            _ => None,
        };
        match (host, port.parse()) {
            (Some(host), Ok(port)) => Ok(ListenAddress(SocketAddr::from((host, port)))),
            _ => Err(ValueError::Address(text.to_owned())),
        }
    }
}

/// Secret references: `["env:NEW", "env:OLD"]`, or one text with commas between them.
#[derive(Debug, Clone)]
pub struct SecretRefs(pub Vec<SecretRef>);

/// Public keys of minisign: `["RW…"]`, or one text with commas between them.
#[derive(Debug, Clone)]
pub struct TrustedKeys(pub Vec<TrustedKey>);

/// A point in time: `2026-01-31T08:15:30Z`.
#[derive(Debug, Clone, Copy)]
pub struct UtcTime(pub SystemTime);

impl FromStr for UtcTime {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<UtcTime, ValueError> {
        let time = humantime::parse_rfc3339(text);
        time.map(UtcTime)
            .map_err(|_| ValueError::UtcTime(text.to_owned()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize(self.0 as u64).display().iec().fmt(f)
    }
}

/// The address of an OpenTelemetry collector: `http` or `https`, without user, password, query,
/// fragment, and slash at the end.
#[derive(Debug, Clone)]
pub struct OtlpEndpoint(pub String);

impl FromStr for OtlpEndpoint {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<OtlpEndpoint, ValueError> {
        // What is before an `@` may be a password.
        let shown = text.rsplit('@').next().unwrap_or_default();
        let wrong = || ValueError::OtlpEndpoint(shown.escape_debug().to_string());

        let url = url::Url::parse(text).map_err(|_| wrong())?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return Err(wrong());
        }

        Ok(OtlpEndpoint(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// A value that is read from text by `FromStr`.
#[derive(Debug, Clone)]
pub struct Parsed<T>(pub T);

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
        Parsed::deserialize(deserializer).map(|parsed| parsed.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = text(
            deserializer,
            "a time with its unit, such as \"8s\" or \"250ms\"",
        )?;
        humantime::parse_duration(&text).map(Time).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is not a time: write it with its unit, such as \"8s\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let size = bytesize::ByteSize::deserialize(deserializer).map_err(|_| {
            D::Error::custom("not a size: write it with its unit, such as \"1MiB\"")
        })?;
        usize::try_from(size.as_u64())
            .map(Size)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for MethodName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MethodName, D::Error> {
        let text = text(deserializer, "a method such as \"POST\"")?;
        let method = text.parse().ok();
        let method = method.filter(|_| METHODS.contains(&text.as_str()));
        method.map(MethodName).ok_or_else(|| {
            let known = METHODS.join(", ");
            D::Error::custom(format!("method `{text}` cannot be used: one of {known}"))
        })
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ranges, D::Error> {
        let texts = list(
            deserializer,
            "a list of address ranges such as [\"10.0.0.0/8\"]",
        )?;
        let ranges: Result<_, _> = texts.iter().map(|text| address_range(text)).collect();
        ranges.map(Ranges).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        let names = list(
            deserializer,
            "a list of host names such as [\"node.internal\"]",
        )?;
        if let Some(wrong) = names.iter().find(|name| !is_host_name(name)) {
            return Err(D::Error::custom(format!(
                "`{wrong}` is not a host name: write it without a scheme and a port"
            )));
        }

        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Ok(Names(names.collect()))
    }
}

impl<'de> Deserialize<'de> for SecretRefs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretRefs, D::Error> {
        let typed = list(
            deserializer,
            "a secret reference such as \"env:QUEUE_KEY\", or a list of them",
        )?;
        if typed.is_empty() {
            return Err(D::Error::custom(
                "an empty list of secrets: name at least one, or leave the key out",
            ));
        }
        let references: Result<_, _> = typed.iter().map(|text| text.parse()).collect();
        references.map(SecretRefs).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SecretPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretPatterns, D::Error> {
        let typed = list(
            deserializer,
            "a list of secret references such as [\"env:HOOK_*\", \"file:/run/secrets/\"]",
        )?;
        let patterns: Result<_, _> = typed.iter().map(|text| text.parse()).collect();
        patterns.map(SecretPatterns).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TrustedKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TrustedKeys, D::Error> {
        let typed = list(deserializer, "a list of public keys such as [\"RW…\"]")?;
        if typed.is_empty() {
            return Err(D::Error::custom(
                "an empty list of keys: name at least one, or leave the key out to require no signatures",
            ));
        }
        let keys: Result<_, _> = typed.iter().map(|text| text.parse()).collect();
        keys.map(TrustedKeys).map_err(D::Error::custom)
    }
}

impl<'de, T: std::str::FromStr<Err: std::fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed<T>, D::Error> {
        text(deserializer, "text in quotes")?
            .parse()
            .map(Parsed)
            .map_err(D::Error::custom)
    }
}

fn is_host_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// A list of texts, or one text with commas between them.
fn list<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Typed {
        Text(String),
        List(Vec<String>),
    }
    match Typed::deserialize(deserializer) {
        Ok(Typed::Text(text)) => Ok(text.split(',').map(|text| text.trim().to_owned()).collect()),
        Ok(Typed::List(texts)) => Ok(texts),
        Err(_) => Err(D::Error::custom(format!("not {expected}"))),
    }
}

fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<String, D::Error> {
    struct Text(&'static str);
    impl serde::de::Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    deserializer.deserialize_str(Text(expected))
}
