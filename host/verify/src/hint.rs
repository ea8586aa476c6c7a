//! For the operator, after a mismatch: would the signature be right if one usual mistake had not been made? Costs a few
//! checks, so whoever asks does so at a bounded rate.

use super::check::{Keys, NoKeyDocuments, VerifyContext, check};
use super::refusal::{Reason, Refusal};
use super::request::Unverified;
use super::verifier::{AuthScheme, Verifier};
use super::view::{PublicUrl, View, is_readable};
use super::window::Window;
use landfall_model::{Encoding, KeyForm, Secret, TimeUnit};

/// Larger bodies are not tried again.
const BODY_BYTES_MAX: usize = 256 << 10;

const FORMS: [(KeyForm, &str); 4] = [
    (KeyForm::Utf8, "utf8"),
    (KeyForm::Hex, "hex"),
    (KeyForm::Base64, "base64"),
    (KeyForm::Whsec, "whsec"),
];

/// What probably went wrong, as a sentence. None where nothing usual did. A hint is only given where the check would have
/// passed without the mistake.
pub fn hint(
    verifier: &Verifier,
    request: &Unverified,
    secrets: &[Secret],
    refusal: &Refusal,
) -> Option<String> {
    if request.body.len() > BODY_BYTES_MAX {
        return None;
    }

    match refusal.reason {
        Reason::SignatureMismatch | Reason::TokenMismatch => {}
        Reason::MalformedSignature => return other_form(verifier, request, secrets),
        Reason::TimestampTooOld | Reason::TimestampInFuture | Reason::MalformedTimestamp => {
            return other_unit(verifier, request);
        }
        _ => return None,
    }

    let timeless = verifier.clone().with_window(Window {
        past: None,
        future: None,
    });

    let holds_with =
        |verifier: &Verifier, form: KeyForm, secrets: &[Secret], request: Unverified| {
            let keys = Keys::new(secrets.iter().map(|secret| (form, Ok(secret.clone()))));
            check(
                verifier,
                request,
                &VerifyContext {
                    keys: &keys,
                    documents: &NoKeyDocuments,
                    now: None,
                },
                None,
            )
            .is_ok()
        };

    if let Some(trimmed) = trimmed(secrets)
        && holds_with(&timeless, verifier.key_form(), &trimmed, request.clone())
    {
        return Some(
            "it matches without the white space or quotes around the secret: remove them where it is kept".into(),
        );
    }

    if !matches!(
        verifier.auth_scheme,
        AuthScheme::Signature(_) | AuthScheme::Provider(_)
    ) {
        return None;
    }

    let holds = |verifier: &Verifier, form: KeyForm, request: Unverified| {
        holds_with(verifier, form, secrets, request)
    };

    let form = verifier.key_form();
    for (other, word) in FORMS.into_iter().filter(|(other, _)| *other != form) {
        if holds(&timeless, other, request.clone()) {
            return Some(format!(
                "the signature matches if the secret is read as {word}: write key = \"{word}\""
            ));
        }
    }

    for (body, what) in bodies(&request.body) {
        if holds(
            &timeless,
            form,
            Unverified {
                body: body.into(),
                ..request.clone()
            },
        ) {
            return Some(format!(
                "the signature matches the body {what}: something on the way has rewritten it"
            ));
        }
    }

    let configured = verifier.public_url.as_ref()?;
    let host = request
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());

    let right = other_urls(configured, host, &request.path)
        .into_iter()
        .find(|other| {
            holds(
                &timeless.clone().called_at(other.clone()),
                form,
                request.clone(),
            )
        });

    match right {
        Some(PublicUrl::Base(url) | PublicUrl::Whole(url)) if is_loopback(&url) => Some(format!(
            "the signature matches if the sender calls {url}, which only this machine can: `landfall send` signs the URL of your \
             hook with --public-url URL"
        )),
        Some(PublicUrl::Base(url)) => Some(format!(
            "the signature matches if the sender calls {url}: write public_url = \"{url}\""
        )),
        Some(PublicUrl::Whole(url)) => Some(format!(
            "the signature matches if the sender calls {url}: write url = \"{url}\""
        )),
        None => other_host(configured, host?),
    }
}

/// Whether a URL leads to the machine that calls it.
fn is_loopback(url: &str) -> bool {
    let url = url::Url::parse(url).ok();
    url.as_ref()
        .and_then(url::Url::host)
        .is_some_and(|host| match host {
            url::Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        })
}

