//! Tables over the check, and the request vectors of tests/vectors.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::*;
use crate::model::VerifySpec;

fn verifier(toml: &str) -> Verifier {
    Verifier::build(&toml::from_str::<VerifySpec>(toml).unwrap()).unwrap()
}

fn request(headers: &[(&str, &str)], query: Option<&str>, body: &str) -> Unverified {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Unverified {
        method: http::Method::POST,
        path: "/x".into(),
        query: query.map(Into::into),
        headers: map,
        body: body.to_owned().into(),
    }
}

fn values(texts: &[&str]) -> Vec<Result<Secret, SecretError>> {
    texts.iter().map(|text| Ok(Secret::new(*text))).collect()
}

fn verified(checked: Result<Checked, Refusal>) -> Verified {
    match checked {
        Ok(Checked::Verified(verified)) => verified,
        other => panic!("not verified: {other:?}"),
    }
}

const TOKEN: &str = "scheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = \"env:S\"";

#[test]
fn a_token_is_compared_and_taken_out() {
    let check = |headers: &[(&str, &str)]| check(&verifier(TOKEN), request(headers, None, ""), &values(&["s3"]));
    let event = verified(check(&[("secret", "s3"), ("x", "y")]));
    assert!(event.request().headers.get("secret").is_none() && event.request().headers.contains_key("x"));
    assert_eq!(event.fact("verified-by"), Some("token#1"));
    assert_eq!(check(&[]).unwrap_err(), Refusal::Missing("token (header Secret)".into()));
    assert_eq!(check(&[("secret", "s4")]).unwrap_err(), Refusal::Mismatch("token".into()));
    assert_eq!(check(&[("secret", "")]).unwrap_err(), Refusal::Missing("token (header Secret)".into()));
    assert!(matches!(check(&[("secret", "s3"), ("secret", "s3")]).unwrap_err(), Refusal::Duplicate(_)));
}

