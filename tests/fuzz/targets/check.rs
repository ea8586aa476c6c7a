//! Any request against any pack: the check must not panic, must return the same verdict for any chunking, and must reject
//! every caller that does not know the secret.
//!
//! The input: two bytes for the pack and the method, one for the size of pieces, then lines `name: value`, an empty
//! line, the body.

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use landfall_model::{ConfigValue, Secret, VerifySpec};
use landfall_verify::{
    Keys, NoKeyDocuments, Packs, Unverified, Verdict, Verifier, VerifyContext, check, pack_names,
    streaming_mac,
};

/// Long and odd enough that nothing finds it by chance; valid as text, hex, base64 and `user:password` it need not be.
const SECRET: &str = "5d1c0f7b9a3e4c2d8f6b1a0e9d7c5b3a1f2e4d6c8b0a9f7e5d3c1b2a4f6e8d0c";

fn verifiers() -> &'static Vec<Verifier> {
    static VERIFIERS: OnceLock<Vec<Verifier>> = OnceLock::new();
    VERIFIERS.get_or_init(|| {
        let built: Vec<Verifier> = pack_names().filter_map(verifier).collect();
        // The others need values that fit together.
        assert!(
            built.len() * 10 > pack_names().count() * 9,
            "{}",
            built.len()
        );
        built
    })
}

/// The verifier of a pack, with the examples of what a hook must configure.
fn verifier(name: &str) -> Option<Verifier> {
    let packs = Packs::default();
    let pack = packs.find(name).expect("the pack is embedded");
    let required = pack.config.iter().filter(|(_, key)| key.required);
    let config = required.map(|(key, of_pack)| {
        let example = of_pack.example.clone();
        let value = example.unwrap_or_else(|| "https://a.example".into());
        (key.clone(), ConfigValue::One(value))
    });
    let spec = VerifySpec {
        provider: Some(name.into()),
        secret: vec!["env:S".parse().expect("it is a reference")],
        public_url: Some("https://hooks.example.com".into()),
        config: config.collect(),
        ..VerifySpec::default()
    };
    Verifier::build(&spec, &packs).ok()
}

pub(crate) fn run(data: &[u8]) {
    let [pack, method, size, rest @ ..] = data else {
        return;
    };
    let verifiers = verifiers();
    let number = usize::from(*pack) + 256 * usize::from(*method / 4);
    let verifier = &verifiers[number % verifiers.len()];
    let Some(request) = request(*method, rest) else {
        return;
    };
    let keys = Keys::new([(verifier.key_form(), Ok(Secret::new(SECRET)))]);
    let now = Some(UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    let context = VerifyContext {
        keys: &keys,
        documents: &NoKeyDocuments,
        now,
    };
    let whole = check(verifier, request.clone(), &context, None);
    assert!(
        !matches!(whole, Ok(Verdict::Verified(_))),
        "let in without the secret: {request:?}"
    );
    let head = Unverified {
        body: Bytes::new(),
        ..request.clone()
    };
    let mut feeding = streaming_mac(verifier, &head, &keys);
    if let Some(feeding) = &mut feeding {
        request
            .body
            .chunks(usize::from(*size).max(1))
            .for_each(|piece| feeding.update(&Bytes::copy_from_slice(piece)));
    }
    let fed = check(verifier, request, &context, feeding);
    let word = |checked: &Result<Verdict, landfall_verify::Refusal>| match checked {
        Ok(Verdict::Verified(_)) => "verified".to_owned(),
        Ok(Verdict::Challenge(answer)) => format!("{answer:?}"),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(word(&whole), word(&fed));
}

fn request(method: u8, rest: &[u8]) -> Option<Unverified> {
    let methods = [Method::POST, Method::GET, Method::HEAD, Method::OPTIONS];
    let mut headers = HeaderMap::new();
    let (mut path, mut query) = ("/in".to_owned(), None);
    let mut rest = rest;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = &line[colon + 1..];
        match &line[..colon] {
            b"?" => query = Some(String::from_utf8(value.to_vec()).ok()?),
            b"/" => path = format!("/{}", String::from_utf8(value.to_vec()).ok()?),
            name => drop(headers.append(
                HeaderName::from_bytes(name).ok()?,
                HeaderValue::from_bytes(value).ok()?,
            )),
        }
    }
    let method = methods[usize::from(method) % methods.len()].clone();
    Some(Unverified {
        method,
        path,
        query,
        params: Vec::new(),
        headers,
        body: Bytes::copy_from_slice(rest),
        decoded: None,
    })
}