/// The URL is signed, and the request names another host than the configured one: a proxy has written it, or the sender calls
/// another URL.
fn other_host(configured: &PublicUrl, host: &str) -> Option<String> {
    let (PublicUrl::Base(text) | PublicUrl::Whole(text)) = configured;
    let known = url::Url::parse(text).ok()?;
    let named = url::Url::parse(&format!("{}://{host}", known.scheme())).ok()?;
    let is_same = known.host() == named.host()
        && known.port_or_known_default() == named.port_or_known_default();

    (!is_same).then(|| {
        format!(
            "the signature is checked for {text}, and the request names the host {}: if the provider calls another URL than that, \
             correct public_url or url",
            host.escape_debug()
        )
    })
}

/// A signature that cannot be decoded as configured, and is right in another form: another encoding, or another text before it.
fn other_form(verifier: &Verifier, request: &Unverified, secrets: &[Secret]) -> Option<String> {
    let AuthScheme::Signature(signature) = &verifier.auth_scheme else {
        return None;
    };

    let place = signature
        .from
        .first()
        .filter(|_| signature.list.is_none() && signature.methods.is_empty())?;

    let view = View::new(request, verifier.public_url.as_ref());
    let text = String::from_utf8(view.find(place, false).ok()?.into_owned()).ok()?;

    let before = |mark: char| {
        text.find(mark)
            .map(|at| text[..=at].to_owned())
            .filter(|prefix| prefix.len() < 20)
    };

    let prefixes = [
        Some(signature.prefix.clone()),
        Some(String::new()),
        before('='),
        before(' '),
        before(':'),
    ];

    for prefix in prefixes
        .into_iter()
        .flatten()
        .filter(|prefix| text.starts_with(prefix.as_str()))
    {
        for (encoding, word) in [
            (Encoding::Hex, "hex"),
            (Encoding::Base64, "base64"),
            (Encoding::Base64url, "base64url"),
        ] {
            let mut other = verifier.clone().with_window(Window {
                past: None,
                future: None,
            });
            let AuthScheme::Signature(rules) = &mut other.auth_scheme else {
                continue;
            };
            (rules.prefix, rules.encoding) = (prefix.clone(), encoding);
            let keys = Keys::new(
                secrets
                    .iter()
                    .map(|secret| (verifier.key_form(), Ok(secret.clone()))),
            );
            let context = VerifyContext {
                keys: &keys,
                documents: &NoKeyDocuments,
                now: None,
            };
            if check(&other, request.clone(), &context, None).is_ok() {
                return Some(format!(
                    "the signature matches if it is read as {word} after `{0}`: write encoding = \"{word}\" and prefix = \"{0}\"",
                    prefix.escape_debug()
                ));
            }
        }
    }

    None
}

/// A time whose number of digits is that of another unit.
fn other_unit(verifier: &Verifier, request: &Unverified) -> Option<String> {
    let AuthScheme::Signature(signature) = &verifier.auth_scheme else {
        return None;
    };

    let text = signature.sent_time(&View::new(request, verifier.public_url.as_ref()))?;
    let is_number = text.iter().all(u8::is_ascii_digit);
    match (signature.time.as_ref()?.unit, text.len()) {
        (TimeUnit::S, 13) if is_number => Some(
            "the time has 13 digits, as milliseconds have: write timestamp = { unit = \"ms\" }"
                .into(),
        ),
        (TimeUnit::Ms, 10) if is_number => Some(
            "the time has 10 digits, as seconds have: write timestamp = { unit = \"s\" }".into(),
        ),
        (TimeUnit::Rfc3339 | TimeUnit::Iso8601 | TimeUnit::HttpDate, 10) if is_number => {
            Some("the time is a number of seconds: write timestamp = { unit = \"s\" }".into())
        }
        _ => None,
    }
}

