//! Certificate chains and claims of these tests are in tests/fixtures/apple-app-store.json.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::keys::{Keys, NoKeyDocuments};
use crate::request::Unverified;

const FIXTURES: &str = include_str!("../../../../tests/fixtures/apple-app-store.json");

fn fixtures() -> Value {
    serde_json::from_str(FIXTURES).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn app(roots: &[String]) -> AppleAppStore {
    AppleAppStore::new(
        &["com.example.app".into()],
        &["Production".into()],
        Some("1234".into()),
        roots,
    )
    .unwrap()
}

fn with_root() -> AppleAppStore {
    app(&[text(&fixtures()["root"]).to_owned()])
}

fn verdict_at(app: &AppleAppStore, body: String, seconds: u64) -> Result<String, Refusal> {
    let request = Unverified {
        method: http::Method::POST,
        path: "/in".into(),
        query: None,
        params: Vec::new(),
        headers: http::HeaderMap::new(),
        body: body.into(),
        decoded: None,
    };

    let view = View::new(&request, None);
    let now = Some(UNIX_EPOCH + Duration::from_secs(seconds));
    app.check(
        &view,
        &VerifyContext {
            keys: &Keys::default(),
            documents: &NoKeyDocuments,
            now,
        },
    )?;

    let id = view
        .find(&ValueLocation::Claim("/notificationUUID".into()), false)
        .unwrap();

    Ok(String::from_utf8(id.into_owned()).unwrap())
}

fn verdict(app: &AppleAppStore, token: &str) -> Result<String, Refusal> {
    verdict_at(
        app,
        serde_json::json!({ "signedPayload": token }).to_string(),
        1_700_000_000,
    )
}

#[test]
fn notifications_of_every_kind_are_accepted() {
    let (fixtures, app) = (fixtures(), with_root());
    let accepted = fixtures["accepted"].as_array().unwrap();
    let ids: Vec<String> = accepted
        .iter()
        .map(|one| verdict(&app, text(&one["token"])).unwrap())
        .collect();

    assert_eq!(ids, ["0000-1", "0000-2", "0000-3"]);
}

#[test]
fn other_chains_and_claims_are_refused() {
    let (fixtures, app) = (fixtures(), with_root());
    let refused = fixtures["refused"].as_array().unwrap();
    assert!(refused.len() >= 20);

    for one in refused {
        let refusal = verdict(&app, text(&one["token"])).expect_err(text(&one["name"]));
        assert_eq!(
            refusal.reason.word(),
            text(&one["reason"]),
            "{}: {refusal}",
            one["name"]
        );
    }
}

#[test]
fn only_pinned_roots_are_trusted() {
    let fixtures = fixtures();
    let token = text(&fixtures["accepted"][0]["token"]);
    assert_eq!(
        verdict(&app(&[]), token).unwrap_err().reason,
        Reason::SignatureMismatch
    );

    let der = pem_bytes(text(&fixtures["root"]), "CERTIFICATE").unwrap();
    assert!(verdict(&app(&[STANDARD.encode(der)]), token).is_ok());
    assert!(root_certificate(APPLE_ROOT_CA_G3).is_ok());
}

#[test]
fn certificates_are_judged_now() {
    let (fixtures, app) = (fixtures(), with_root());
    let body = serde_json::json!({ "signedPayload": fixtures["accepted"][0]["token"] }).to_string();
    for (seconds, is_valid) in [
        (1_500_000_000, false),
        (1_600_000_000, true),
        (4_000_000_000, false),
    ] {
        assert_eq!(
            verdict_at(&app, body.clone(), seconds).is_ok(),
            is_valid,
            "{seconds}"
        );
    }
}

#[test]
fn changed_characters_are_refused() {
    let (fixtures, app) = (fixtures(), with_root());
    let token = text(&fixtures["accepted"][0]["token"]);
    let dots: Vec<usize> = token.match_indices('.').map(|(at, _)| at).collect();

    // Changes each character of claims and signature, and some of the certificates.
    let header = (0..dots[0]).step_by(97);
    for at in header
        .chain(dots[0] + 1..token.len())
        .filter(|at| *at != dots[1])
    {
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        assert!(verdict(&app, &changed).is_err(), "character {at}");
    }
}

#[test]
fn bodies_without_a_token_are_refused() {
    let app = with_root();
    for (body, reason) in [
        ("", Reason::MalformedBody),
        ("[]", Reason::MissingSignature),
        (r#"{"signedPayload":7}"#, Reason::MissingSignature),
        (r#"{"signedPayload":"a.b"}"#, Reason::MalformedSignature),
    ] {
        assert_eq!(
            verdict_at(&app, body.into(), 1_700_000_000)
                .unwrap_err()
                .reason,
            reason,
            "{body}"
        );
    }
}

fn scheme(
    bundle_ids: &[&str],
    environments: &[&str],
    roots: &[&str],
) -> Result<AppleAppStore, AppStoreConfigError> {
    AppleAppStore::new(
        &owned(bundle_ids),
        &owned(environments),
        None,
        &owned(roots),
    )
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[test]
fn app_and_environment_must_be_configured() {
    for (bundle_ids, environments, roots, named) in [
        (&[][..], &["Sandbox"][..], &[][..], "config.bundle_id"),
        (&["a"], &[], &[], "config.environment"),
        (&["a"], &["sandbox"], &[], "config.environment"),
        (&["a"], &["Sandbox"], &["x"], "config.root_certificates"),
    ] {
        let error = scheme(bundle_ids, environments, roots).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }

    assert!(scheme(&["a"], &["Sandbox", "Production"], &[]).is_ok());
}
