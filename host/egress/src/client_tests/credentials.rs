//! Credentials: where they are written, and that no error shows them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;
use crate::call::Call;
use crate::credentials::Credentials;
use landfall_model::{CredentialKind, CredentialPart, OAuth1Spec, SigV4Spec};

struct Base64Secret;

impl SecretSource for Base64Secret {
    fn value(&self, _: &SecretRef) -> Result<Secret, SecretError> {
        Ok(Secret::new("whsec_c2VjcmV0IGtleQ=="))
    }
}

#[tokio::test]
async fn missing_credentials_stop_the_call() {
    let origin = "http://127.0.0.1:9/".to_owned();
    let credential = Credential {
        target: origin.parse().unwrap(),
        kind: CredentialKind::Header(
            "authorization".parse().unwrap(),
            vec![CredentialPart::Secret("env:GONE".parse().unwrap())],
        ),
    };
    let error = with_credentials(std::slice::from_ref(&origin), &[], vec![credential])
        .send(get(&origin), "e")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Unavailable(text) if text.contains("the log of the node says why")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_webhook_id_holds_no_dot() {
    let origin = "http://127.0.0.1:9/".to_owned();
    let kind = CredentialKind::StandardWebhooks("env:T".parse().unwrap());
    let credential = || Credential {
        target: origin.parse().unwrap(),
        kind: kind.clone(),
    };
    let add = |id: &'static str| {
        let credentials =
            Credentials::new(vec![credential()], Arc::new(Base64Secret), Clock::System);
        let (mut url, mut body) = (origin.parse().unwrap(), Bytes::new());
        let mut headers =
            http::HeaderMap::from_iter([("idempotency-key".parse().unwrap(), id.parse().unwrap())]);
        let mut call = Call {
            method: &http::Method::POST,
            url: &mut url,
            headers: &mut headers,
            body: &mut body,
            untrusted: None,
        };
        credentials
            .add(&mut call)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(add("msg_1"), Ok(()));
    assert!(
        add("msg_1.1760000000")
            .unwrap_err()
            .contains("must not contain `.`")
    );
}

#[tokio::test]
async fn credentials_go_to_their_places() {
    let text = || vec![CredentialPart::Secret(secret("T"))];
    let oauth1 = OAuth1Spec {
        consumer_key: secret("A"),
        consumer_secret: secret("B"),
        token: secret("C"),
        token_secret: secret("D"),
    };
    let sigv4 = SigV4Spec {
        region: "eu-west-1".into(),
        service: "sqs".into(),
        access_key: secret("A"),
        secret_key: secret("B"),
        session_token: Some(secret("C")),
    };
    for (kind, expected) in [
        (
            CredentialKind::Query("key".into(), text()),
            "get /x?a=1&key=t0ken-of-some-length http",
        ),
        (
            CredentialKind::Path("x".into(), text()),
            "get /t0ken-of-some-length?key=guess&a=1 http",
        ),
        (
            CredentialKind::Body("{{TOKEN}}".into(), text()),
            "\"t0ken-of-some-length\"",
        ),
        (
            CredentialKind::OAuth1(oauth1),
            "authorization: oauth oauth_consumer_key=\"t0ken-of-some-length\", oauth_nonce=",
        ),
        (
            CredentialKind::AwsSigV4(sigv4),
            "/eu-west-1/sqs/aws4_request, signedheaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, signature=",
        ),
    ] {
        let (port, request) = server(OK).await;
        let origin = format!("http://127.0.0.1:{port}/");
        let credential = Credential {
            target: origin.parse().unwrap(),
            kind,
        };
        let client = with_credentials(std::slice::from_ref(&origin), &[], vec![credential]);
        let call = Outgoing {
            method: "GET".into(),
            url: format!("{origin}x?key=guess&a=1"),
            headers: vec![
                ("content-type".into(), "application/json".into()),
                ("Landfall-Placeholder".into(), "{{TOKEN}}".into()),
            ],
            body: Bytes::from_static(b"{\"t\":\"{{TOKEN}}\"}"),
            timeout: Duration::from_secs(2),
            untrusted: None,
            memory: None,
        };
        client.send(call, "event-1").await.unwrap();
        let seen = request.await.unwrap().to_lowercase();
        assert!(seen.contains(expected), "{expected}\n{seen}");
        assert!(!seen.contains("landfall-placeholder"), "{seen}");
    }
}

#[tokio::test]
async fn repeated_credentials_are_redacted() {
    let repeats = "HTTP/1.1 200 OK\r\ncontent-length: 56\r\nx-echo: Bearer t0ken-of-some-length\r\n\r\nyou sent t0ken-of-some-length or dDBrZW4tb2Ytc29tZS1sZW5ndGg=";
    let repeats: &'static str = Box::leak(
        repeats
            .replace(
                "56",
                &(repeats.len() - repeats.find("you").unwrap()).to_string(),
            )
            .into_boxed_str(),
    );
    let (port, _request) = server(repeats).await;
    let origin = format!("http://127.0.0.1:{port}/");
    let kind = CredentialKind::Header(
        "authorization".parse().unwrap(),
        vec![
            CredentialPart::Literal("Bearer ".into()),
            CredentialPart::Secret(secret("T")),
        ],
    );
    let client = with_credentials(
        std::slice::from_ref(&origin),
        &[],
        vec![Credential {
            target: origin.parse().unwrap(),
            kind,
        }],
    );
    let received = client.send(get(&origin), "event-1").await.unwrap();
    assert_eq!(received.body, "you sent [redacted] or [redacted]");
    assert_eq!(received.headers["x-echo"], "Bearer [redacted]");
}

