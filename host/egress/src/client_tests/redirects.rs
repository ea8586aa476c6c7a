//! Redirects.

use super::*;
use landfall_model::{CredentialKind, CredentialPart};

fn client_of(http: &[&str], redirects: u8) -> Client {
    let http = http.iter().map(|prefix| prefix.parse().unwrap()).collect();
    Client::new(
        Policy::new(Allow {
            http,
            redirects,
            ..Allow::default()
        }),
        Vec::new(),
        Arc::new(OneSecret),
        Clock::System,
    )
}

#[tokio::test]
async fn redirects_are_not_followed_by_default() {
    let (port, _request) =
        server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let origin = format!("http://127.0.0.1:{port}/");
    assert_eq!(
        client(std::slice::from_ref(&origin), &[])
            .send(get(&origin), "e")
            .await
            .unwrap()
            .status,
        302
    );
}

#[tokio::test]
async fn redirects_are_limited_and_checked() {
    let (to_port, arrived) = server(OK).await;
    let redirect = format!(
        "HTTP/1.1 307 Go\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:{to_port}/there\r\n\r\n"
    );
    let redirect: &'static str = Box::leak(redirect.into_boxed_str());
    let (port, _request) = server(redirect).await;
    let (from, to) = (
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{to_port}/"),
    );
    let kind = CredentialKind::Header(
        "x-key".parse().unwrap(),
        vec![CredentialPart::Secret(secret("T"))],
    );
    let credentials = vec![Credential {
        target: from.parse().unwrap(),
        kind,
    }];
    let http = [&from, &to]
        .iter()
        .map(|prefix| prefix.parse().unwrap())
        .collect();
    let policy = Policy::new(Allow {
        http,
        redirects: 1,
        ..Allow::default()
    });
    let client = Client::new(
        policy,
        credentials.clone(),
        Arc::new(OneSecret),
        Clock::System,
    );
    assert_eq!(
        client.send(get(&from), "event-1").await.unwrap().status,
        200
    );
    let seen = arrived.await.unwrap();
    assert!(
        seen.starts_with("GET /there ") && !seen.contains("t0ken"),
        "{seen}"
    );
    // Not allowed at all, and not to there.
    let (port, _request) = server(redirect).await;
    let from = format!("http://127.0.0.1:{port}/");
    assert_eq!(
        client_of(&[&from], 0)
            .send(get(&from), "event-1")
            .await
            .unwrap()
            .status,
        307
    );
    let (port, _request) = server(redirect).await;
    let from = format!("http://127.0.0.1:{port}/");
    let refused = client_of(&[&from], 1)
        .send(get(&from), "event-1")
        .await
        .unwrap_err();
    // The first receiver may have acted.
    assert!(
        matches!(refused, OutgoingError::Redirected(_)),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("redirect"), "{refused}");
}