#[test]
fn a_token_may_be_in_the_query_or_the_body() {
    let query = verifier("scheme = \"token\"\nfrom = { query = \"key\" }\nsecret = \"env:S\"");
    let event = verified(check(&query, request(&[], Some("a=1&key=s%33"), ""), &values(&["s3"])));
    assert_eq!(event.request().query.as_deref(), Some("a=1"));
    let json = verifier("scheme = \"token\"\nfrom = { json = \"/auth/token\" }\nsecret = \"env:S\"");
    verified(check(&json, request(&[], None, r#"{"auth":{"token":"s3"}}"#), &values(&["s3"])));
    for body in ["", "{", r#"{"auth":{"token":3}}"#, r#"{"auth":{"token":"s"}}"#] {
        assert!(check(&json, request(&[], None, body), &values(&["s3"])).is_err(), "{body}");
    }
}

#[test]
fn secrets_rotate_and_missing_ones_close_the_hook() {
    let two = verifier("scheme = \"token\"\nfrom = { header = \"Secret\" }\nsecret = [\"env:OLD\", \"env:NEW\"]");
    let gone = || Err(SecretError::NotSet("OLD".into()));
    let ask = |secrets: &[_]| check(&two, request(&[("secret", "new")], None, ""), secrets);
    assert_eq!(verified(ask(&[Ok(Secret::new("old")), Ok(Secret::new("new"))])).fact("verified-by"), Some("token#2"));
    verified(ask(&[gone(), Ok(Secret::new("new"))]));
    let refusal = ask(&[gone(), gone()]).unwrap_err();
    assert!(refusal.is_ours() && refusal.to_string().contains("OLD"), "{refusal}");
}

#[test]
fn no_verify_is_closed_and_open_is_explicit() {
    let closed = Verifier::build(&VerifySpec::default()).unwrap();
    assert_eq!(check(&closed, request(&[], None, "{}"), &[]).unwrap_err(), Refusal::Closed);
    let open = verifier("scheme = \"none\"");
    assert_eq!(verified(check(&open, request(&[], None, "{}"), &[])).fact("verified-by"), Some("none"));
}

#[test]
fn a_challenge_is_answered_after_the_proof_and_an_ordinary_event_is_not_one() {
    let ask = |secret: &str, body: &str| {
        check(&verifier(TOKEN), request(&[("secret", secret)], None, body), &values(&["s3"]))
    };
    match ask("s3", r#"{"type":"url_verification","challenge":"a\"b"}"#) {
        Ok(Checked::Challenge(answer)) => assert_eq!(&answer.json[..], br#"{"challenge":"a\"b"}"#),
        other => panic!("{other:?}"),
    }
    assert_eq!(ask("no", r#"{"challenge":"x"}"#).unwrap_err(), Refusal::Mismatch("token".into()));
    for ordinary in [r#"{"challenge":"x","order":1}"#, r#"{"challenge":7}"#, r#"["challenge"]"#, ""] {
        verified(ask("s3", ordinary));
    }
    let long = format!(r#"{{"challenge":"{}"}}"#, "x".repeat(2000));
    verified(ask("s3", &long));
    let unsigned = verifier(&format!("{TOKEN}\nchallenge = [{{ echo = \"/ping/id\", verify_first = false }}]"));
    match check(&unsigned, request(&[], None, r#"{"ping":{"id":"7"}}"#), &values(&["s3"])) {
        Ok(Checked::Challenge(answer)) => assert_eq!(&answer.json[..], br#"{"id":"7"}"#),
        other => panic!("{other:?}"),
    }
}

#[test]
fn github_facts_come_from_the_pack() {
    let github = verifier("provider = \"github\"\nsecret = \"env:S\"");
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [("x-hub-signature-256", signature), ("x-github-event", "push"), ("x-github-delivery", "d-1")];
    let request = request(&headers, None, "Hello, World!");
    let event = verified(check(&github, request, &values(&["It's a Secret to Everybody"])));
    assert_eq!(event.fact("provider"), Some("github"));
    assert_eq!(event.fact("event-type"), Some("push"));
    assert_eq!(event.fact("delivery-id"), Some("d-1"));
}

#[test]
fn mistakes_in_a_verify_table_are_found_at_load() {
    for (toml, key, words) in [
        ("provider = \"githb\"\nsecret = \"env:S\"", "provider", "known are generic, github"),
        ("secret = \"env:S\"", "scheme", "provider or scheme is missing"),
        ("provider = \"github\"", "secret", "a secret reference is missing"),
        ("scheme = \"token\"\nsecret = \"env:S\"", "scheme", "from is missing"),
        ("scheme = \"none\"\nsecret = \"env:S\"", "secret", "means nothing"),
        ("scheme = \"basic\"\nprefix = \"x\"\nsecret = \"env:S\"", "prefix", "means nothing"),
        ("scheme = \"token\"\nfrom = { json = \"token\" }\nsecret = \"env:S\"", "from", "not a JSON pointer"),
        ("scheme = \"token\"\nfrom = { header = \"a b\" }\nsecret = \"env:S\"", "from", "not a header name"),
    ] {
        let error = Verifier::build(&toml::from_str(toml).unwrap()).expect_err(toml);
        assert_eq!(error.key, key, "{toml}");
        assert!(error.message.contains(words), "{toml}: {}", error.message);
    }
}

#[test]
fn a_scheme_without_a_provider_takes_the_generic_defaults() {
    let signature = verifier("scheme = \"signature\"\nsecret = \"env:S\"");
    assert!(matches!(signature.proof(), Proof::Signature { from: Place::Header(name), .. } if name == "X-Signature"));
}

#[test]
fn request_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/requests.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let wrong: Vec<_> = vectors.iter().filter_map(|vector| judge(vector, &file["schemes"])).collect();
    assert!(vectors.len() > 150, "only {} vectors", vectors.len());
    assert!(wrong.is_empty(), "{} of {} vectors\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

/// What is wrong with the verdict on this vector, if anything.
fn judge(vector: &Value, schemes: &Value) -> Option<String> {
    let mut spec: VerifySpec = serde_json::from_value(schemes[vector["scheme"].as_str()?].clone()).unwrap();
    let secrets: Vec<_> =
        vector["secrets"].as_array()?.iter().map(|secret| Ok(Secret::new(bytes_of(secret)))).collect();
    spec.secret = secrets.iter().map(|_| "env:S".parse().unwrap()).collect();
    let url = url::Url::parse(vector["url"].as_str()?).unwrap();
    let mut headers = HeaderMap::new();
    for pair in vector["headers"].as_array()? {
        let name: HeaderName = pair[0].as_str()?.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(pair[1].as_str()?.as_bytes()).unwrap());
    }
    let request = Unverified {
        method: vector["method"].as_str()?.parse().unwrap(),
        path: url.path().into(),
        query: url.query().map(Into::into),
        headers,
        body: body_of(vector).into(),
    };
    let got = match check(&Verifier::build(&spec).unwrap(), request, &secrets) {
        Ok(_) => vec!["accept".to_owned()],
        Err(refusal) => reasons(&refusal),
    };
    let mut expected = vec![vector["expect"].as_str()?.to_owned()];
    for reason in vector["alt_reasons"].as_array().into_iter().flatten() {
        let reason = reason.as_str()?;
        expected.push(format!("reject:{}", reason.trim_start_matches("reject:")));
    }
    let agrees = got.iter().any(|reason| expected.contains(reason));
    (!agrees).then(|| format!("{}: expected {expected:?}, got {got:?}", vector["id"]))
}

fn reasons(refusal: &Refusal) -> Vec<String> {
    let words: &[&str] = match refusal {
        Refusal::Missing(_) => &["missing_signature", "missing_token"],
        Refusal::Duplicate(_) => &["duplicate_header"],
        Refusal::Malformed { .. } => &["malformed_signature", "missing_token", "token_mismatch"],
        Refusal::Mismatch(_) => &["signature_mismatch", "token_mismatch"],
        Refusal::NoSecret(_) | Refusal::Closed => &[],
    };
    words.iter().map(|word| format!("reject:{word}")).collect()
}

fn bytes_of(secret: &Value) -> Vec<u8> {
    let value = secret["value"].as_str().unwrap();
    match secret["encoding"].as_str().unwrap() {
        "utf8" => value.into(),
        "hex" => hex::decode(value).unwrap(),
        "base64" => STANDARD.decode(value).unwrap(),
        other => panic!("secret encoding {other}"),
    }
}

fn body_of(vector: &Value) -> Vec<u8> {
    match vector["body_encoding"].as_str().unwrap() {
        "utf-8" => vector["body"].as_str().unwrap().into(),
        "base64" => STANDARD.decode(vector["body"].as_str().unwrap()).unwrap(),
        "repeat" => {
            let unit = vector["body"]["unit"].as_str().unwrap();
            unit.repeat(vector["body"]["count"].as_u64().unwrap() as usize).into_bytes()
        }
        other => panic!("body encoding {other}"),
    }
}
