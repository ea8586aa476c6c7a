//! Secrets in the path of a URL: where they are sent, and what of them returns.

use super::*;
use landfall_model::{CredentialKind, CredentialPart};

/// The value is the name of the secret's variable, after `/T0/B0123456/`.
struct SecretPath;

impl SecretSource for SecretPath {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let SecretRef::Env(name) = reference else {
            unreachable!("the tests name variables");
        };
        Ok(Secret::new(format!("/T0/B0123456/{name}")))
    }
}

/// A client for the server at this port, with a secret path for the segment `S` below each of
/// these prefixes of its URLs.
fn client_at(port: u16, paths: &[(&str, &str)]) -> Client {
    let origin = format!("http://127.0.0.1:{port}/");
    let credentials = paths.iter().map(|(below, variable)| Credential {
        target: format!("{origin}{below}").parse().unwrap(),
        kind: CredentialKind::Path("S".into(), vec![CredentialPart::Secret(secret(variable))]),
    });
    let allow = Allow {
        http: vec![origin.parse().unwrap()],
        redirects: 3,
        ..Allow::default()
    };
    Client::new(
        Policy::new(allow),
        credentials.collect(),
        Arc::new(SecretPath),
        Clock::System,
    )
}

#[tokio::test]
async fn segments_of_paths_are_redacted() {
    let (port, request) = server(
        "HTTP/1.1 404 Gone\r\ncontent-length: 51\r\nx-at: /T0/B0123456\r\n\r\nlast-segment%2FB0123456 T0 T0/B0123456/last-segment",
    )
    .await;
    let client = client_at(port, &[("", "last-segment")]);
    let url = format!("http://127.0.0.1:{port}/S");

    let received = client.send(get(&url), "e").await.unwrap();
    let request = request.await.unwrap();
    assert!(request.contains(" /T0/B0123456/last-segment "), "{request}");
    assert_eq!(received.headers["x-at"], "/T0/[redacted]");
    assert_eq!(received.body, "[redacted]%2F[redacted] T0 [redacted]");
}

#[tokio::test]
async fn redirects_to_secret_paths_are_returned() {
    let (port, _request) = server(
        "HTTP/1.1 308 Go\r\ncontent-length: 0\r\nlocation: /T0/B0123456/last-segment/\r\n\r\n",
    )
    .await;
    let client = client_at(port, &[("", "last-segment")]);
    let url = format!("http://127.0.0.1:{port}/S");

    let received = client.send(get(&url), "e").await.unwrap();
    assert_eq!(received.status, 308);
    assert_eq!(received.headers["location"], "[redacted]/");
}

#[tokio::test]
async fn the_last_secret_path_wins() {
    let (port, request) = server(OK).await;
    let client = client_at(port, &[("", "first"), ("team/", "second")]);
    let url = format!("http://127.0.0.1:{port}/team/S");

    client.send(get(&url), "e").await.unwrap();
    let request = request.await.unwrap();
    assert!(request.contains(" /team/T0/B0123456/second "), "{request}");
}
