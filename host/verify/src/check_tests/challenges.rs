//! Tests of ownership checks.

use super::*;

#[test]
fn challenges_are_answered_after_authentication() {
    let ask = |secret: &str, body: &str| {
        check(
            &verifier(TOKEN),
            request(&[("secret", secret)], None, body),
            &values(&["s3"]),
        )
    };

    match ask("s3", r#"{"type":"url_verification","challenge":"a\"b"}"#) {
        Ok(Verdict::Challenge(answer)) => {
            assert_eq!(answer.body.unwrap().1, r#"{"challenge":"a\"b"}"#)
        }
        other => panic!("{other:?}"),
    }

    assert_eq!(reason(ask("no", r#"{"challenge":"x"}"#)), "token_mismatch");
    for ordinary in [
        r#"{"challenge":"x","order":1}"#,
        r#"{"challenge":7}"#,
        r#"["challenge"]"#,
        "",
    ] {
        verified(ask("s3", ordinary));
    }

    let long = format!(r#"{{"challenge":"{}"}}"#, "x".repeat(2000));
    assert!(matches!(
        ask("s3", &long),
        Ok(Verdict::Challenge(Answer {
            status: 400,
            body: None,
            ..
        }))
    ));

    let rule = "[[challenge]]\njson = \"/ping/id\"\nverify_first = false\n\
                answer = { text = \"{json:/ping/id}\" }";
    let unsigned = verifier(&format!("{TOKEN}\n{rule}"));
    match check(
        &unsigned,
        request(&[], None, r#"{"ping":{"id":"7"}}"#),
        &values(&["s3"]),
    ) {
        Ok(Verdict::Challenge(answer)) => {
            assert_eq!(answer.body, Some(("text/plain; charset=utf-8", "7".into())))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn signed_challenge_tokens_are_not_deliveries() {
    let answered =
        |verifier: &Verifier, query: &str| match check(verifier, get(query), &values(&["k"])) {
            Ok(Verdict::Challenge(Answer {
                status: 200,
                body: Some((_, text)),
                ..
            })) => Some(text),
            _ => None,
        };

    let x = of("x-twitter", "");
    let token = answered(&x, "crc_token=12345").unwrap();
    let signature = token.split('"').nth(3).unwrap();

    let delivery = request(
        &[("x-twitter-webhooks-signature", signature)],
        None,
        "12345",
    );

    assert_eq!(
        reason(check(&x, delivery, &values(&["k"]))),
        "malformed_body"
    );

    let braintree = of("braintree", "config = { public_key = \"pk\" }");
    assert_eq!(
        answered(
            &braintree,
            "bt_challenge=PG5vdGlmaWNhdGlvbj48L25vdGlmaWNhdGlvbj4"
        ),
        None
    );

    assert_eq!(answered(&braintree, "bt_challenge=abc"), None);
    let payload = "20f9f8ed05f77439fe955c977e4c8a53";
    let signed = answered(&braintree, &format!("bt_challenge={payload}")).unwrap();

    let form = format!(
        "bt_signature={}&bt_payload={payload}",
        signed.replace('|', "%7C")
    );

    assert_eq!(
        reason(check(
            &braintree,
            request(&[], None, &form),
            &values(&["k"])
        )),
        "malformed_body"
    );
}

#[test]
fn signed_challenges_are_not_deliveries() {
    let linkedin = of("linkedin", "");
    for (challenge, body) in [("hmacsha256=12345", "12345"), ("hmacsha256=", "")] {
        let query = format!("challengeCode={}", challenge.replace('=', "%3D"));
        let Ok(Verdict::Challenge(answer)) = check(&linkedin, get(&query), &values(&["k"])) else {
            panic!("{challenge} is not answered");
        };

        let (_, text) = answer.body.unwrap();
        let signature =
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["challengeResponse"].clone();

        let delivery = request(
            &[("X-LI-Signature", signature.as_str().unwrap())],
            None,
            body,
        );

        assert_eq!(
            reason(check(&linkedin, delivery, &values(&["k"]))),
            "malformed_body",
            "{challenge}"
        );
    }
}

#[test]
fn discord_events_are_not_pings() {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let discord = verifier("provider = \"discord\"\nsecret = \"env:S\"");
    let send = |body: &str| {
        let signature = hex::encode(pair.sign(format!("1760000000{body}").as_bytes()));
        let headers = [
            ("X-Signature-Ed25519", &*signature),
            ("X-Signature-Timestamp", "1760000000"),
        ];

        check(
            &discord,
            request(&headers, None, body),
            &values(&[&hex::encode(pair.public_key())]),
        )
        .unwrap()
    };

    assert!(matches!(
        send(r#"{"type":1,"version":1}"#),
        Verdict::Challenge(Answer { status: 200, .. })
    ));

    assert!(matches!(
        send(r#"{"type":0,"version":1}"#),
        Verdict::Challenge(Answer { status: 204, .. })
    ));

    let event = r#"{"version":1,"type":1,"event":{"type":"APPLICATION_AUTHORIZED","data":{}}}"#;
    assert!(matches!(send(event), Verdict::Verified(_)));
}

#[test]
fn ebay_needs_its_verification_token() {
    let key = |toml: &str| {
        let spec = toml::from_str::<VerifySpec>(&format!(
            "provider = \"ebay\"\nsecret = \"env:S\"\n{toml}"
        ))
        .unwrap();

        Verifier::build(&spec, &Packs::default())
            .map(drop)
            .map_err(|error| error.key)
    };

    let token = "challenge_secret = \"env:T\"\n";
    let url = "public_url = \"https://hooks.example.com\"\n";
    assert_eq!(key(url), Err("challenge_secret"));
    assert_eq!(key(token), Err("public_url"));

    assert_eq!(
        key(&format!(
            "{token}config = {{ endpoint = \"https://a.example/x\" }}"
        )),
        Ok(())
    );

    assert_eq!(
        key(&format!(
            "{token}{url}config = {{ environment = \"test\" }}"
        )),
        Err("config")
    );

    let built = verifier(&format!(
        "provider = \"ebay\"\nsecret = \"env:S\"\n{token}{url}config = {{ environment = \"sandbox\" }}"
    ));

    assert_eq!(
        built.key_grant().unwrap().token_url,
        "https://api.sandbox.ebay.com/identity/v1/oauth2/token"
    );
}
