//! Tests of `keygen`.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::keys::{Keys, NoKeyDocuments};
use crate::request::Unverified;
use crate::view::PublicUrl;
use landfall_model::{KeyForm, Secret};

// The key pair of Keygen's request vectors.
const KEY: &str = "6b870899db2553e668eb07a9def52629732f2657a6726a7d7f08f279d99b0188";
const SIGNED: &str =
    "k2eJ6lS0BB/vgxbP/bvWJ9JcPGDWMJLxg+Q12QDY+jFlnVSTM4l3QWi6YBSfdcDckFczfiwEW7Qf6dG6J1lzAA==";
const BODY: &str =
    r#"{"data":{"id":"e1","type":"webhook-events","attributes":{"event":"license.created"}}}"#;
const DATE: &str = "Thu, 09 Oct 2025 08:53:20 GMT";
const ANY: Window = Window {
    past: None,
    future: None,
};

fn shown(algorithm: &str, signature: &str, headers: &str) -> String {
    format!(
        "keyid=\"k\", algorithm=\"{algorithm}\", signature=\"{signature}\", headers=\"{headers}\""
    )
}

fn verdict(
    shown: &str,
    path: &str,
    date: &str,
    more: &[(&'static str, &str)],
    body: &[u8],
) -> Result<usize, Reason> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in [
        ("keygen-signature", shown),
        ("host", "hooks.example.com"),
        ("date", date),
    ]
    .iter()
    .chain(more)
    {
        headers.append(*name, value.parse().unwrap());
    }

    let request = Unverified {
        method: http::Method::POST,
        path: path.into(),
        query: None,
        params: Vec::new(),
        headers,
        body: body.to_vec().into(),
        decoded: None,
    };

    let keys = Keys::new([(KeyForm::Ed25519Hex, Ok(Secret::new(KEY)))]);
    let context = VerifyContext {
        keys: &keys,
        documents: &NoKeyDocuments,
        now: Some(UNIX_EPOCH + Duration::from_secs(1_760_000_000)),
    };

    let window = if path == "/late" {
        Window {
            past: Some(Duration::ZERO),
            future: None,
        }
    } else {
        ANY
    };

    let url = PublicUrl::Base("https://hooks.example.com".into());
    check(window, &View::new(&request, Some(&url)), &context).map_err(|refusal| refusal.reason)
}

const LIST: &str = "(request-target) host date digest";

#[test]
fn flipped_bytes_are_refused() {
    let good = shown("ed25519", SIGNED, LIST);
    assert_eq!(verdict(&good, "/keygen", DATE, &[], BODY.as_bytes()), Ok(0));
    for at in 0..BODY.len() {
        let mut body = BODY.as_bytes().to_vec();
        body[at] ^= 1;
        assert_eq!(
            verdict(&good, "/keygen", DATE, &[], &body),
            Err(Reason::SignatureMismatch),
            "{at}"
        );
    }

    let signature = STANDARD.decode(SIGNED).unwrap();
    for at in 0..signature.len() {
        let mut signature = signature.clone();
        signature[at] ^= 1;
        let shown = shown("ed25519", &STANDARD.encode(signature), LIST);

        assert_eq!(
            verdict(&shown, "/keygen", DATE, &[], BODY.as_bytes()),
            Err(Reason::SignatureMismatch),
            "{at}"
        );
    }
}

#[test]
fn signature_must_cover_the_request() {
    for list in [
        "",
        "date",
        "(request-target) host date",
        "host date digest",
        "(request-target) date digest",
    ] {
        let got = verdict(
            &shown("ed25519", SIGNED, list),
            "/keygen",
            DATE,
            &[],
            BODY.as_bytes(),
        );
        assert_eq!(got, Err(Reason::UnsupportedSignatureVersion), "{list}");
    }

    let twice = shown("ed25519", SIGNED, "(request-target) host date date digest");
    assert_eq!(
        verdict(&twice, "/keygen", DATE, &[], BODY.as_bytes()),
        Err(Reason::MalformedSignature)
    );

    let good = shown("ed25519", SIGNED, LIST);
    let digest = [("digest", "sha-256=AAAA")];
    assert_eq!(
        verdict(&good, "/keygen", DATE, &digest, BODY.as_bytes()),
        Err(Reason::BodyHashMismatch)
    );

    let late = "Thu, 09 Oct 2025 08:53:19 GMT";
    assert_eq!(
        verdict(&good, "/late", late, &[], BODY.as_bytes()),
        Err(Reason::TimestampTooOld)
    );
}

#[test]
fn only_ed25519_is_accepted() {
    for algorithm in ["", "rsa-sha256", "hs2019", "ED25519"] {
        let got = verdict(
            &shown(algorithm, SIGNED, LIST),
            "/keygen",
            DATE,
            &[],
            BODY.as_bytes(),
        );

        assert_eq!(got, Err(Reason::AlgorithmNotAllowed), "{algorithm}");
    }

    for broken in [
        "x",
        "algorithm=\"ed25519\"",
        "algorithm=\"ed25519\" signature=\"\"",
        "a=\"1\",a=\"2\"",
    ] {
        assert!(
            verdict(broken, "/keygen", DATE, &[], BODY.as_bytes()).is_err(),
            "{broken}"
        );
    }
}
