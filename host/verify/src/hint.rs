//! For the operator, after a mismatch: would the signature be right if one usual mistake had not been made? Costs a few
//! checks, so whoever asks does so at a bounded rate.

use super::check::{Given, Keys, NoDocuments, check};
use super::refusal::{Reason, Refusal};
use super::request::Unverified;
use super::verifier::{Proof, Verifier};
use super::view::{PublicUrl, is_readable};
use super::window::Window;
use landfall_model::{KeyForm, Secret};

/// Larger bodies are not tried again.
const BODY_BYTES_MAX: usize = 256 << 10;

const FORMS: [(KeyForm, &str); 4] =
    [(KeyForm::Utf8, "utf8"), (KeyForm::Hex, "hex"), (KeyForm::Base64, "base64"), (KeyForm::Whsec, "whsec")];

/// What probably went wrong, as a sentence. None where nothing usual did. A hint is only given where the check would have
/// passed without the mistake.
pub fn hint(verifier: &Verifier, request: &Unverified, secrets: &[Secret], refusal: &Refusal) -> Option<String> {
    let is_mismatch = matches!(refusal.reason, Reason::SignatureMismatch | Reason::TokenMismatch);
    if !is_mismatch || request.body.len() > BODY_BYTES_MAX {
        return None;
    }
    let timeless = verifier.clone().with_window(Window { past: None, future: None });
    let holds_with = |verifier: &Verifier, form: KeyForm, secrets: &[Secret], request: Unverified| {
        let keys = Keys::new(secrets.iter().map(|secret| (form, Ok(secret.clone()))));
        check(verifier, request, &Given { keys: &keys, documents: &NoDocuments, now: None }, None).is_ok()
    };
    if let Some(trimmed) = trimmed(secrets)
        && holds_with(&timeless, verifier.key_form(), &trimmed, request.clone())
    {
        return Some(
            "it matches without the white space or quotes around the secret: remove them where it is kept".into(),
        );
    }
    if !matches!(verifier.proof, Proof::Signature(_) | Proof::Code(_)) {
        return None;
    }
    let holds = |verifier: &Verifier, form: KeyForm, request: Unverified| holds_with(verifier, form, secrets, request);
    let form = verifier.key_form();
    for (other, word) in FORMS.into_iter().filter(|(other, _)| *other != form) {
        if holds(&timeless, other, request.clone()) {
            return Some(format!("the signature matches if the secret is read as {word}: write key = \"{word}\""));
        }
    }
    for (body, what) in bodies(&request.body) {
        if holds(&timeless, form, Unverified { body: body.into(), ..request.clone() }) {
            return Some(format!("the signature matches the body {what}: something on the way has rewritten it"));
        }
    }
    let configured = verifier.public_url.as_ref()?;
    let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let right = other_urls(configured, host)
        .into_iter()
        .find(|other| holds(&timeless.clone().called_at(other.clone()), form, request.clone()))?;
    Some(match right {
        PublicUrl::Base(url) => {
            format!("the signature matches if the sender calls {url}: write public_url = \"{url}\"")
        }
        PublicUrl::Whole(url) => format!("the signature matches if the sender calls {url}: write url = \"{url}\""),
    })
}

/// The same URL with the other scheme, and with the host that the request names.
fn other_urls(configured: &PublicUrl, host: Option<&str>) -> Vec<PublicUrl> {
    let (PublicUrl::Base(text) | PublicUrl::Whole(text)) = configured;
    let Some((scheme, rest)) = text.split_once("://") else { return Vec::new() };
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let authority = &rest[..rest.len() - path.len()];
    let swapped = if scheme == "https" { "http" } else { "https" };
    let mut texts = vec![format!("{swapped}://{authority}{path}")];
    if let Some(host) = host.filter(|host| *host != authority) {
        texts.extend([scheme, swapped].map(|scheme| format!("{scheme}://{host}{path}")));
    }
    let same_kind = |text| match configured {
        PublicUrl::Base(_) => PublicUrl::Base(text),
        PublicUrl::Whole(_) => PublicUrl::Whole(text),
    };
    texts.into_iter().map(same_kind).collect()
}

