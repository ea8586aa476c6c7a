//! Placeholders of credentials.

use super::*;
use landfall_model::{CredentialKind, CredentialPart, Event, EventId};

#[tokio::test]
async fn only_marked_placeholders_are_replaced() {
    let kind =
        |text: &str| CredentialKind::Body(text.into(), vec![CredentialPart::Secret(secret("T"))]);
    for (marks, expected) in [
        (&[][..], "{{ONE}} {{TWO}}"),
        (&["{{THREE}}"], "{{ONE}} {{TWO}}"),
        (&["{{TWO}}"], "{{ONE}} t0ken-of-some-length"),
        (
            &["{{ONE}}", "{{TWO}}"],
            "t0ken-of-some-length t0ken-of-some-length",
        ),
    ] {
        let (port, request) = server(OK).await;
        let origin = format!("http://127.0.0.1:{port}/");
        let credential = |text| Credential {
            target: origin.parse().unwrap(),
            kind: kind(text),
        };
        let credentials = vec![credential("{{ONE}}"), credential("{{TWO}}")];
        let client = with_credentials(std::slice::from_ref(&origin), &[], credentials);
        let headers = marks
            .iter()
            .map(|mark| ("landfall-placeholder".to_owned(), (*mark).to_owned()))
            .collect();
        let call = Outgoing {
            method: "POST".into(),
            headers,
            body: "{{ONE}} {{TWO}}".into(),
            ..get(&origin)
        };
        client.send(call, "event-1").await.unwrap();
        let seen = request.await.unwrap();
        assert!(
            seen.ends_with(expected) && !seen.contains("landfall-placeholder"),
            "{marks:?}\n{seen}"
        );
    }
}

#[tokio::test]
async fn placeholders_of_the_sender_stay() {
    let (port, _request) = server(OK).await;
    let origin = format!("http://127.0.0.1:{port}/");
    let kind = CredentialKind::Body(
        "{{TOKEN}}".into(),
        vec![CredentialPart::Secret(secret("T"))],
    );
    let credentials = vec![Credential {
        target: origin.parse().unwrap(),
        kind,
    }];
    let client = with_credentials(std::slice::from_ref(&origin), &[], credentials);
    let sent = async |query: &str, header: &str, came: &str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", header.parse().unwrap());
        let event = Event {
            id: EventId::new(std::time::SystemTime::UNIX_EPOCH),
            hook: "h".into(),
            received_at: std::time::SystemTime::UNIX_EPOCH,
            method: Method::POST,
            path: "/h".into(),
            query: Some(query.into()),
            headers,
            body: came.to_owned().into(),
            attributes: Vec::new(),
        };
        let body = body.to_owned().into();
        let headers = vec![("landfall-placeholder".into(), "{{TOKEN}}".into())];
        let outgoing = Outgoing {
            headers,
            body,
            untrusted: Some(Arc::new(event)),
            ..get(&origin)
        };
        tokio::time::timeout(Duration::from_millis(200), client.send(outgoing, "event-1")).await
    };
    let sentence = "a credential of this call cannot be used now: the log of the node says why";
    let one = "hi {{TOKEN}} there";
    for (query, header, came, body) in [
        ("q", "v", "hi {{TOKEN}} there", one),
        ("q", "v", "{\"text\":\"\\u007b{TOKEN}}\"}", one),
        ("q", "v", "text=%7B%7BTOKEN%7D%7D", one),
        (
            "q",
            "v",
            "{\"x\":\"\\ud800\",\"title\":\"\\u007b{TOKEN}}\"}",
            one,
        ),
        (
            "q",
            "v",
            "payload=%7B%22t%22%3A%22%5Cu007b%7BTOKEN%7D%7D%22%7D",
            one,
        ),
        ("q=%7b{TOKEN}}", "v", "{}", one),
        ("q", "{{TOKEN}}", "{}", one),
        (
            "q",
            "v",
            "{}",
            "{{TOKEN}} and what a handler decoded: {{TOKEN}}",
        ),
    ] {
        let refused = sent(query, header, came, body)
            .await
            .expect("it is not sent");
        assert_eq!(
            refused.unwrap_err().to_string(),
            sentence,
            "{query} {header} {came} {body}"
        );
    }
    assert!(
        !matches!(sent("q", "v", "{}", one).await, Ok(Err(error)) if error.to_string() == sentence)
    );
}
