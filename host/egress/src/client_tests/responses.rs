//! Calls, and the errors of calls that fail.

use super::*;
use landfall_model::{CredentialKind, CredentialPart};

#[tokio::test]
async fn allowed_calls_carry_key_and_credential() {
    let (port, request) = server(OK).await;
    let origin = format!("http://127.0.0.1:{port}/api/");
    let credential = Credential {
        target: origin.parse().unwrap(),
        kind: CredentialKind::Header(
            "authorization".parse().unwrap(),
            vec![
                CredentialPart::Literal("Bearer ".into()),
                CredentialPart::Secret("env:T".parse().unwrap()),
            ],
        ),
    };
    let client = with_credentials(std::slice::from_ref(&origin), &[], vec![credential]);
    let received = client
        .send(get(&format!("{origin}x?q=1#f")), "event-1")
        .await
        .unwrap();
    assert_eq!((received.status, &received.body[..]), (200, &b"hi"[..]));
    let request = request.await.unwrap();
    assert!(
        request.starts_with("GET /api/x?q=1 HTTP/1.1\r\n"),
        "{request}"
    );
    for line in [
        "authorization: Bearer t0ken-of-some-length",
        "idempotency-key: event-1",
        &format!("host: 127.0.0.1:{port}"),
    ] {
        assert!(request.contains(line), "{line} not in {request}");
    }
}

#[tokio::test]
async fn errors_are_classified() {
    let any = ["http://127.0.0.1/".to_owned()];
    for url in [
        "file:///etc/passwd",
        "http://",
        "/relative",
        "http://u:p@127.0.0.1/",
    ] {
        let error = client(&any, &[]).send(get(url), "e").await.unwrap_err();
        assert!(
            matches!(error, OutgoingError::Invalid(_)),
            "{url}: {error:?}"
        );
    }
    for (name, value) in [
        ("Host", "x"),
        ("a b", "x"),
        ("x", "a\r\nb: c"),
        ("Content-Length", "1"),
    ] {
        let mut outgoing = get("http://127.0.0.1/");
        outgoing.headers = vec![(name.into(), value.into())];
        let error = client(&any, &[]).send(outgoing, "e").await.unwrap_err();
        assert!(
            matches!(error, OutgoingError::Invalid(_)),
            "{name}: {error:?}"
        );
    }
    let (port, _request) = server("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").await;
    let origin = format!("http://127.0.0.1:{port}/");
    let error = client(std::slice::from_ref(&origin), &[])
        .send(get(&origin), "e")
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            OutgoingError::Limit(_) | OutgoingError::Interrupted(_)
        ),
        "{error:?}"
    );
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let mut outgoing = get(&origin);
    outgoing.timeout = Duration::from_millis(50);
    let error = client(&[origin], &[])
        .send(outgoing, "e")
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Timeout(_)), "{error:?}");
}