/// Other spellings of the body that something on the way may have made of the one that was signed.
fn bodies(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut bodies = vec![([body, b"\n"].concat(), "with a line end after it")];
    if let Some(shorter) = body.strip_suffix(b"\n") {
        bodies.push((shorter.strip_suffix(b"\r").unwrap_or(shorter).to_vec(), "without the line end after it"));
    }
    let Ok(text) = std::str::from_utf8(body) else { return bodies };
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return bodies;
    }
    let compact = minified(body);
    bodies.push((spaced(&compact, ": ", ", "), "with a space after each colon and comma"));
    bodies.push((escaped(&unescaped(text)).into_bytes(), "with other characters than ASCII written as \\u escapes"));
    bodies.push((unescaped(text).into_bytes(), "with \\u escapes written as the characters that they stand for"));
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
    bodies
        .push((unescaped(&plain).into_bytes(), "with characters in place of their \\u escapes, and / in place of \\/"));
    if is_readable(body)
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
    {
        bodies.push((value.to_string().into_bytes(), "with its keys in another order and without white space"));
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
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// Secrets as they were probably meant: without white space and quotes around them.
fn trimmed(secrets: &[Secret]) -> Option<Vec<Secret>> {
    fn inner(bytes: &[u8]) -> &[u8] {
        let bytes = bytes.trim_ascii();
        let quoted = [b'"', b'\''].iter().find_map(|quote| bytes.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));
        quoted.unwrap_or(bytes).trim_ascii()
    }
    let is_padded = secrets.iter().any(|secret| inner(secret.expose()) != secret.expose());
    is_padded.then(|| secrets.iter().map(|secret| Secret::new(inner(secret.expose()))).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::pack::Packs;
    use super::super::sign::sign;
    use super::*;
    use landfall_model::VerifySpec;

    fn verifier(provider: &str) -> Verifier {
        let spec = format!("provider = \"{provider}\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"");
        Verifier::build(&toml::from_str::<VerifySpec>(&spec).unwrap(), &Packs::default()).unwrap()
    }

    /// Signed with `key` over `body`, sent with another body.
    fn hint_for(provider: &str, key: &[u8], body: &str, sent: &str, secret: &str) -> Option<String> {
        let verifier = verifier(provider);
        let mut draft = Packs::default().find(provider).unwrap().draft(None, "https://a.example/x").unwrap();
        draft.body = body.to_owned().into();
        let mut request = sign(&verifier, draft, key, UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        request.body = sent.to_owned().into();
        hint(&verifier, &request, &[Secret::new(secret)], &Refusal::new(Reason::SignatureMismatch, ""))
    }

    #[test]
    fn usual_mistakes_are_named() {
        let told =
            |hint: Option<String>, words: &str| assert!(hint.as_deref().unwrap_or("none").contains(words), "{hint:?}");
        told(hint_for("github", b"key", "{}", "{}", "a2V5"), "key = \"base64\"");
        told(hint_for("github", b"key", "{}", "{}", "6b6579"), "key = \"hex\"");
        told(hint_for("svix", b"a2V5", "{}", "{}", "a2V5"), "key = \"utf8\"");
        told(hint_for("github", b"k", r#"{"a":"b c"}"#, "{\n  \"a\": \"b c\"\n}", "k"), "without white space");
        told(hint_for("github", b"k", "{}\n", "{}", "k"), "with a line end after it");
        told(hint_for("github", b"k", "{}", "{}\r\n", "k"), "without the line end");
        told(hint_for("github", b"k", r#"{"a": [1, 2]}"#, r#"{"a":[1,2]}"#, "k"), "a space after each colon");
        told(hint_for("github", b"k", r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "k"), "keys in another order");
        told(hint_for("github", b"k", "{\n  \"a\": 1\n}", r#"{"a":1}"#, "k"), "indented by two spaces");
        told(hint_for("github", b"k", r#"{"a":"\u00e9\ud83d\ude00"}"#, r#"{"a":"é😀"}"#, "k"), "as \\u escapes");
        told(
            hint_for("github", b"k", r#"{"a":"é😀\n\\u00e9"}"#, r#"{"a":"\u00e9\uD83D\uDE00\n\\u00e9"}"#, "k"),
            "stand for",
        );
        told(hint_for("github", b"k", r#"{"a":"b\/c"}"#, r#"{"a":"b/c"}"#, "k"), "with \\/ in place of /");
        told(hint_for("github", b"k", r#"{"a":"b/c"}"#, r#"{"a":"b\/c"}"#, "k"), "with / in place of \\/");
        told(hint_for("github", b"k", r#"{"a":"\u00e9\/c"}"#, r#"{"a":"é/c"}"#, "k"), "and \\/ in place of /");
        told(hint_for("github", b"k", r#"{"a":"é/c"}"#, r#"{"a":"\u00e9\/c"}"#, "k"), "and / in place of \\/");
        told(hint_for("github", b"k", r#"{"a":"\u00e9/c"}"#, r#"{"a":"é\/c"}"#, "k"), "escapes for characters");
        told(hint_for("github", b"k", r#"{"a":"é\/c"}"#, r#"{"a":"\u00e9/c"}"#, "k"), "in place of their \\u escapes");
        for padded in ["k ", "\"k\"", " 'k'", "k\n"] {
            told(hint_for("github", b"k", "{}", "{}", padded), "white space or quotes around the secret");
        }
        assert_eq!(hint_for("github", b"k", "{}", "{}", "another"), None);
        assert_eq!(hint_for("github", b"k", r#"{"a":1}"#, r#"{"a":2}"#, "k"), None);
        assert_eq!(minified(br#"{ "a \" b" : [ 1 , "c\\" ] }"#), br#"{"a \" b":[1,"c\\"]}"#);
    }

    /// Signed for `signed`, judged by a hook of `provider` whose table says `configured`.
    fn hint_for_url(configured: &str, signed: &str, host: &'static str) -> Option<String> {
        let build = |url: &str| {
            let spec = format!("provider = \"hubspot\"\nsecret = \"env:S\"\n{url}");
            Verifier::build(&toml::from_str::<VerifySpec>(&spec).unwrap(), &Packs::default()).unwrap()
        };
        let draft = Packs::default().find("hubspot").unwrap().draft(None, "https://a.example/x").unwrap();
        let mut request = sign(&build(signed), draft, b"k", UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        request.headers.insert("host", http::HeaderValue::from_static(host));
        hint(&build(configured), &request, &[Secret::new("k")], &Refusal::new(Reason::SignatureMismatch, ""))
    }

    #[test]
    fn another_spelling_of_the_url_is_named() {
        let https = "public_url = \"https://a.example\"";
        for (configured, signed, host, words) in [
            (https, "public_url = \"http://a.example\"", "a.example", "write public_url = \"http://a.example\""),
            (https, "public_url = \"https://b.example\"", "b.example", "write public_url = \"https://b.example\""),
            (
                https,
                "public_url = \"http://b.example:81\"",
                "b.example:81",
                "write public_url = \"http://b.example:81\"",
            ),
            (
                "url = \"https://a.example/in\"",
                "url = \"http://a.example/in\"",
                "a.example",
                "write url = \"http://a.example/in\"",
            ),
        ] {
            let told = hint_for_url(configured, signed, host);
            assert!(told.as_deref().unwrap_or("none").contains(words), "{told:?}");
        }
        assert_eq!(hint_for_url(https, "public_url = \"https://c.example\"", "b.example"), None);
    }
}
