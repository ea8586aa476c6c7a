//! Answers without the secrets that went out with their calls, in the forms in which a server repeats what it got.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

use super::credentials::replaced;

/// Shorter ones are found everywhere by chance.
const SECRET_MIN: usize = 4;
/// Shorter ones leave too few characters of their own within the base64 of something larger.
const INNER_MIN: usize = 8;
const REDACTED: &[u8] = b"[redacted]";

/// Takes the secrets out of an answer. The longest go first: one that begins another uncovers nothing of it.
pub fn answer(secrets: &[&[u8]], headers: &mut HeaderMap, body: &mut Bytes) {
    let mut secrets: Vec<&[u8]> = secrets.iter().copied().filter(|secret| secret.len() >= SECRET_MIN).collect();
    if secrets.is_empty() {
        return;
    }
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut encoded: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| encodings(secret)).collect();
    encoded.sort_by_key(|form| std::cmp::Reverse(form.len()));
    let clean = |bytes: &Bytes| {
        let bytes = secrets.iter().fold(bytes.clone(), |bytes, secret| without(&bytes, secret));
        encoded.iter().fold(bytes, |bytes, form| replaced(&bytes, form, REDACTED))
    };
    *body = clean(body);
    for value in headers.values_mut() {
        let cleaned = clean(&Bytes::copy_from_slice(value.as_bytes()));
        if cleaned != value.as_bytes() {
            *value = HeaderValue::from_bytes(&cleaned).unwrap_or(HeaderValue::from_static("[redacted]"));
        }
    }
}

/// Without the secret as it is, and as JSON, URLs and HTML may spell it.
fn without(bytes: &Bytes, secret: &[u8]) -> Bytes {
    let plain = replaced(bytes, secret, REDACTED);
    [json as Spelling, percent, form, html].into_iter().fold(plain, |bytes, spelling| spelled(&bytes, secret, spelling))
}

/// One character in disguise at the beginning of these bytes: what it is, and how many bytes say so.
type Spelling = fn(&[u8]) -> Option<(char, usize)>;

/// Looks for the secret in what the bytes mean, and takes out the bytes that mean it.
fn spelled(bytes: &Bytes, secret: &[u8], spelling: Spelling) -> Bytes {
    let (mut meant, mut places) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len() + 1));
    let (mut at, mut is_disguised) = (0, false);
    while at < bytes.len() {
        let (mut buffer, place) = ([0; 4], at);
        let text = match spelling(&bytes[at..]) {
            Some((character, length)) => {
                is_disguised = true;
                at += length;
                character.encode_utf8(&mut buffer).as_bytes()
            }
            None => {
                at += 1;
                &bytes[place..at]
            }
        };
        meant.extend_from_slice(text);
        places.extend(std::iter::repeat_n(place, text.len()));
    }
    places.push(bytes.len());
    if !is_disguised {
        return bytes.clone();
    }
    let (mut made, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for found in memmem::find_iter(&meant, secret) {
        made.extend_from_slice(&bytes[from..places[found]]);
        made.extend_from_slice(REDACTED);
        from = places[found + secret.len()];
    }
    made.extend_from_slice(&bytes[from..]);
    made.into()
}

fn json(bytes: &[u8]) -> Option<(char, usize)> {
    let [b'\\', kind, rest @ ..] = bytes else { return None };
    let character = match kind {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'/' | b'"' | b'\\' => char::from(*kind),
        b'u' => return Some((number(rest.get(..4)?, 16)?, 6)),
        _ => return None,
    };
    Some((character, 2))
}

/// Bytes beyond ASCII are found by their usual encoding.
fn percent(bytes: &[u8]) -> Option<(char, usize)> {
    let [b'%', rest @ ..] = bytes else { return None };
    Some((number(rest.get(..2)?, 16).filter(char::is_ascii)?, 3))
}

fn form(bytes: &[u8]) -> Option<(char, usize)> {
    if bytes.first() == Some(&b'+') { Some((' ', 1)) } else { percent(bytes) }
}

fn html(bytes: &[u8]) -> Option<(char, usize)> {
    const LENGTH_MAX: usize = 10;
    let [b'&', rest @ ..] = bytes else { return None };
    let end = rest.iter().take(LENGTH_MAX).position(|byte| *byte == b';')?;
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

/// In hex, percent-encoded beyond ASCII, and in base64, also within something larger.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex::encode(secret);
    let percent = percent_encoding::percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    let texts = [STANDARD.encode(secret), percent.to_lowercase(), percent, form, hex.to_uppercase(), hex];
    let mut forms: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    if secret.len() >= INNER_MIN {
        forms.extend((0..3).flat_map(|offset| inner_base64(secret, offset)));
    }
    forms
}

/// What base64 (and its form for URLs) makes of a secret behind `offset` other bytes, without the characters in which others share.
fn inner_base64(secret: &[u8], offset: usize) -> [Vec<u8>; 2] {
    let padded = [&[0; 3][..offset], secret].concat();
    // Whole groups of three alone; of the first, what is the secret's own.
    let whole = &padded[..padded.len() / 3 * 3];
    let skipped = [0, 2, 3][offset];
    [STANDARD.encode(whole), URL_SAFE.encode(whole)].map(|text| text.as_bytes()[skipped..].to_vec())
}
