//! What the rules of a hook require of a signature.

use super::*;
use crate::auth_scheme::AuthScheme;

const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----";

#[test]
fn default_covers_method_target_and_body() {
    let accept =
        |rules: &str, request| verdict(&format!("{HMAC}{rules}"), &["key"], request, CREATED);
    let with_url = "public_url = \"https://hooks.example.com/prefix\"\n";
    assert_eq!(accept("", signed(HMAC, b"key", |_| {})), Ok(()));

    assert_eq!(
        accept(
            with_url,
            signed(&format!("{HMAC}{with_url}"), b"key", |_| {})
        ),
        Ok(())
    );

    assert_eq!(
        accept("", signed(HMAC, b"other", |_| {})),
        Err(Reason::SignatureMismatch)
    );

    for (components, expected) in [
        (
            r#"["@method", "@authority", "@path", "@query", "content-digest"]"#,
            Ok(()),
        ),
        (
            r#"["@method", "@authority", "@request-target", "content-digest"]"#,
            Ok(()),
        ),
        (
            r#"["@method", "@authority", "@path", "content-digest"]"#,
            Err(Reason::UnsupportedSignatureVersion),
        ),
        (
            r#"["@method", "@path", "@query", "content-digest"]"#,
            Err(Reason::UnsupportedSignatureVersion),
        ),
        (
            r#"["@authority", "@path", "@query", "content-digest"]"#,
            Err(Reason::UnsupportedSignatureVersion),
        ),
        (
            r#"["@method", "@authority", "@path", "@query"]"#,
            Err(Reason::BodyHashMissing),
        ),
    ] {
        let rules = format!("{HMAC}{URL}message_signature = {{ components = {components} }}\n");
        assert_eq!(
            accept("", signed(&rules, b"key", |_| {})),
            expected,
            "{components}"
        );
    }

    // Without a body there is no digest, and without a query no further component.
    let bare = signed(HMAC, b"key", |draft| {
        draft.body = Default::default();
        draft.query = None;
    });

    assert!(!bare.headers.contains_key(DIGEST));
    assert_eq!(accept("", bare), Ok(()));
}

#[test]
fn times_are_judged() {
    let at = |seconds: u64| verdict(HMAC, &["key"], signed(HMAC, b"key", |_| {}), seconds);
    assert_eq!(at(CREATED + 300), Ok(()));
    assert_eq!(at(CREATED + 301), Err(Reason::TimestampTooOld));
    assert_eq!(at(CREATED - 61), Err(Reason::TimestampInFuture));
    let longer = format!("{HMAC}timestamp = {{ unit = \"s\", past = \"1h\" }}\n");

    assert_eq!(
        verdict(
            &longer,
            &["key"],
            signed(HMAC, b"key", |_| {}),
            CREATED + 3600
        ),
        Ok(())
    );

    let with = |parameters: &str, now: u64| {
        let input = format!("sig1=(\"@method\"){parameters}");
        let list = input.split_once('=').unwrap().1;
        let base = format!("\"@method\": POST\n\"@signature-params\": {list}");
        let mac = STANDARD.encode(mac(Algorithm::HmacSha256, b"key", base.as_bytes()));

        let request = request(&[
            ("host", "example.com"),
            (INPUT, &input),
            (SIGNATURE, &format!("sig1=:{mac}:")),
        ]);

        let rules = format!("{HMAC}message_signature = {{ components = [\"@method\"] }}\n");
        verdict(&rules, &["key"], request, now)
    };

    assert_eq!(with(";created=1618884473", CREATED), Ok(()));
    assert_eq!(with("", CREATED), Err(Reason::MissingTimestamp));
    assert_eq!(
        with(";created=\"1618884473\"", CREATED),
        Err(Reason::MalformedTimestamp)
    );

    assert_eq!(
        with(";created=1618884473;expires=1618884480", CREATED),
        Ok(())
    );

    assert_eq!(
        with(";created=1618884473;expires=1618884480", CREATED + 10),
        Err(Reason::TimestampTooOld)
    );

    assert_eq!(
        with(";created=1618884473;alg=\"hmac-sha256\"", CREATED),
        Ok(())
    );

    assert_eq!(
        with(";created=1618884473;alg=\"ed25519\"", CREATED),
        Err(Reason::AlgorithmNotAllowed)
    );

    assert_eq!(
        with(";created=1618884473;alg=none", CREATED),
        Err(Reason::AlgorithmNotAllowed)
    );
}