/// The same URL with the other scheme, with the host that the request names, and with the path that the request has.
fn other_urls(configured: &PublicUrl, host: Option<&str>, request_path: &str) -> Vec<PublicUrl> {
    let (PublicUrl::Base(text) | PublicUrl::Whole(text)) = configured;
    let Some((scheme, rest)) = text.split_once("://") else {
        return Vec::new();
    };

    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let authority = &rest[..rest.len() - path.len()];
    let swapped = if scheme == "https" { "http" } else { "https" };
    let mut texts = vec![format!("{swapped}://{authority}{path}")];
    if let Some(host) = host.filter(|host| *host != authority) {
        texts.extend([scheme, swapped].map(|scheme| format!("{scheme}://{host}{path}")));
    }

    if !path.is_empty() {
        let paths = match configured {
            PublicUrl::Base(_) => "",
            PublicUrl::Whole(_) => request_path,
        };

        let hosts = std::iter::once(authority).chain(host.filter(|host| *host != authority));
        texts.extend(
            hosts.flat_map(|host| {
                [scheme, swapped].map(|scheme| format!("{scheme}://{host}{paths}"))
            }),
        );
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

/// Secrets as they were probably meant: without white space and quotes around them.
fn trimmed(secrets: &[Secret]) -> Option<Vec<Secret>> {
    fn inner(bytes: &[u8]) -> &[u8] {
        let bytes = bytes.trim_ascii();
        let quoted = [b'"', b'\'']
            .iter()
            .find_map(|quote| bytes.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));

        quoted.unwrap_or(bytes).trim_ascii()
    }

    let is_padded = secrets
        .iter()
        .any(|secret| inner(secret.expose()) != secret.expose());

    is_padded.then(|| {
        secrets
            .iter()
            .map(|secret| Secret::new(inner(secret.expose())))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::pack::Packs;
    use super::super::sign::sign;
    use super::*;
    use landfall_model::VerifySpec;

    fn verifier(provider: &str) -> Verifier {
        let spec = format!(
            "provider = \"{provider}\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\""
        );

        Verifier::build(
            &toml::from_str::<VerifySpec>(&spec).unwrap(),
            &Packs::default(),
        )
        .unwrap()
    }

    /// Signed with `key` over `body`, sent with another body.
    fn hint_for(
        provider: &str,
        key: &[u8],
        body: &str,
        sent: &str,
        secret: &str,
    ) -> Option<String> {
        let verifier = verifier(provider);
        let mut draft = Packs::default()
            .find(provider)
            .unwrap()
            .draft(None, "https://a.example/x")
            .unwrap();

        draft.body = body.to_owned().into();
        let mut request = sign(&verifier, draft, key, UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        request.body = sent.to_owned().into();

        hint(
            &verifier,
            &request,
            &[Secret::new(secret)],
            &Refusal::new(Reason::SignatureMismatch, ""),
        )
    }

    #[test]
    fn usual_mistakes_are_named() {
        let told = |hint: Option<String>, words: &str| {
            assert!(
                hint.as_deref().unwrap_or("none").contains(words),
                "{hint:?}"
            )
        };

        told(
            hint_for("github", b"key", "{}", "{}", "a2V5"),
            "key = \"base64\"",
        );

        told(
            hint_for("github", b"key", "{}", "{}", "6b6579"),
            "key = \"hex\"",
        );

        told(
            hint_for("svix", b"a2V5", "{}", "{}", "a2V5"),
            "key = \"utf8\"",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"b c"}"#,
                "{\n  \"a\": \"b c\"\n}",
                "k",
            ),
            "without white space",
        );

        told(
            hint_for("github", b"k", "{}\n", "{}", "k"),
            "with a line end after it",
        );

        told(
            hint_for("github", b"k", "{}", "{}\r\n", "k"),
            "without the line end",
        );

        told(
            hint_for("github", b"k", r#"{"a": [1, 2]}"#, r#"{"a":[1,2]}"#, "k"),
            "a space after each colon",
        );

        told(
            hint_for("github", b"k", r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "k"),
            "keys in another order",
        );

        told(
            hint_for("github", b"k", "{\n  \"a\": 1\n}", r#"{"a":1}"#, "k"),
            "indented by two spaces",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"\u00e9\ud83d\ude00"}"#,
                r#"{"a":"é😀"}"#,
                "k",
            ),
            "as \\u escapes",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"é😀\n\\u00e9"}"#,
                r#"{"a":"\u00e9\uD83D\uDE00\n\\u00e9"}"#,
                "k",
            ),
            "stand for",
        );

        told(
            hint_for("github", b"k", r#"{"a":"b\/c"}"#, r#"{"a":"b/c"}"#, "k"),
            "with \\/ in place of /",
        );

        told(
            hint_for("github", b"k", r#"{"a":"b/c"}"#, r#"{"a":"b\/c"}"#, "k"),
            "with / in place of \\/",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"\u00e9\/c"}"#,
                r#"{"a":"é/c"}"#,
                "k",
            ),
            "and \\/ in place of /",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"é/c"}"#,
                r#"{"a":"\u00e9\/c"}"#,
                "k",
            ),
            "and / in place of \\/",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"\u00e9/c"}"#,
                r#"{"a":"é\/c"}"#,
                "k",
            ),
            "escapes for characters",
        );

        told(
            hint_for(
                "github",
                b"k",
                r#"{"a":"é\/c"}"#,
                r#"{"a":"\u00e9/c"}"#,
                "k",
            ),
            "in place of their \\u escapes",
        );

        for padded in ["k ", "\"k\"", " 'k'", "k\n"] {
            told(
                hint_for("github", b"k", "{}", "{}", padded),
                "white space or quotes around the secret",
            );
        }

        assert_eq!(hint_for("github", b"k", "{}", "{}", "another"), None);
        assert_eq!(
            hint_for("github", b"k", r#"{"a":1}"#, r#"{"a":2}"#, "k"),
            None
        );

        assert_eq!(
            minified(br#"{ "a \" b" : [ 1 , "c\\" ] }"#),
            br#"{"a \" b":[1,"c\\"]}"#
        );
    }

    /// Signed for `signed`, judged by a hook of `provider` whose table says `configured`.
    fn hint_for_url(configured: &str, signed: &str, host: &'static str) -> Option<String> {
        let build = |url: &str| {
            let spec = format!("provider = \"hubspot\"\nsecret = \"env:S\"\n{url}");
            Verifier::build(
                &toml::from_str::<VerifySpec>(&spec).unwrap(),
                &Packs::default(),
            )
            .unwrap()
        };

        let draft = Packs::default()
            .find("hubspot")
            .unwrap()
            .draft(None, "https://a.example/x")
            .unwrap();

        let mut request = sign(
            &build(signed),
            draft,
            b"k",
            UNIX_EPOCH + Duration::from_secs(1),
        )
        .unwrap();

        request
            .headers
            .insert("host", http::HeaderValue::from_static(host));

        hint(
            &build(configured),
            &request,
            &[Secret::new("k")],
            &Refusal::new(Reason::SignatureMismatch, ""),
        )
    }

    #[test]
    fn another_spelling_of_the_url_is_named() {
        let https = "public_url = \"https://a.example\"";
        for (configured, signed, host, words) in [
            (
                https,
                "public_url = \"http://a.example\"",
                "a.example",
                "write public_url = \"http://a.example\"",
            ),
            (
                https,
                "public_url = \"https://b.example\"",
                "b.example",
                "write public_url = \"https://b.example\"",
            ),
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
            assert!(
                told.as_deref().unwrap_or("none").contains(words),
                "{told:?}"
            );
        }

        let other = hint_for_url(https, "public_url = \"https://c.example\"", "b.example").unwrap();
        assert!(
            other.contains(
                "is checked for https://a.example, and the request names the host b.example"
            ),
            "{other}"
        );

        assert_eq!(
            hint_for_url(https, "public_url = \"https://c.example\"", "a.example:443"),
            None
        );

        let local = hint_for_url(
            https,
            "public_url = \"http://127.0.0.1:8080\"",
            "127.0.0.1:8080",
        )
        .unwrap();

        assert!(
            local.contains("--public-url URL") && !local.contains("write public_url"),
            "{local}"
        );

        let prefixed = "public_url = \"https://a.example/in\"";
        assert!(
            hint_for_url(prefixed, https, "a.example")
                .unwrap()
                .contains("write public_url = \"https://a.example\"")
        );
    }

    #[test]
    fn other_forms_of_signatures_are_named() {
        let build = |rules: &str| {
            let spec = format!(
                "scheme = \"signature\"\nsecret = \"env:S\"\nfrom = {{ header = \"Sig\" }}\n{rules}"
            );

            Verifier::build(
                &toml::from_str::<VerifySpec>(&spec).unwrap(),
                &Packs::default(),
            )
            .unwrap()
        };

        let hinted = |signed: &str, configured: &str| {
            let draft = Packs::default()
                .find("generic")
                .unwrap()
                .draft(None, "https://a.example/x")
                .unwrap();

            let now = UNIX_EPOCH + Duration::from_secs(1_760_000_000);
            let request = sign(&build(signed), draft, b"k", now).unwrap();
            let keys = Keys::new([(KeyForm::Utf8, Ok(Secret::new("k")))]);

            let context = VerifyContext {
                keys: &keys,
                documents: &NoKeyDocuments,
                now: Some(now),
            };

            let verifier = build(configured);
            let refusal = check(&verifier, request.clone(), &context, None).unwrap_err();
            hint(&verifier, &request, &[Secret::new("k")], &refusal)
                .unwrap_or_else(|| format!("none: {refusal}"))
        };

        let (hex, base64) = ("encoding = \"hex\"\n", "encoding = \"base64\"\n");
        assert!(hinted(base64, hex).contains("write encoding = \"base64\" and prefix = \"\""));
        assert!(
            hinted(hex, "prefix = \"sha256=\"")
                .contains("write encoding = \"hex\" and prefix = \"\"")
        );

        assert!(hinted("prefix = \"v1=\"", hex).contains("and prefix = \"v1=\""));

        let time = |unit: &str| {
            let payload = "payload = [\"{timestamp}\", \".\", \"{body}\"]\n";
            format!(
                "{payload}timestamp = {{ from = {{ header = \"T\" }}, unit = \"{unit}\", past = \"5m\" }}"
            )
        };

        assert!(hinted(&time("ms"), &time("s")).contains("unit = \"ms\""));
        assert!(hinted(&time("s"), &time("ms")).contains("unit = \"s\""));
        assert!(hinted(&time("s"), &time("rfc3339")).contains("a number of seconds"));
    }
}
