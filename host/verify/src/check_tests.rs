//! Tables over the check.

use std::time::{Duration, Instant, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::pack::Packs;
use landfall_model::VerifySpec;

fn verifier(toml: &str) -> Verifier {
    Verifier::build(
        &toml::from_str::<VerifySpec>(toml).unwrap(),
        &Packs::default(),
    )
    .unwrap()
}

/// With these secrets, at the time that request vectors like.
fn check(
    verifier: &Verifier,
    request: Unverified,
    secrets: &[Result<Secret, SecretError>],
) -> Result<Verdict, Refusal> {
    let keys = Keys::new(
        secrets
            .iter()
            .map(|secret| (verifier.key_form(), secret.clone())),
    );

    let now = Some(UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    super::check(
        verifier,
        request,
        &VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now,
        },
        None,
    )
}

fn reason<T: std::fmt::Debug>(checked: Result<T, Refusal>) -> &'static str {
    checked.unwrap_err().reason.word()
}

fn request(headers: &[(&str, &str)], query: Option<&str>, body: &str) -> Unverified {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }

    Unverified {
        method: http::Method::POST,
        path: "/x".into(),
        query: query.map(Into::into),
        params: Vec::new(),
        headers: map,
        body: body.to_owned().into(),
        decoded: None,
    }
}

fn values(texts: &[&str]) -> Vec<Result<Secret, SecretError>> {
    texts.iter().map(|text| Ok(Secret::new(*text))).collect()
}

fn verified(checked: Result<Verdict, Refusal>) -> Verified {
    match checked {
        Ok(Verdict::Verified(verified)) => verified,
        other => panic!("not verified: {other:?}"),
    }
}

const TOKEN: &str = "scheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = \"env:S\"";