#[test]
fn key_ids_choose_the_secret() {
    let rules = format!("{HMAC}message_signature = {{ key_ids = [\"a\", \"b\"] }}\n");
    let of = |id: &str, key: &[u8]| {
        signed(
            &format!("{HMAC}message_signature = {{ key_ids = [\"{id}\"] }}\n"),
            key,
            |_| {},
        )
    };

    let accept = |request| verdict(&rules, &["key-a", "key-b"], request, CREATED);
    assert_eq!(accept(of("a", b"key-a")), Ok(()));
    assert_eq!(accept(of("b", b"key-b")), Ok(()));
    assert_eq!(accept(of("a", b"key-b")), Err(Reason::SignatureMismatch));
    assert_eq!(accept(of("c", b"key-a")), Err(Reason::KeyUnavailable));

    assert_eq!(
        accept(signed(HMAC, b"key-a", |_| {})),
        Err(Reason::KeyUnavailable)
    );
}

#[test]
fn label_and_tag_select_the_signature() {
    let rules = |more: &str| format!("{HMAC}message_signature = {{ {more} }}\n");
    let ours = signed(&rules("label = \"ours\", tag = \"app\""), b"key", |_| {});
    assert_eq!(verdict(HMAC, &["key"], ours.clone(), CREATED), Ok(()));

    assert_eq!(
        verdict(&rules("label = \"ours\""), &["key"], ours.clone(), CREATED),
        Ok(())
    );

    assert_eq!(
        verdict(&rules("label = \"other\""), &["key"], ours.clone(), CREATED),
        Err(Reason::MissingSignature)
    );

    assert_eq!(
        verdict(&rules("tag = \"app\""), &["key"], ours.clone(), CREATED),
        Ok(())
    );

    assert_eq!(
        verdict(&rules("tag = \"other\""), &["key"], ours.clone(), CREATED),
        Err(Reason::AudienceMismatch)
    );

    // A proxy may add a signature of its own, before or after.
    let mut both = ours.clone();
    let theirs = signed(&rules("label = \"proxy\""), b"another key", |_| {});
    for name in [INPUT, SIGNATURE] {
        let [ours, theirs] =
            [&ours, &theirs].map(|one| one.headers[name].to_str().unwrap().to_owned());
        set(&mut both, name, &format!("{theirs}, {ours}"));
    }

    assert_eq!(verdict(HMAC, &["key"], both, CREATED), Ok(()));

    let mut many = ours;
    for number in 0..SIGNATURES_MAX {
        many.headers.append(
            INPUT,
            format!("s{number}=(\"@method\");created=1")
                .parse()
                .unwrap(),
        );
    }

    assert_eq!(
        verdict(HMAC, &["key"], many, CREATED),
        Err(Reason::MalformedSignature)
    );
}

#[test]
fn ed25519_signs_with_private_keys() {
    let rules = "algorithm = \"ed25519\"\nkey = \"pem\"\n";
    let AuthScheme::Provider(scheme) = verifier(rules, 1).auth_scheme().clone() else {
        panic!("a provider scheme");
    };
    let key = crate::schemes::private_key(&scheme, &Secret::new(ED25519_PRIVATE))
        .unwrap()
        .unwrap();
    let request = signed(rules, &key, |_| {});

    assert_eq!(verdict(rules, &[ED25519], request, CREATED), Ok(()));
    assert!(crate::schemes::private_key(&scheme, &Secret::new(ED25519)).is_err());

    // Example B.2.6 has its parameters in another order.
    let base = "\"@method\": POST\n\"@signature-params\": (\"@method\");created=1618884473";
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).unwrap();
    let public = pem_of(ED25519);

    assert!(is_made_by(
        Algorithm::Ed25519,
        &public,
        base.as_bytes(),
        pair.sign(base.as_bytes()).as_ref()
    ));
}

fn pem_of(text: &str) -> Vec<u8> {
    crate::certificate::pem_bytes(text, "PUBLIC KEY").unwrap()
}

#[test]
fn algorithms_and_key_ids_are_checked() {
    let key = |rules: &str| {
        let spec =
            format!("scheme = \"http-message-signatures\"\nsecret = \"env:S\"\n{URL}{rules}");
        let built = Verifier::build(
            &toml::from_str::<VerifySpec>(&spec).unwrap(),
            &Packs::default(),
        );

        built.map(drop).map_err(|error| error.key)
    };

    assert_eq!(key(""), Err("algorithm"));
    assert_eq!(key("algorithm = \"hmac-sha1\""), Err("algorithm"));
    let two = "message_signature = { key_ids = [\"a\", \"b\"] }";
    assert_eq!(key(&format!("{HMAC}{two}")), Err("message_signature"));
    assert_eq!(key(HMAC), Ok(()));
}
