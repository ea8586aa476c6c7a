use std::time::{Duration, UNIX_EPOCH};

use super::bodies::minify;
use super::*;
use crate::pack::Packs;
use crate::sign::sign;
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

/// Signs `body` with `key` and sends another body.
fn hint_for(provider: &str, key: &[u8], body: &str, sent: &str, secret: &str) -> Option<String> {
    let verifier = verifier(provider);
    let mut draft = Packs::default()
        .find(provider)
        .unwrap()
        .draft(None, "https://a.example/x", UNIX_EPOCH)
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
        minify(br#"{ "a \" b" : [ 1 , "c\\" ] }"#),
        br#"{"a \" b":[1,"c\\"]}"#
    );
}

/// Signs for the URL `signed` and checks with a hook that has the URL `configured`.
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
        .draft(None, "https://a.example/x", UNIX_EPOCH)
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
fn hints_name_other_url_spellings() {
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
        other
            .contains("is checked for https://a.example, and the request names the host b.example"),
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
            .draft(None, "https://a.example/x", UNIX_EPOCH)
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
        hinted(hex, "prefix = \"sha256=\"").contains("write encoding = \"hex\" and prefix = \"\"")
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
