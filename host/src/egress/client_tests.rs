//! The client against real sockets on loopback: what is refused must not connect.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::model::{Allow, CredentialPart, Secret, SecretError, SecretRef};

struct OneSecret;

impl SecretSource for OneSecret {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match reference {
            SecretRef::Env(name) if name == "GONE" => Err(SecretError::NotSet(name.clone())),
            _ => Ok(Secret::new("t0ken")),
        }
    }
}

fn client(http: &[String], addresses: &[&str]) -> Client {
    with_credentials(http, addresses, Vec::new())
}

fn with_credentials(http: &[String], addresses: &[&str], credentials: Vec<Credential>) -> Client {
    let allow = Allow {
        http: http.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        addresses: addresses.iter().map(|range| range.parse().unwrap()).collect(),
        ..Allow::default()
    };
    Client::new(Policy::new(allow), credentials, Arc::new(OneSecret))
}

fn get(url: &str) -> Outgoing {
    Outgoing {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(2),
    }
}

/// A server for one connection: gives `response`, returns the request it read.
async fn server(response: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        stream.write_all(response.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    });
    (port, task)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 1\r\n\r\nhi";

#[tokio::test]
async fn an_allowed_call_carries_the_key_and_the_credential() {
    let (port, request) = server(OK).await;
    let origin = format!("http://127.0.0.1:{port}/api/");
    let credential = Credential {
        target: origin.parse().unwrap(),
        header: "authorization".parse().unwrap(),
        value: vec![CredentialPart::Literal("Bearer ".into()), CredentialPart::Secret("env:T".parse().unwrap())],
    };
    let client = with_credentials(std::slice::from_ref(&origin), &[], vec![credential]);
    let received = client.send(get(&format!("{origin}x?q=1#f")), "event-1").await.unwrap();
    assert_eq!((received.status, &received.body[..]), (200, &b"hi"[..]));
    let request = request.await.unwrap();
    assert!(request.starts_with("GET /api/x?q=1 HTTP/1.1\r\n"), "{request}");
    for line in ["authorization: Bearer t0ken", "idempotency-key: event-1", &format!("host: 127.0.0.1:{port}")] {
        assert!(request.contains(line), "{line} not in {request}");
    }
}

#[tokio::test]
async fn a_credential_without_a_value_stops_the_call() {
    let origin = "http://127.0.0.1:9/".to_owned();
    let credential = Credential {
        target: origin.parse().unwrap(),
        header: "authorization".parse().unwrap(),
        value: vec![CredentialPart::Secret("env:GONE".parse().unwrap())],
    };
    let error = with_credentials(std::slice::from_ref(&origin), &[], vec![credential])
        .send(get(&origin), "e")
        .await
        .unwrap_err();
    assert!(matches!(&error, OutgoingError::Other(text) if text.contains("GONE")), "{error:?}");
}

#[tokio::test]
async fn special_addresses_are_refused_in_every_spelling_and_nothing_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "[::ffff:127.0.0.1]"] {
        // A name is not an address: listing it does not open what it resolves to.
        let origin = format!("http://{host}:{port}/");
        let listed = if host.starts_with('[') { format!("http://example.com:{port}/") } else { origin.clone() };
        let error = client(&[listed], &[]).send(get(&origin), "e").await.unwrap_err();
        assert!(matches!(error, OutgoingError::Denied(_)), "{host}: {error:?}");
    }
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]"] {
        let error =
            client(&["http://example.com/".into()], &[]).send(get(&format!("http://{host}:{port}/")), "e").await;
        assert!(matches!(error, Err(OutgoingError::Denied(_))), "{host}: {error:?}");
    }
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "something connected");
}

#[tokio::test]
async fn a_named_range_opens_a_name() {
    let (port, request) = server(OK).await;
    let origin = format!("http://localhost:{port}/");
    client(std::slice::from_ref(&origin), &["127.0.0.0/8", "::1/128"]).send(get(&origin), "e").await.unwrap();
    request.await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_written_opens_nothing_for_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = format!("http://localhost:{port}/");
    let error = client(&["http://127.0.0.1:1/".into(), named.clone()], &[]).send(get(&named), "e").await.unwrap_err();
    assert!(matches!(error, OutgoingError::Denied(_)), "{error:?}");
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "something connected");
}

#[tokio::test]
async fn bad_requests_and_bad_answers_are_sorted() {
    let any = ["http://127.0.0.1/".to_owned()];
    for url in ["file:///etc/passwd", "http://", "/relative", "http://u:p@127.0.0.1/"] {
        let error = client(&any, &[]).send(get(url), "e").await.unwrap_err();
        assert!(matches!(error, OutgoingError::Invalid(_)), "{url}: {error:?}");
    }
    for (name, value) in [("Host", "x"), ("a b", "x"), ("x", "a\r\nb: c"), ("Content-Length", "1")] {
        let mut outgoing = get("http://127.0.0.1/");
        outgoing.headers = vec![(name.into(), value.into())];
        let error = client(&any, &[]).send(outgoing, "e").await.unwrap_err();
        assert!(matches!(error, OutgoingError::Invalid(_)), "{name}: {error:?}");
    }
    let (port, _request) = server("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").await;
    let origin = format!("http://127.0.0.1:{port}/");
    let error = client(std::slice::from_ref(&origin), &[]).send(get(&origin), "e").await.unwrap_err();
    assert!(matches!(error, OutgoingError::Limit(_) | OutgoingError::Connection(_)), "{error:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let mut outgoing = get(&origin);
    outgoing.timeout = Duration::from_millis(50);
    let error = client(&[origin], &[]).send(outgoing, "e").await.unwrap_err();
    assert!(matches!(error, OutgoingError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (port, _request) =
        server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let origin = format!("http://127.0.0.1:{port}/");
    assert_eq!(client(std::slice::from_ref(&origin), &[]).send(get(&origin), "e").await.unwrap().status, 302);
}