#[test]
fn a_token_is_compared_and_taken_out() {
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
fn a_token_may_be_in_the_query_or_the_body() {
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
fn secrets_rotate_and_missing_ones_close_the_hook() {
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
fn no_verify_is_closed_and_open_is_explicit() {
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
fn a_challenge_is_answered_after_the_proof_and_an_ordinary_event_is_not_one() {
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

    let rule = "[[challenge]]\njson = \"/ping/id\"\nverify_first = false\nanswer = { text = \"{json:/ping/id}\" }";
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
fn github_facts_come_from_the_pack() {
    let github = verifier("provider = \"github\"\nsecret = \"env:S\"");
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [
        ("x-hub-signature-256", signature),
        ("x-github-event", "push"),
        ("x-github-delivery", "d-1"),
    ];

    let request = request(&headers, None, "Hello, World!");
    let event = verified(check(
        &github,
        request,
        &values(&["It's a Secret to Everybody"]),
    ));

    assert_eq!(event.fact("provider"), Some("github"));
    assert_eq!(event.fact("event-type"), Some("push"));
    assert_eq!(event.fact("delivery-id"), Some("d-1"));
}

#[test]
fn mistakes_in_a_verify_table_are_found_at_load() {
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
fn a_scheme_without_a_provider_takes_the_generic_defaults() {
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
fn a_secret_in_the_path_reaches_no_component() {
    let hub = verifier("provider = \"docker-hub\"\nsecret = \"env:S\"");
    let mut asked = request(&[], None, "{}");
    asked.path = "/dh/s3".into();
    let verified = verified(check(&hub, asked, &values(&["s3"])));

    let attributes = vec![
        ("param:secret".to_owned(), "s3".to_owned()),
        ("param:x".to_owned(), "y".to_owned()),
    ];

    let event = verified.into_event(&"dh".parse().unwrap(), UNIX_EPOCH, attributes);
    assert_eq!(event.path, "/dh/-");
    assert!(!format!("{event:?}").contains("s3"), "{event:?}");
}

#[test]
fn a_time_outside_the_window_says_by_how_much() {
    let slack = verifier("provider = \"slack\"\nsecret = \"env:S\"");
    let signature = format!("v0={}", "0".repeat(64));
    let ask = |time: &str| {
        let headers = [
            ("x-slack-signature", signature.as_str()),
            ("x-slack-request-timestamp", time),
        ];

        check(&slack, request(&headers, None, ""), &values(&["s"]))
            .unwrap_err()
            .to_string()
    };

    assert_eq!(
        ask("1759999000"),
        "the timestamp is 1000 s old: at most 600 s are taken"
    );

    assert_eq!(
        ask("1760000301"),
        "the timestamp is 301 s ahead: at most 300 s are taken; check the clock"
    );

    assert_eq!(ask("soon"), "the timestamp is not a number of unix time");
}

/// As the pack of that name says, with a secret that is known to the test.
fn of(provider: &str, more: &str) -> Verifier {
    verifier(&format!(
        "provider = \"{provider}\"\nsecret = \"env:S\"\npublic_url = \"https://a.example\"\n{more}"
    ))
}

fn get(query: &str) -> Unverified {
    Unverified {
        method: http::Method::GET,
        ..request(&[], Some(query), "")
    }
}

#[test]
fn what_anybody_can_have_signed_is_no_delivery() {
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
fn signed_challenges_pass_for_no_delivery() {
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
fn a_sender_cannot_make_the_check_dear() {
    let headers = |list: &str| {
        let zeros = "0".repeat(64);
        let mut asked = request(
            &[
                ("x-contentful-signature", &zeros),
                ("x-contentful-timestamp", "1760000000000"),
            ],
            None,
            "",
        );

        asked.headers.insert(
            "x-contentful-signed-headers",
            HeaderValue::from_str(list).unwrap(),
        );

        asked
    };

    let own = "x-contentful-signed-headers,x-contentful-timestamp";
    for more in [",x".repeat(14_000), ",x-contentful-timestamp".into()] {
        let refused = check(
            &of("contentful", ""),
            headers(&format!("{own}{more}")),
            &values(&["k"]),
        );

        assert_eq!(reason(refused), "malformed_signature");
    }

    let many = format!("[{}0]", "{\"\":0},".repeat(100_000));
    assert_eq!(
        reason(check(
            &of("figma", ""),
            request(&[], None, &many),
            &values(&["k"])
        )),
        "malformed_body"
    );
}

#[test]
fn a_body_that_is_not_read_is_not_an_empty_one() {
    let mandrill = of(
        "mandrill",
        "config = { webhook_url = \"https://a.example/x\" }",
    );

    let url_alone = STANDARD.encode(crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha1,
        b"k",
        b"https://a.example/x",
    ));

    for body in ["evil=1&".repeat(1_300_000), "a=%FF".into()] {
        let asked = request(&[("x-mandrill-signature", &url_alone)], None, &body);
        assert_eq!(
            reason(check(&mandrill, asked, &values(&["k"]))),
            "malformed_body"
        );
    }

    let twilio = of("twilio", "");
    let digest = crate::algorithm::sha256_hex(b"{}");
    let url = format!("https://a.example/x?bodySHA256={digest}");

    let signature = STANDARD.encode(crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha1,
        b"k",
        url.as_bytes(),
    ));

    let ask = |content_type: &str, body: &str| {
        let headers = [
            ("x-twilio-signature", signature.as_str()),
            ("content-type", content_type),
        ];

        check(
            &twilio,
            request(&headers, Some(&format!("bodySHA256={digest}")), body),
            &values(&["k"]),
        )
    };

    verified(ask("application/json", "{}"));
    assert_eq!(reason(ask("application/json", "")), "body_hash_mismatch");
    assert_eq!(
        reason(ask("application/x-www-form-urlencoded", "&=&=")),
        "body_hash_mismatch"
    );
}

#[test]
fn an_id_does_not_reach_into_the_time() {
    let svix = of("svix", "");
    let key = b"key";

    // Signed for id `msg`, time T and body `1760000000.hello`.
    let signed = crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha256,
        key,
        b"msg.1700000000.1760000000.hello",
    );

    let signature = format!("v1,{}", STANDARD.encode(signed));
    let headers = [
        ("svix-id", "msg.1700000000"),
        ("svix-timestamp", "1760000000"),
        ("svix-signature", signature.as_str()),
    ];

    assert_eq!(
        reason(check(
            &svix,
            request(&headers, None, "hello"),
            &values(&["whsec_a2V5"])
        )),
        "signature_mismatch"
    );
}

#[test]
fn an_id_that_nothing_ends_is_a_plain_token() {
    let twitch = of("twitch", "");
    let whole = b"m12025-10-09T08:53:20Z{\"at\":\"2025-10-09T08:53:20Z\",\"x\":1}";
    let signature = format!(
        "sha256={}",
        hex::encode(crate::algorithm::mac(
            landfall_model::Algorithm::HmacSha256,
            b"k",
            whole
        ))
    );

    let ask = |id: &str, time: &str, body: &str| {
        let headers = [
            ("twitch-eventsub-message-id", id),
            ("twitch-eventsub-message-timestamp", time),
            ("twitch-eventsub-message-signature", signature.as_str()),
        ];

        check(&twitch, request(&headers, None, body), &values(&["k"]))
    };

    verified(ask(
        "m1",
        "2025-10-09T08:53:20Z",
        "{\"at\":\"2025-10-09T08:53:20Z\",\"x\":1}",
    ));

    let shifted = ask(
        "m12025-10-09T08:53:20Z{\"at\":\"",
        "2025-10-09T08:53:20Z",
        "\",\"x\":1}",
    );

    assert_eq!(reason(shifted), "signature_mismatch");
}

#[test]
fn braces_in_texts_are_no_objects_and_forms_have_a_bound() {
    let figma = of("figma", "");
    let body = format!(
        "{{\"passcode\":\"k\",\"comment\":\"{}\"}}",
        "{".repeat(60_000)
    );

    verified(check(&figma, request(&[], None, &body), &values(&["k"])));
    let mandrill = of(
        "mandrill",
        "config = { webhook_url = \"https://a.example/x\" }",
    );

    let asked = request(
        &[("x-mandrill-signature", &STANDARD.encode([0; 20]))],
        None,
        &"a&".repeat(20_000),
    );

    assert_eq!(
        reason(check(&mandrill, asked, &values(&["k"]))),
        "malformed_body"
    );
}

#[test]
fn times_are_read_as_the_provider_writes_them() {
    let zendesk = of("zendesk", "");
    let signature = STANDARD.encode([0; 32]);
    for (time, expected) in [
        ("2025-10-09T08:53:20Z", "signature_mismatch"),
        ("2025-10-08T08:53:20.123456789+02:00", "timestamp_too_old"),
        ("20251009T085320Z", "malformed_timestamp"),
        ("2025-10-09 08:53:20Z", "malformed_timestamp"),
        ("2025-10-09T08:53:20+00:00[UTC]", "malformed_timestamp"),
        ("2025-10-09T08:53Z", "malformed_timestamp"),
        ("2025-10-09T08:53:20.Z", "malformed_timestamp"),
    ] {
        let headers = [
            ("x-zendesk-webhook-signature", signature.as_str()),
            ("x-zendesk-webhook-signature-timestamp", time),
        ];
        assert_eq!(
            reason(check(
                &zendesk,
                request(&headers, None, "{}"),
                &values(&["k"])
            )),
            expected,
            "{time}"
        );
    }
}

/// Not a bound in seconds: the ratio of two medians taken in turns, over rounds of which one must be fair.
#[test]
fn the_time_of_a_token_comparison_does_not_tell_where_it_differs() {
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

#[test]
fn an_event_of_discord_is_no_ping_although_both_have_type_1() {
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
fn json_of_many_parts_in_a_form_field_is_not_read() {
    let dropbox = verifier("provider = \"dropbox-sign\"\nsecret = \"env:S\"");
    let json = format!("[{}1]", r#"{"":{}},"#.repeat(100_000));
    let body =
        format!("--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--b--\r\n");

    let request = request(
        &[("Content-Type", "multipart/form-data; boundary=b")],
        None,
        &body,
    );

    let refusal = check(&dropbox, request, &values(&["s"])).unwrap_err();
    assert!(
        refusal.detail.contains("more parts than a check reads"),
        "{refusal}"
    );
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
fn a_date_may_end_what_is_signed() {
    let klaviyo = of("klaviyo", "");
    let (date, body) = ("Thu, 09 Oct 2025 08:53:20 GMT", "{\"data\":[]}");
    let signed = format!("{body}{date}");

    let signature = hex::encode(crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha256,
        b"s",
        signed.as_bytes(),
    ));

    let send = |date: &str, body: &str| {
        let headers = [
            ("Klaviyo-Signature", &*signature),
            ("Klaviyo-Timestamp", date),
        ];

        check(&klaviyo, request(&headers, None, body), &values(&["s"]))
    };

    verified(send(date, body));
    assert_eq!(
        reason(send(&format!("}}{date}"), "{\"data\":[]")),
        "signature_mismatch"
    );
}

/// A token of HS256 with these claims.
fn token(claims: serde_json::Value, key: &[u8]) -> String {
    let part = |value: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value);
    let signed = format!(
        "{}.{}",
        part(r#"{"alg":"HS256"}"#.into()),
        part(claims.to_string())
    );

    let mac = crate::algorithm::mac(
        landfall_model::Algorithm::HmacSha256,
        key,
        signed.as_bytes(),
    );

    format!(
        "{signed}.{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac)
    )
}

#[test]
fn tokens_without_bearer_are_refused() {
    let pubsub = of(
        "google-pubsub",
        "config = { audience = \"a\", service_account = \"s\" }",
    );

    let asked = |value: &str| {
        check(
            &pubsub,
            request(&[("authorization", value)], None, "{}"),
            &[],
        )
    };

    let any = token(serde_json::json!({ "aud": "a" }), b"k");
    assert_eq!(reason(asked(&any)), "malformed_signature");

    // With the prefix, the token itself is judged.
    assert_eq!(
        reason(asked(&format!("Bearer {any}"))),
        "algorithm_not_allowed"
    );

    let own = "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { header = \"Authorization\" }\nprefix = \"Bearer \"\n\
               jwt = { algorithms = [\"HS256\"]PREFIX }";
    let good = token(serde_json::json!({ "exp": 1_760_000_060 }), b"k");

    for (more, value, is_accepted) in [
        ("", good.clone(), false),
        ("", format!("Bearer {good}"), true),
        ("", format!("bearer {good}"), true),
        ("", format!("JWT {good}"), false),
        (", prefix_optional = true", good.clone(), true),
    ] {
        let verifier = verifier(&own.replace("PREFIX", more));
        let checked = check(
            &verifier,
            request(&[("authorization", &value)], None, ""),
            &values(&["k"]),
        );
        assert_eq!(checked.is_ok(), is_accepted, "{value}");
    }
}

#[test]
fn query_string_hash_covers_the_request() {
    // Computed by atlassian-jwt 2.0.3 for POST and this URL.
    const QSH: &str = "d1b51be8cb322b7abe13b770d0223828b0c988da70c79699662c45536e626253";

    let connect = |more: &str| of("jira-connect", more);
    let claims = serde_json::json!({ "iss": "client", "iat": 1_760_000_000, "exp": 1_760_000_180, "qsh": QSH });
    let header = format!("JWT {}", token(claims, b"install"));
    let query = "b=2&a=x%20y&a=%C3%A9&jwt=ignored&c=%2A%27%7E";

    let asked = |method: http::Method, path: &str, query: &str| {
        let headers = [
            ("authorization", header.as_str()),
            ("x-atlassian-webhook-identifier", "1"),
        ];

        Unverified {
            method,
            path: path.into(),
            ..request(&headers, Some(query), "{}")
        }
    };

    let accept =
        |more: &str, request| check(&connect(more), request, &values(&["other", "install"]));
    let base = "config = { base_path = \"/hooks/\" }";

    let found = verified(accept(
        base,
        asked(http::Method::POST, "/hooks/jira&x/", query),
    ));

    assert_eq!(found.fact("delivery-id"), Some("client/1"));
    assert_eq!(found.fact("verified-by"), Some("jwt#2"));
    verified(accept(
        "",
        asked(http::Method::POST, "/jira&x", "c=*'~&b=2&a=%c3%a9&a=x+y"),
    ));

    for (method, path, query) in [
        (http::Method::PUT, "/jira&x", query.to_owned()),
        (http::Method::POST, "/jira", query.to_owned()),
        (http::Method::POST, "/other/jira&x", query.to_owned()),
        (http::Method::POST, "/jira&x", format!("{query}&d=1")),
        (http::Method::POST, "/jira&x", query.replace("b=2", "b=3")),
        (
            http::Method::POST,
            "/jira&x",
            query.replace("a=x%20y&a=%C3%A9", "a=x%20y%2C%C3%A9"),
        ),
    ] {
        assert_eq!(
            reason(accept("", asked(method, path, &query))),
            "url_hash_mismatch",
            "{path}?{query}"
        );
    }

    let bad = "provider = \"jira-connect\"\nsecret = \"env:S\"\nconfig = { base_path = \"x\" }";
    let spec = toml::from_str::<VerifySpec>(bad).unwrap();
    assert_eq!(
        Verifier::build(&spec, &Packs::default()).unwrap_err().key,
        "config"
    );
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
fn rules_that_bind_nothing_do_not_load() {
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
fn a_time_rule_keeps_the_other_side() {
    let spec = "scheme = \"http-message-signatures\"\nsecret = \"env:S\"\nalgorithm = \"hmac-sha256\"\npublic_url = \"https://a.example\"\ntimestamp = { future = \"2m\" }";
    let window = Verifier::build(&toml::from_str(spec).unwrap(), &Packs::default())
        .unwrap()
        .window;
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));

    assert_eq!((window.past, window.future), (minutes(5), minutes(2)));
}

#[test]
fn repeated_keys_beside_signed_parts_are_refused() {
    let ecwid = of("ecwid", "");
    let key = |text: &str| {
        crate::algorithm::mac(landfall_model::Algorithm::HmacSha256, b"k", text.as_bytes())
    };

    let signature = STANDARD.encode(key("1760000000.e1"));
    let send = |body: &str| {
        let headers = [("X-Ecwid-Webhook-Signature", signature.as_str())];
        check(&ecwid, request(&headers, None, body), &values(&["k"]))
    };

    verified(send(
        r#"{"eventCreated":1760000000,"eventId":"e1","storeId":1}"#,
    ));
    assert!(send(r#"{"eventCreated":1760000000,"eventId":"e2","eventId":"e1"}"#).is_err());
    assert!(send(r#"{"eventCreated":1760000000,"eventId":"e1","data":{"a":1,"a":2}}"#).is_err());

    // A signature over the whole body covers both values.
    let github = of("github", "");
    let body = r#"{"a":1,"a":2}"#;
    let signature = format!("sha256={}", hex::encode(key(body)));

    verified(check(
        &github,
        request(&[("X-Hub-Signature-256", &signature)], None, body),
        &values(&["k"]),
    ));
}
