//! Tests of `[verify]` tables.

use super::*;

#[test]
fn mistakes_in_verify_fail_to_load() {
    for (toml, key, words) in [
        (
            "provider = \"githb\"\nsecret = \"env:S\"",
            "provider",
            "did you mean `github`?",
        ),
        ("provider = \"aws-sns\"", "config", "topic_arns"),
        (
            "provider = \"aws-sns\"\nconfig = { topic_arns = [\"arn:aws:sns:*\"] }",
            "config",
            "topic_arns",
        ),
        (
            "provider = \"slack\"\nsecret = \"env:S\"\nchallenge = [{ query = \"c\", verify_first = false, answer = { text = \"{hmac-sha256-hex query:c}\" } }]",
            "challenge",
            "verify_first must stay on",
        ),
        (
            "provider = \"slack\"\nsecret = \"env:S\"\nchallenge = [{ query = \"x\", answer = { headers = { Content-Length = \"5\" } } }]",
            "challenge",
            "written by the host",
        ),
        (
            "scheme = \"signature\"\npayload = [\"{header:bad name}\"]\nsecret = \"env:S\"",
            "payload",
            "not a header name",
        ),
        (
            "provider = \"square\"\nsecret = \"env:S\"",
            "config",
            "config = { notification_url = ",
        ),
        (
            "provider = \"hubspot\"\nsecret = \"env:S\"",
            "scheme",
            "public_url is missing",
        ),
        (
            "scheme = \"signature\"\npayload = [\"{bdy}\"]\nsecret = \"env:S\"",
            "payload",
            "unknown token `{bdy}`",
        ),
        (
            "scheme = \"signature\"\npayload = [\"x\"]\nsecret = \"env:S\"",
            "payload",
            "nothing of the request is signed",
        ),
        (
            "scheme = \"jwt\"\nfrom = { header = \"A\" }\njwt = { algorithms = [\"none\"] }\nsecret = \"env:S\"",
            "jwt",
            "cannot be used",
        ),
        (
            "scheme = \"jwt\"\nfrom = { header = \"A\" }\njwt = { algorithms = [\"RS256\"] }\nsecret = \"env:S\"",
            "jwt",
            "never mixed",
        ),
        (
            "provider = \"hubspot\"\nsecret = \"env:S\"\nurl = \"hooks.example.com\"",
            "url",
            "must be the whole URL",
        ),
        (
            "provider = \"hubspot\"\nsecret = \"env:S\"\nurl = \"https://a.example\"\npublic_url = \"https://a.example\"",
            "url",
            "exclude each other",
        ),
        (
            "provider = \"github\"\nsecret = \"env:S\"\ntimestamp = { from = { header = \"T\" } }",
            "timestamp",
            "unit is missing",
        ),
        (
            "provider = \"stripe\"\nsecret = \"env:S\"\nlist = { timestamp_first = true }",
            "list",
            "timestamp and timestamp_first exclude each other",
        ),
        (
            "provider = \"github\"\nsecret = \"env:S\"\nlist = { separator = \",\", labels = [\"v1\"] }",
            "list",
            "assign is missing",
        ),
        (
            "secret = \"env:S\"",
            "scheme",
            "provider or scheme is missing",
        ),
        (
            "provider = \"github\"",
            "secret",
            "a secret reference is missing",
        ),
        (
            "scheme = \"token\"\nsecret = \"env:S\"",
            "scheme",
            "from is missing",
        ),
        (
            "scheme = \"none\"\nsecret = \"env:S\"",
            "secret",
            "means nothing",
        ),
        (
            "scheme = \"basic\"\nprefix = \"x\"\nsecret = \"env:S\"",
            "prefix",
            "means nothing",
        ),
        (
            "scheme = \"token\"\nfrom = { json = \"token\" }\nsecret = \"env:S\"",
            "from",
            "not a JSON pointer",
        ),
        (
            "scheme = \"token\"\nfrom = { header = \"a b\" }\nsecret = \"env:S\"",
            "from",
            "not a header name",
        ),
    ] {
        let error =
            Verifier::build(&toml::from_str(toml).unwrap(), &Packs::default()).expect_err(toml);
        assert_eq!(error.key, key, "{toml}");
        assert!(error.message.contains(words), "{toml}: {}", error.message);
    }
}

#[test]
fn schemes_without_provider_use_generic_defaults() {
    let signature = verifier("scheme = \"signature\"\nsecret = \"env:S\"");
    let AuthScheme::Signature(signature) = signature.auth_scheme() else {
        panic!("{:?}", signature.auth_scheme())
    };

    assert_eq!(
        signature.from,
        [ValueLocation::Header("X-Signature".into())]
    );
}

#[test]
fn a_hook_overrides_single_fields() {
    let headers = |time: &str, key: &[u8]| {
        let digest = crate::algorithm::mac(
            landfall_model::Algorithm::HmacSha256,
            key,
            format!("{time}.{{}}").as_bytes(),
        );

        request(
            &[(
                "stripe-signature",
                &format!("t={time},v1={}", hex::encode(digest)),
            )],
            None,
            "{}",
        )
    };

    let longer = of("stripe", "timestamp = { past = \"2h\" }");
    verified(check(&longer, headers("1759995000", b"k"), &values(&["k"])));
    assert_eq!(
        reason(check(&longer, headers("1759992000", b"k"), &values(&["k"]))),
        "timestamp_too_old"
    );

    assert_eq!(
        reason(check(&longer, headers("1760001000", b"k"), &values(&["k"]))),
        "timestamp_in_future"
    );

    assert_eq!(
        reason(check(
            &of("stripe", ""),
            headers("1759995000", b"k"),
            &values(&["k"])
        )),
        "timestamp_too_old"
    );
}

