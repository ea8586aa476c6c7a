//! Tests of scheme `jwt`.

use super::*;
use landfall_model::{DedupId, DedupSpec, IdMatch};

/// A token of HS256 with these claims.
fn token(claims: impl std::fmt::Display, key: &[u8]) -> String {
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

    // With the prefix, the token itself is checked.
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
fn rounded_claims_identify_nothing() {
    let own = "scheme = \"jwt\"\nsecret = \"env:S\"\nfrom = { header = \"Authorization\" }\nprefix = \"Bearer \"\n\
               jwt = { algorithms = [\"HS256\"] }";
    let dedup = DedupSpec {
        id: DedupId::At(serde_json::from_str("{\"claim\":\"/jti\"}").unwrap()),
        id_match: Some(IdMatch::Id),
        window: Duration::from_secs(60),
    };
    let order_by = ValueLocation::Claim("/jti".into());
    let own = verifier(own)
        .with_locations(&dedup, Some(order_by), "/x")
        .unwrap();

    for (jti, id) in [
        ("7", Some("7")),
        ("\"0.1\"", Some("0.1")),
        ("0.1", None),
        ("0.10000000000000000001", None),
        ("1e0", None),
        ("18446744073709551615", Some("18446744073709551615")),
        ("18446744073709551616", None),
    ] {
        let claims = format!("{{\"exp\":1760000060,\"jti\":{jti}}}");
        let value = format!("Bearer {}", token(claims, b"k"));
        let asked = request(&[("authorization", &value)], None, "");
        let event = verified(check(&own, asked, &values(&["k"])));
        assert_eq!(event.fact("delivery-id"), id, "{jti}");
        assert_eq!(event.fact("order-key"), id, "{jti}");
        assert_eq!(event.delivery_key().is_some(), id.is_some(), "{jti}");
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