#[tokio::test]
async fn credentials_are_redacted_in_every_form() {
    let added = crate::credentials::Added::of(&["t/k+n \"x\""]);
    let text = "t/k+n \"x\" | t%2Fk%2Bn%20%22x%22 | t%2fk%2bn%20%22x%22 | t%2Fk%2Bn+%22x%22 | \
                t/k+n \\\"x\\\" | dC9rK24gIngi";
    let mut body = Bytes::from_static(text.as_bytes());
    added.redact(&mut HeaderMap::new(), &mut body);
    assert_eq!(body, ["[redacted]"; 6].join(" | "));
    // In hex, and in the base64 of something larger, wherever in it it stands.
    let secret = "t0p-s3cret~value?>";
    let added = crate::credentials::Added::of(&[secret]);
    let within = |before: &str| format!("{before}{secret} and more");
    for text in [
        hex::encode(secret),
        hex::encode_upper(secret),
        STANDARD.encode(secret),
        URL_SAFE.encode(secret),
    ] {
        let mut body = Bytes::from(text);
        added.redact(&mut HeaderMap::new(), &mut body);
        assert_eq!(body, "[redacted]");
    }
    for before in ["", "u", "us", "user:", "user: "] {
        for text in [
            STANDARD.encode(within(before)),
            URL_SAFE.encode(within(before)),
        ] {
            let mut body = Bytes::from(text.clone());
            added.redact(&mut HeaderMap::new(), &mut body);
            let left = String::from_utf8(body.to_vec()).unwrap();
            assert!(
                left.contains("[redacted]") && left.len() < text.len() - secret.len() + 12,
                "{text} {left}"
            );
        }
    }

    // However JSON, a URL or HTML may spell it.
    let odd = "ab/cd+ef&g<h==x!9Kq";
    let added = crate::credentials::Added::of(&[odd]);
    for text in [
        r"ab\/cd+ef&g<h==x!9Kq",
        r"ab/cd+ef\u0026g\u003ch\u003d\u003Dx!9Kq",
        "ab/cd%2Bef%26g%3Ch%3D%3Dx%219Kq",
        "ab%2fcd%2bef%26g%3ch%3d%3dx!9Kq",
        "ab/cd+ef&amp;g&lt;h==x!9Kq",
        "ab&#x2F;cd&#43;ef&amp;g&lt;h==x!9Kq",
    ] {
        let mut body = Bytes::from(format!("<{text}>"));
        added.redact(&mut HeaderMap::new(), &mut body);
        assert_eq!(body, "<[redacted]>", "{text}");
    }
    // One that begins another uncovers nothing of it.
    let added = crate::credentials::Added::of(&["acme", "acme-supersecret-99"]);
    let mut body = Bytes::from_static(b"acme:acme-supersecret-99");
    added.redact(&mut HeaderMap::new(), &mut body);
    assert_eq!(body, "[redacted]:[redacted]");
}