#[test]
fn another_scheme_takes_no_pack_fields() {
    let token = verifier(
        "provider = \"stripe\"\nscheme = \"token\"\nfrom = { header = \"X\" }\nsecret = \"env:S\"",
    );

    verified(check(
        &token,
        request(&[("x", "s3")], None, ""),
        &values(&["s3"]),
    ));
}

#[test]
fn rules_without_effect_are_refused() {
    let refused = |text: &str| {
        let spec = toml::from_str(text).unwrap();
        Verifier::build(&spec, &Packs::default())
            .err()
            .map(|error| error.message)
            .unwrap_or_default()
    };

    let jwt = |rules: &str| {
        format!(
            "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = {{ header = \"Authorization\" }}\n[jwt]\n{rules}"
        )
    };

    let shared = "algorithms = [\"HS256\"]\n";
    assert_eq!(refused(&jwt(shared)), "");
    assert!(
        refused(&jwt(&format!("{shared}body_hash_if_body = true")))
            .contains("body_hash is missing")
    );

    assert!(refused(&jwt(&format!("{shared}claims = {{ aud = [] }}"))).contains("allows nothing"));
    let set = "algorithms = [\"RS256\"]\njwks = \"https://issuer.example/keys\"\n";
    assert!(refused(&jwt(set)).contains("claims is missing"));

    assert_eq!(
        refused(&jwt(&format!(
            "{set}claims = {{ iss = \"https://issuer.example\" }}"
        ))),
        ""
    );

    for address in [
        "http://127.0.0.1.evil.example/k",
        "http://127.0.0.1@evil.example/k",
        "https://",
    ] {
        let rules =
            format!("algorithms = [\"RS256\"]\njwks = \"{address}\"\nclaims = {{ iss = \"i\" }}");
        assert!(
            refused(&jwt(&rules)).contains("must begin with"),
            "{address}"
        );
    }
}

#[test]
fn code_schemes_say_what_they_prove() {
    for (provider, more, kind) in [
        ("twilio", "", "signature"),
        ("stripe", "", "signature"),
        ("monday", "config = { audience = \"a\" }", "jwt"),
        ("gitlab", "", "token"),
        ("basic-auth", "", "basic"),
        ("contentful", "", "signature"),
    ] {
        assert_eq!(of(provider, more).auth_scheme().kind(), kind, "{provider}");
    }
}

#[test]
fn unset_window_sides_keep_defaults() {
    let spec = "scheme = \"http-message-signatures\"\nsecret = \"env:S\"\nalgorithm = \"hmac-sha256\"\npublic_url = \"https://a.example\"\ntimestamp = { future = \"2m\" }";
    let window = Verifier::build(&toml::from_str(spec).unwrap(), &Packs::default())
        .unwrap()
        .window;
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));

    assert_eq!((window.past, window.future), (minutes(5), minutes(2)));
}

#[test]
fn twilio_needs_a_public_url() {
    let build = |more: &str| {
        let spec: VerifySpec = toml::from_str(&format!(
            "provider = \"twilio\"\nsecret = \"env:S\"\n{more}"
        ))
        .unwrap();

        Verifier::build(&spec, &Packs::default()).map_err(|error| (error.key, error.message))
    };

    let (key, message) = build("").unwrap_err();
    assert_eq!(key, "public_url");
    assert!(message.contains("public_url is missing"), "{message}");
    let url = "public_url = \"https://hooks.example.com\"";
    assert!(build(url).is_ok() && build(&format!("{url}\nalgorithm = \"hmac-sha256\"")).is_ok());

    assert_eq!(
        build(&format!("{url}\nalgorithm = \"hmac-sha512\""))
            .unwrap_err()
            .0,
        "algorithm"
    );
}

#[test]
fn the_whole_url_is_signed() {
    let order = |url: &str, query: Option<&'static str>| {
        let verifier = verifier(&format!(
            "provider = \"hubspot\"\nsecret = \"env:S\"\nurl = \"{url}\""
        ));

        let signed = |text: &str| {
            use base64::Engine as _;

            let text = format!("POST{text}{{}}1760000000000");
            STANDARD.encode(crate::algorithm::mac(
                landfall_model::Algorithm::HmacSha256,
                b"k",
                text.as_bytes(),
            ))
        };

        move |text: &str| {
            let headers = [
                ("x-hubspot-signature-v3", signed(text)),
                ("x-hubspot-request-timestamp", "1760000000000".into()),
            ];

            let headers = headers
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));

            check(&verifier, request(&headers, query, "{}"), &values(&["k"])).is_ok()
        }
    };

    assert!(order("https://a.example/in", None)("https://a.example/in"));
    assert!(order("https://a.example/in", Some("x=1"))(
        "https://a.example/in?x=1"
    ));
    assert!(order("https://a.example/in?y=2", None)(
        "https://a.example/in?y=2"
    ));
    assert!(order("https://a.example/in?y=2", Some("y=2"))(
        "https://a.example/in?y=2"
    ));

    assert!(
        !order("https://a.example/in?y=2", Some("x=1"))("https://a.example/in?y=2"),
        "x is not signed"
    );

    assert!(!order("https://a.example/in", None)(
        "https://a.example/in/x"
    ));
}
