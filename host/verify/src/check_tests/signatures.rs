//! Tests of scheme `signature`.

use super::*;

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
fn refused_times_name_their_distance() {
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
        "the timestamp is 1000 s old: at most 600 s are accepted"
    );

    assert_eq!(
        ask("1760000301"),
        "the timestamp is 301 s ahead: at most 300 s are accepted; check the clock"
    );

    assert_eq!(ask("soon"), "the timestamp is not a number of unix time");
}

#[test]
fn ids_cannot_extend_into_the_time() {
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
fn unterminated_ids_must_be_tokens() {
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
fn every_time_unit_is_parsed() {
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

#[test]
fn signed_text_may_end_with_dates() {
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
