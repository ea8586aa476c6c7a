//! Clients whose calls a function answers in place of the network.

use std::sync::Mutex;

use super::*;
use landfall_model::{CredentialKind, CredentialPart};

#[tokio::test]
async fn given_answers_stay_behind_the_policy() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorded = seen.clone();
    let credential = Credential {
        target: "https://a.example/".parse().unwrap(),
        kind: CredentialKind::Header(
            http::header::AUTHORIZATION,
            vec![CredentialPart::Secret(secret("S"))],
        ),
    };
    let http = ["https://a.example/".to_owned()];
    let client = with_credentials(&http, &[], vec![credential]).answered_by(Arc::new(
        move |outgoing: &Outgoing| {
            landfall_model::lock(&recorded).push(outgoing.clone());
            Ok(Received {
                status: 201,
                headers: HeaderMap::new(),
                body: "t0ken-of-some-length".into(),
                held: None,
            })
        },
    ));

    let received = client.send(get("https://a.example/x"), "e").await.unwrap();
    assert_eq!(received.status, 201);
    // A secret in an answer is removed as from one of the network.
    assert!(!received.body.starts_with(b"t0ken"), "{received:?}");

    let denied = client.send(get("https://b.example/"), "e").await;
    assert_eq!(denied.unwrap_err().word(), "denied");
    let own = Outgoing {
        headers: vec![("host".into(), "b".into())],
        ..get("https://a.example/")
    };
    assert_eq!(client.send(own, "e").await.unwrap_err().word(), "invalid");

    // The function sees what the component wrote: no credential.
    let seen = landfall_model::lock(&seen);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].url, "https://a.example/x");
    let names: Vec<&str> = seen[0]
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["idempotency-key"]);
}
