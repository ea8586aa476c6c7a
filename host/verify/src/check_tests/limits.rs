//! Tests of the limits that protect the check from large and ambiguous bodies.

use super::*;

#[test]
fn the_cost_of_checks_is_bounded() {
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
fn unread_bodies_are_not_empty() {
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
fn large_forms_are_refused() {
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
fn large_json_form_fields_are_refused() {
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
fn duplicate_json_keys_are_refused() {
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
