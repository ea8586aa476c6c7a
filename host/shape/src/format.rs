//! Formats of strings, by the words of JSON Schema.

use serde::{Deserialize, Serialize};

/// A format that every string of a place can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// A time in RFC 3339 with its offset.
    DateTime,
    /// A date in RFC 3339.
    Date,
    Uuid,
    /// An `http` or `https` URL.
    Uri,
}

const UUID_BYTES: usize = 36;

// === impl Format ===

impl Format {
    pub(crate) const COUNT: usize = 4;

    const ALL: [Format; Format::COUNT] =
        [Format::DateTime, Format::Date, Format::Uuid, Format::Uri];

    /// The format of a text.
    pub(crate) fn of(text: &str) -> Option<Format> {
        let bytes = text.as_bytes();
        match bytes.first()? {
            b'h' if is_url(text) => Some(Format::Uri),
            _ if bytes.len() == UUID_BYTES && is_uuid(bytes) => Some(Format::Uuid),
            b'0'..=b'9' if is_date(bytes) => Some(Format::Date),
            b'0'..=b'9' if is_date_time(bytes) => Some(Format::DateTime),
            _ => None,
        }
    }

    /// The format with this position in counts.
    pub(crate) fn at(index: usize) -> Option<Format> {
        Format::ALL.get(index).copied()
    }

    /// The word of JSON Schema.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Format::DateTime => "date-time",
            Format::Date => "date",
            Format::Uuid => "uuid",
            Format::Uri => "uri",
        }
    }
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// `2026-01-31`
fn is_date(bytes: &[u8]) -> bool {
    const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let (Some(year), Some(month), Some(day)) = (
        digits(&bytes[..4]),
        digits(&bytes[5..7]),
        digits(&bytes[8..]),
    ) else {
        return false;
    };

    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let Some(days) = month.checked_sub(1).and_then(|at| DAYS.get(at as usize)) else {
        return false;
    };
    let days = if month == 2 && is_leap { 29 } else { *days };
    (1..=days).contains(&day)
}

/// `2026-01-31T08:15:30.123Z`, with an offset instead of `Z` also `+02:00`.
fn is_date_time(bytes: &[u8]) -> bool {
    let Some((date, time)) = bytes.split_at_checked(10) else {
        return false;
    };
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = time else {
        return false;
    };
    let is_below = |tens: u8, ones: u8, end: u32| digits(&[tens, ones]).is_some_and(|n| n < end);
    let is_time = is_below(*h1, *h2, 24) && is_below(*m1, *m2, 60) && is_below(*s1, *s2, 60);
    if !is_date(date) || !is_time {
        return false;
    }

    let offset = match rest {
        [b'.', fraction @ ..] => {
            let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if length == 0 {
                return false;
            }
            &fraction[length..]
        }
        rest => rest,
    };
    match offset {
        [b'Z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => is_below(*h1, *h2, 24) && is_below(*m1, *m2, 60),
        _ => false,
    }
}

/// An absolute `http` or `https` URL of RFC 3986, without user and IPv6 address.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http");
    let rest = rest.map(|rest| rest.strip_prefix('s').unwrap_or(rest));
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix("://")) else {
        return false;
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_authority = !host.is_empty()
        && host.bytes().all(is_host)
        && port.len() <= 5
        && port.bytes().all(|byte| byte.is_ascii_digit());

    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte);
    let has_whole_escapes = tail.split('%').skip(1).all(|after| {
        let hex = after.as_bytes().get(..2);
        hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    let has_one_fragment = tail.matches('#').count() <= 1;
    is_authority && tail.bytes().all(is_plain) && has_whole_escapes && has_one_fragment
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(sum * 10 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_strict() {
        for (text, expected) in [
            ("2026-01-31", Some(Format::Date)),
            ("2024-02-29", Some(Format::Date)),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-01-31T08:15:30Z", Some(Format::DateTime)),
            ("2026-01-31T08:15:30.123+02:00", Some(Format::DateTime)),
            ("2026-01-31T08:15:30", None),
            ("2026-01-31T24:15:30Z", None),
            ("2026-01-31 08:15:30Z", None),
            ("2026-01-31T08:15:30.Z", None),
            ("0190f3c1-8a5e-7000-8000-0123456789ab", Some(Format::Uuid)),
            ("0190f3c1-8a5e-7000-8000-0123456789ag", None),
            ("https://example.com", Some(Format::Uri)),
            ("http://example.com:8080/a?b=%20#c", Some(Format::Uri)),
            ("https://example.com/%zz", None),
            ("https://example.com/a b", None),
            ("https://exämple.com/", None),
            ("https://", None),
            ("hello", None),
            ("äöü-12345", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(Format::of(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_those_of_json() {
        for index in 0..Format::COUNT {
            let format = Format::at(index).unwrap();
            assert_eq!(format as usize, index);
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(json, format!("\"{}\"", format.word()));
        }
    }
}
