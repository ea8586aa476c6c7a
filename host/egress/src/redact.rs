//! Answers without the secrets that went out with their calls, in the forms in which a server repeats what it got.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

use super::credentials::replaced;
use landfall_model::Secret;

/// Shorter ones are found everywhere by chance.
const SECRET_MIN: usize = 4;
/// Shorter ones leave too few characters of their own within the base64 of something larger.
const INNER_MIN: usize = 8;
const REDACTED: &[u8] = b"[redacted]";

/// Takes the secrets out of an answer. The longest go first: one that begins another uncovers nothing of it.
pub fn answer(secrets: &[&[u8]], headers: &mut HeaderMap, body: &mut Bytes) {
    let mut secrets: Vec<&[u8]> = secrets
        .iter()
        .copied()
        .filter(|secret| secret.len() >= SECRET_MIN)
        .collect();
    if secrets.is_empty() {
        return;
    }
    secrets.sort_unstable();
    secrets.dedup();
    let mut forms: Vec<(Vec<u8>, bool)> = secrets
        .iter()
        .flat_map(|secret| encodings(secret))
        .map(|form| (form, false))
        .collect();
    forms.extend(secrets.iter().map(|secret| (secret.to_vec(), true)));
    forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
    let clean = |bytes: &Bytes| {
        forms
            .iter()
            .fold(bytes.clone(), |bytes, (form, is_plain)| match is_plain {
                true => without(&bytes, form),
                false => replaced(&bytes, form, REDACTED),
            })
    };
    *body = clean(body);
    for value in headers.values_mut() {
        let cleaned = clean(&Bytes::copy_from_slice(value.as_bytes()));
        if cleaned != value.as_bytes() {
            *value =
                HeaderValue::from_bytes(&cleaned).unwrap_or(HeaderValue::from_static("[redacted]"));
        }
    }
}

/// The text without the secrets, in the same forms.
pub fn text<'a>(secrets: &[Secret], text: &'a str) -> Cow<'a, str> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let secrets: Vec<&[u8]> = secrets.iter().map(Secret::expose).collect();
    let mut body = Bytes::copy_from_slice(text.as_bytes());
    answer(&secrets, &mut HeaderMap::new(), &mut body);
    Cow::Owned(String::from_utf8_lossy(&body).into_owned())
}

/// Without the secret as it is, and as JSON, URLs and HTML may spell it.
fn without(bytes: &Bytes, secret: &[u8]) -> Bytes {
    let plain = replaced(bytes, secret, REDACTED);
    SPELLINGS
        .into_iter()
        .fold(plain, |bytes, (marks, spelling)| {
            match bytes.iter().any(|byte| marks.contains(byte)) {
                true => spelled(&bytes, secret, spelling),
                false => bytes,
            }
        })
}

/// The spellings, each with the bytes without which there is nothing in disguise.
const SPELLINGS: [(&[u8], Spelling); 4] =
    [(b"\\", json), (b"%", percent), (b"%+", form), (b"&", html)];

/// What bytes mean in every one of the spellings, one within another too; none where that is too much to look at.
pub fn meanings(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    const DEPTH: usize = 3;
    const BYTES_MAX: usize = 32 << 20;
    let mut all = vec![bytes.to_vec()];
    let mut from = 0;
    for _ in 0..DEPTH {
        let until = all.len();
        for at in from..until {
            for (marks, spelling) in SPELLINGS {
                if all[at].iter().any(|byte| marks.contains(byte)) {
                    let meant = meant(&all[at], spelling).0;
                    if all.iter().map(Vec::len).sum::<usize>() + meant.len() > BYTES_MAX {
                        return None;
                    }
                    if !all.contains(&meant) {
                        all.push(meant);
                    }
                }
            }
        }
        from = until;
    }
    Some(all)
}

/// One character in disguise at the beginning of these bytes: what it is, and how many bytes say so.
type Spelling = fn(&[u8]) -> Option<(char, usize)>;

/// What the bytes mean, where each byte of that begins, and whether anything was in disguise.
fn meant(bytes: &[u8], spelling: Spelling) -> (Vec<u8>, Vec<usize>, bool) {
    let (mut meant, mut places) = (
        Vec::with_capacity(bytes.len()),
        Vec::with_capacity(bytes.len() + 1),
    );
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
    (meant, places, is_disguised)
}

/// Looks for the secret in what the bytes mean, and takes out the bytes that mean it.
fn spelled(bytes: &Bytes, secret: &[u8], spelling: Spelling) -> Bytes {
    let (meant, places, is_disguised) = meant(bytes, spelling);
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

/// Behind `\\u`: four digits, or a pair of surrogates.
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let unit = |digits: &[u8]| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let first = unit(rest.get(..4)?)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 6));
    }
    let second = rest.get(4..10)?.strip_prefix(b"\\u").and_then(unit)?;
    Some((char::decode_utf16([first, second]).next()?.ok()?, 12))
}

/// Bytes beyond ASCII are found by their usual encoding.
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
    const LENGTH_MAX: usize = 10;
    let [b'&', rest @ ..] = bytes else {
        return None;
    };
    let end = rest
        .iter()
        .take(LENGTH_MAX)
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

/// In hex, percent-encoded beyond ASCII, and in base64, also within something larger.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex::encode(secret);
    let percent =
        percent_encoding::percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    let lower = secret
        .iter()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(*byte).to_string(),
            false => format!("%{byte:02x}"),
        });
    let texts = [
        STANDARD.encode(secret),
        lower.collect(),
        percent,
        form,
        hex.to_uppercase(),
        hex,
    ];
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
