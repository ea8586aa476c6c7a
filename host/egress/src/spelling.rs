//! How JSON, URLs, forms and HTML may spell a character in other ways than by itself.

/// How many encodings within one another are decoded.
const DEPTH: usize = 3;
/// The most bytes of all decodings of a text.
const BYTES_MAX: usize = 32 << 20;
/// The most bytes of an HTML entity.
const ENTITY_BYTES_MAX: usize = 10;

/// Decodes one encoded character at the start of these bytes. Returns the character and the number
/// of encoded bytes.
pub(crate) type Spelling = fn(&[u8]) -> Option<(char, usize)>;

/// The spellings, each with the bytes of which one occurs in every encoded character.
pub(crate) const SPELLINGS: [(&[u8], Spelling); 4] =
    [(b"\\", json), (b"%", percent), (b"%+", form), (b"&", html)];

/// Decoded bytes.
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    /// For each decoded byte, the place of its encoded character; and the length of the encoded
    /// text.
    pub(crate) places: Vec<usize>,
    /// Whether any character was encoded.
    pub(crate) was_encoded: bool,
}

/// The bytes and what they mean in each of the spellings, also one within another. `None` if that
/// is too much to search.
pub(crate) fn decodings(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = vec![bytes.to_vec()];
    let mut from = 0;
    for _ in 0..DEPTH {
        let until = all.len();
        for at in from..until {
            for (marks, spelling) in SPELLINGS {
                if !contains_any(&all[at], marks) {
                    continue;
                }

                let decoded = decode(&all[at], spelling).bytes;
                let sum: usize = all.iter().map(Vec::len).sum();
                if sum + decoded.len() > BYTES_MAX {
                    return None;
                }

                if !all.contains(&decoded) {
                    all.push(decoded);
                }
            }
        }

        from = until;
    }

    Some(all)
}

pub(crate) fn decode(bytes: &[u8], spelling: Spelling) -> Decoded {
    let mut decoded = Decoded {
        bytes: Vec::with_capacity(bytes.len()),
        places: Vec::with_capacity(bytes.len() + 1),
        was_encoded: false,
    };

    let mut at = 0;
    while at < bytes.len() {
        let (mut buffer, place) = ([0; 4], at);
        let text = match spelling(&bytes[at..]) {
            Some((character, length)) => {
                decoded.was_encoded = true;
                at += length;
                character.encode_utf8(&mut buffer).as_bytes()
            }
            None => {
                at += 1;
                &bytes[place..at]
            }
        };

        decoded.bytes.extend_from_slice(text);
        decoded
            .places
            .extend(std::iter::repeat_n(place, text.len()));
    }

    decoded.places.push(bytes.len());
    decoded
}

pub(crate) fn contains_any(bytes: &[u8], marks: &[u8]) -> bool {
    bytes.iter().any(|byte| marks.contains(byte))
}

fn json(bytes: &[u8]) -> Option<(char, usize)> {
    let [b'\\', kind, rest @ ..] = bytes else {
        return None;
    };

    let character = match kind {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'/' | b'"' | b'\\' => char::from(*kind),
        b'u' => return unicode(rest),
        _ => return None,
    };

    Some((character, 2))
}

/// The part after `\\u`: four digits, or a pair of surrogates.
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let first = code_unit(rest.get(..4)?)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 6));
    }

    let second = rest.get(4..10)?.strip_prefix(b"\\u").and_then(code_unit)?;
    Some((char::decode_utf16([first, second]).next()?.ok()?, 12))
}

fn code_unit(digits: &[u8]) -> Option<u16> {
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Only ASCII is decoded. Other characters are found by their usual encoding.
fn percent(bytes: &[u8]) -> Option<(char, usize)> {
    let [b'%', rest @ ..] = bytes else {
        return None;
    };

    Some((number(rest.get(..2)?, 16).filter(char::is_ascii)?, 3))
}

fn form(bytes: &[u8]) -> Option<(char, usize)> {
    if bytes.first() == Some(&b'+') {
        Some((' ', 1))
    } else {
        percent(bytes)
    }
}

fn html(bytes: &[u8]) -> Option<(char, usize)> {
    let [b'&', rest @ ..] = bytes else {
        return None;
    };

    let end = rest
        .iter()
        .take(ENTITY_BYTES_MAX)
        .position(|byte| *byte == b';')?;
    let character = match &rest[..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    };

    Some((character, end + 2))
}

fn number(digits: &[u8], base: u32) -> Option<char> {
    char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, base).ok()?)
}
