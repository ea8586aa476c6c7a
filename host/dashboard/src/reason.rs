//! Reasons of failures without the parts that differ between events, so that failures with one
//! cause make one group.

/// The most characters of a group's name.
const CHARACTERS_MAX: usize = 200;
/// The part of a reason that is read.
const BYTES_READ: usize = 2_000;
/// A shorter word of hexadecimal digits may be a word of a language.
const HEX_MIN: usize = 8;

/// The reason with `N` for numbers, `ID` for UUIDs, `HEX` for long hexadecimal words and `"…"` for
/// quoted text. HTTP statuses and the hosts of URLs stay: another status or host is another cause.
/// Only its first line counts.
pub(crate) fn normalise(reason: &str) -> String {
    let first = reason.trim().lines().next().unwrap_or_default();
    let first = &first[..first.floor_char_boundary(BYTES_READ)];
    let (mut out, mut before) = (String::new(), "");
    let mut rest = first;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = quoted(rest, c) {
            out.push(c);
            out.push('…');
            out.push(c);
            rest = after;
        } else if let Some(end) = end_of_host(rest) {
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if c.is_alphanumeric() {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
                .unwrap_or(rest.len());
            let present = &rest[..end];
            if is_status(before, present) {
                out.push_str(present);
            } else {
                out.push_str(&word(present));
            }
            before = present;
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }

    match out.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

/// What follows a text in double quotes or backquotes. An apostrophe is no quote: `doesn't`.
fn quoted(text: &str, quote: char) -> Option<&str> {
    if !matches!(quote, '"' | '`') {
        return None;
    }

    let inner = &text[quote.len_utf8()..];
    let end = inner.find(quote)?;
    Some(&inner[end + quote.len_utf8()..])
}

/// The end of scheme, host and port of a URL at the beginning of a text.
fn end_of_host(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let host = &text[scheme.len()..];
    let end = host.find(|c| !is_host(c)).unwrap_or(host.len());
    // The colon after a URL is not of its port.
    Some(scheme.len() + host[..end].trim_end_matches(['.', ':']).len())
}

/// Whether a word is an HTTP status, by the word before it.
fn is_status(before: &str, word: &str) -> bool {
    let is_named = ["status", "answered", "http", "code"]
        .iter()
        .any(|name| before.eq_ignore_ascii_case(name));
    is_named && word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn word(word: &str) -> String {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = word.len() == 36
        && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && word
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_uuid {
        return "ID".to_owned();
    }

    if is_hex && word.len() >= HEX_MIN && digits > 0 && digits < word.len() {
        return "HEX".to_owned();
    }

    let mut out = String::new();
    let mut is_number = false;
    for c in word.chars() {
        if c.is_ascii_digit() {
            if !is_number {
                out.push('N');
            }
            is_number = true;
        } else {
            out.push(c);
            is_number = false;
        }
    }

    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_makes_one_group() {
        for (reason, group) in [
            ("timeout after 60 s", "timeout after N s"),
            ("answered 503 to order 17-4", "answered 503 to order N-N"),
            (
                "http://127.0.0.1:9911/in/17: status 422: {\"a\": 1}",
                "http://127.0.0.1:9911/in/N: status 422: {\"…\": N}",
            ),
            (
                "https://a.example: took 300 ms",
                "https://a.example: took N ms",
            ),
            ("no row 0198c0de-1111-7222-8333-444455556666", "no row ID"),
            ("commit 9fceb02d0ae5 is gone", "commit HEX is gone"),
            (
                "field \"a b\" of `x` is missing",
                "field \"…\" of `…` is missing",
            ),
            ("it doesn't fit\nsecond line", "it doesn't fit"),
            ("an open \" quote", "an open \" quote"),
            ("deadbeef", "deadbeef"),
            ("", ""),
        ] {
            assert_eq!(normalise(reason), group, "{reason}");
        }
    }

    #[test]
    fn names_of_groups_are_bounded() {
        for long in ["é, ".repeat(10_000), "x".repeat(10_000)] {
            assert_eq!(normalise(&long).chars().count(), CHARACTERS_MAX + 1);
        }
    }
}
