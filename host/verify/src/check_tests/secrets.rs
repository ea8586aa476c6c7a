//! Tests of shared secrets: tokens, basic credentials, rotation.

use super::*;

#[test]
fn tokens_are_compared_and_removed() {
    let check = |headers: &[(&str, &str)]| {
        check(
            &verifier(TOKEN),
            request(headers, None, ""),
            &values(&["s3"]),
        )
    };

    let event = verified(check(&[("secret", "s3"), ("x", "y")]));
    assert!(
        event.request().headers.get("secret").is_none()
            && event.request().headers.contains_key("x")
    );

    assert_eq!(event.fact("verified-by"), Some("token#1"));
    assert_eq!(event.fact("verified-by-scheme"), Some("token"));
    assert_eq!(
        check(&[]).unwrap_err().to_string(),
        "token missing (header Secret)"
    );

    assert_eq!(reason(check(&[("secret", "s4")])), "token_mismatch");
    assert_eq!(reason(check(&[("secret", "")])), "missing_token");
    assert_eq!(
        reason(check(&[("secret", "s3"), ("secret", "s3")])),
        "duplicate_header"
    );
}

#[test]
fn tokens_in_query_or_body_pass() {
    let query = verifier("scheme = \"token\"\nfrom = { query = \"key\" }\nsecret = \"env:S\"");
    let event = verified(check(
        &query,
        request(&[], Some("a=1&key=s%33"), ""),
        &values(&["s3"]),
    ));

    assert_eq!(event.request().query.as_deref(), Some("a=1"));
    let json =
        verifier("scheme = \"token\"\nfrom = { json = \"/auth/token\" }\nsecret = \"env:S\"");

    verified(check(
        &json,
        request(&[], None, r#"{"auth":{"token":"s3"}}"#),
        &values(&["s3"]),
    ));

    for body in [
        "",
        "{",
        r#"{"auth":{"token":3}}"#,
        r#"{"auth":{"token":"s"}}"#,
    ] {
        assert!(
            check(&json, request(&[], None, body), &values(&["s3"])).is_err(),
            "{body}"
        );
    }
}

#[test]
fn hooks_without_secret_values_are_closed() {
    let two = verifier(
        "scheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = [\"env:OLD\", \"env:NEW\"]",
    );
    let gone = || Err(SecretError::NotSet("OLD".into()));
    let ask = |secrets: &[_]| check(&two, request(&[("secret", "new")], None, ""), secrets);

    assert_eq!(
        verified(ask(&[Ok(Secret::new("old")), Ok(Secret::new("new"))])).fact("verified-by"),
        Some("token#2")
    );

    verified(ask(&[gone(), Ok(Secret::new("new"))]));
    let refusal = ask(&[gone(), gone()]).unwrap_err();
    assert!(
        refusal.is_ours() && refusal.to_string().contains("OLD"),
        "{refusal}"
    );
}

#[test]
fn hooks_are_closed_by_default() {
    let closed = Verifier::build(&VerifySpec::default(), &Packs::default()).unwrap();
    assert_eq!(
        reason(check(&closed, request(&[], None, "{}"), &[])),
        "closed"
    );

    let open = verifier("scheme = \"none\"");
    assert_eq!(
        verified(check(&open, request(&[], None, "{}"), &[])).fact("verified-by"),
        Some("none")
    );
}

#[test]
fn path_secrets_reach_no_component() {
    let hub = verifier("provider = \"docker-hub\"\nsecret = \"env:S\"");
    let mut asked = request(&[], None, "{}");
    asked.path = "/dh/s3".into();
    let verified = verified(check(&hub, asked, &values(&["s3"])));

    let attributes = vec![
        ("param:secret".to_owned(), "s3".to_owned()),
        ("param:rest".to_owned(), "a/s3".to_owned()),
        ("param:x".to_owned(), "y".to_owned()),
    ];

    let event = verified.into_event(&"dh".parse().unwrap(), UNIX_EPOCH, attributes);
    assert_eq!(event.path, "/dh/-");
    assert_eq!(event.attribute("param:rest"), Some("a/-"));
    assert!(!format!("{event:?}").contains("s3"), "{event:?}");
}

/// Not a bound in seconds: the ratio of two medians taken in turns, over rounds of which one must
/// be fair.
#[test]
fn token_comparison_takes_constant_time() {
    let secret = vec![b'a'; 4096];
    let differing = |at: usize| {
        let mut token = secret.clone();
        token[at] = b'b';
        token
    };

    let (first, last) = (differing(0), differing(4095));
    let ratio = || {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..4000 {
            let which = round % 2;
            let started = Instant::now();
            std::hint::black_box(same_text(
                std::hint::black_box([&first, &last][which]),
                &secret,
            ));

            times[which].push(started.elapsed().as_nanos() as f64);
        }

        let [first, last] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });

        last / first
    };

    let ratios: Vec<f64> = (0..5).map(|_| ratio()).collect();
    assert!(
        ratios.iter().any(|ratio| (0.97..1.03).contains(ratio)),
        "{ratios:?}"
    );
}
