//! Other spellings of a JSON body, as proxies and encoders write them.

use crate::view::is_readable;

/// Other spellings of the body that something on the way may have made of the one that was signed.
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

    let compact = minified(body);
    bodies.push((
        spaced(&compact, ": ", ", "),
        "with a space after each colon and comma",
    ));

    bodies.push((
        escaped(&unescaped(text)).into_bytes(),
        "with other characters than ASCII written as \\u escapes",
    ));

    bodies.push((
        unescaped(text).into_bytes(),
        "with \\u escapes written as the characters that they stand for",
    ));

    let plain = text.replace("\\/", "/");
    let slashed = plain.replace('/', "\\/");
    bodies.push((plain.clone().into_bytes(), "with / in place of \\/"));
    bodies.push((slashed.clone().into_bytes(), "with \\/ in place of /"));

    // Both rewritten, as a decoder and another encoder do.
    bodies.push((
        escaped(&unescaped(&slashed)).into_bytes(),
        "with \\u escapes for characters other than ASCII, and \\/ in place of /",
    ));

    bodies.push((
        escaped(&unescaped(&plain)).into_bytes(),
        "with \\u escapes for characters other than ASCII, and / in place of \\/",
    ));

    bodies.push((
        unescaped(&slashed).into_bytes(),
        "with characters in place of their \\u escapes, and \\/ in place of /",
    ));

    bodies.push((
        unescaped(&plain).into_bytes(),
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
    // A body that stays as it was would only repeat the check.
    bodies.retain(|(other, _)| other != body);
    bodies
}

/// JSON without white space between its tokens, everything else as it was.
fn minified(json: &[u8]) -> Vec<u8> {
    outside_of_texts(json, |byte, out| {
        if !byte.is_ascii_whitespace() {
            out.push(byte);
        }
    })
}

/// Minified JSON with other texts for its colons and commas.
fn spaced(json: &[u8], colon: &str, comma: &str) -> Vec<u8> {
    outside_of_texts(json, |byte, out| match byte {
        b':' => out.extend_from_slice(colon.as_bytes()),
        b',' => out.extend_from_slice(comma.as_bytes()),
        other => out.push(other),
    })
}

/// JSON rewritten byte by byte; what is in a text stays as it was.
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

/// Every character outside of ASCII as `\u` escapes of UTF-16.
fn escaped(json: &str) -> String {
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

/// Every `\u` escape of a character outside of ASCII as that character.
fn unescaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (taken, character) = unit(&rest[at..])
            .and_then(|first| match char::from_u32(first.into()) {
                Some(character) => Some((6, character)),
                None => {
                    let second = unit(rest.get(at + 6..)?)?;
                    Some((12, char::decode_utf16([first, second]).next()?.ok()?))
                }
            })
            .filter(|(_, character)| !character.is_ascii())
            .map_or((2, None), |(taken, character)| (taken, Some(character)));

        match character {
            Some(character) => out.push(character),
            None => out.push_str(rest[at..].get(..taken).unwrap_or(&rest[at..])),
        }

        rest = rest.get(at + taken..).unwrap_or_default();
    }

    out.push_str(rest);
    out
}

/// The UTF-16 unit of the `\u` escape at the beginning of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits
        .bytes()
        .all(|digit| digit.is_ascii_hexdigit())
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}
