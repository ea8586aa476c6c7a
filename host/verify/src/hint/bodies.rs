//! Variants of a body, as proxies and JSON encoders produce them.

use crate::view::is_readable;

/// Variants of the received body, one of which may be the body that was signed.
pub(super) fn bodies(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut bodies = vec![([body, b"\n"].concat(), "with a line end after it")];
    if let Some(shorter) = body.strip_suffix(b"\n") {
        bodies.push((
            shorter.strip_suffix(b"\r").unwrap_or(shorter).to_vec(),
            "without the line end after it",
        ));
    }

    let Ok(text) = std::str::from_utf8(body) else {
        return bodies;
    };

    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return bodies;
    }

    let compact = minify(body);
    bodies.push((
        add_spaces(&compact, ": ", ", "),
        "with a space after each colon and comma",
    ));

    bodies.push((
        escape_non_ascii(&unescape_non_ascii(text)).into_bytes(),
        "with other characters than ASCII written as \\u escapes",
    ));

    bodies.push((
        unescape_non_ascii(text).into_bytes(),
        "with \\u escapes written as the characters that they stand for",
    ));

    let plain = text.replace("\\/", "/");
    let slashed = plain.replace('/', "\\/");
    bodies.push((plain.clone().into_bytes(), "with / in place of \\/"));
    bodies.push((slashed.clone().into_bytes(), "with \\/ in place of /"));

    // Both rewrites at once, as decoding and encoding again produces them.
    bodies.push((
        escape_non_ascii(&unescape_non_ascii(&slashed)).into_bytes(),
        "with \\u escapes for characters other than ASCII, and \\/ in place of /",
    ));

    bodies.push((
        escape_non_ascii(&unescape_non_ascii(&plain)).into_bytes(),
        "with \\u escapes for characters other than ASCII, and / in place of \\/",
    ));

    bodies.push((
        unescape_non_ascii(&slashed).into_bytes(),
        "with characters in place of their \\u escapes, and \\/ in place of /",
    ));

    bodies.push((
        unescape_non_ascii(&plain).into_bytes(),
        "with characters in place of their \\u escapes, and / in place of \\/",
    ));

    if is_readable(body)
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
    {
        bodies.push((
            value.to_string().into_bytes(),
            "with its keys in another order and without white space",
        ));

        bodies.push((format!("{value:#}").into_bytes(), "indented by two spaces"));
    }

    bodies.push((compact, "without white space"));
    // Unchanged bodies need no second check.
    bodies.retain(|(other, _)| other != body);
    bodies
}

/// Removes the white space between JSON tokens.
pub(super) fn minify(json: &[u8]) -> Vec<u8> {
    outside_of_texts(json, |byte, out| {
        if !byte.is_ascii_whitespace() {
            out.push(byte);
        }
    })
}

/// Replaces the colons and commas of minified JSON.
fn add_spaces(json: &[u8], colon: &str, comma: &str) -> Vec<u8> {
    outside_of_texts(json, |byte, out| match byte {
        b':' => out.extend_from_slice(colon.as_bytes()),
        b',' => out.extend_from_slice(comma.as_bytes()),
        other => out.push(other),
    })
}

/// Rewrites JSON byte by byte, except inside of strings.
fn outside_of_texts(json: &[u8], mut rewrite: impl FnMut(u8, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in json.iter().copied() {
        if in_text || byte == b'"' {
            out.push(byte);
        } else {
            rewrite(byte, &mut out);
        }

        match (in_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            _ => {}
        }
    }

    out
}

/// Writes every character outside of ASCII as `\u` escapes of UTF-16.
fn escape_non_ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            out.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }

    out
}

/// Replaces every `\u` escape of a character outside of ASCII by the character.
fn unescape_non_ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (length, character) = unit(&rest[at..])
            .and_then(|first| match char::from_u32(first.into()) {
                Some(character) => Some((6, character)),
                None => {
                    let second = unit(rest.get(at + 6..)?)?;
                    Some((12, char::decode_utf16([first, second]).next()?.ok()?))
                }
            })
            .filter(|(_, character)| !character.is_ascii())
            .map_or((2, None), |(length, character)| (length, Some(character)));

        match character {
            Some(character) => out.push(character),
            None => out.push_str(rest[at..].get(..length).unwrap_or(&rest[at..])),
        }

        rest = rest.get(at + length..).unwrap_or_default();
    }

    out.push_str(rest);
    out
}

/// The UTF-16 unit of the `\u` escape at the start of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits
        .bytes()
        .all(|digit| digit.is_ascii_hexdigit())
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}
