//! The client against real sockets on loopback: what is refused must not connect.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::call::Call;
use super::super::credentials::Credentials;
use super::*;
use landfall_model::{
    Allow, CredentialKind, CredentialPart, Event, EventId, OAuth1Spec, Secret, SecretError,
    SecretRef, SigV4Spec,
};

struct OneSecret;

impl SecretSource for OneSecret {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match reference {
            SecretRef::Env(name) if name == "GONE" => Err(SecretError::NotSet(name.clone())),
            _ => Ok(Secret::new("t0ken-of-some-length")),
        }
    }
}

struct Base64Secret;

impl SecretSource for Base64Secret {
    fn value(&self, _: &SecretRef) -> Result<Secret, SecretError> {
        Ok(Secret::new("whsec_c2VjcmV0IGtleQ=="))
    }
}

fn client(http: &[String], addresses: &[&str]) -> Client {
    with_credentials(http, addresses, Vec::new())
}

fn with_credentials(http: &[String], addresses: &[&str], credentials: Vec<Credential>) -> Client {
    let allow = Allow {
        http: http.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        addresses: addresses
            .iter()
            .map(|range| range.parse().unwrap())
            .collect(),
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
        untrusted: None,
        memory: None,
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
        matches!(&error, OutgoingError::Other(text) if text.contains("the log of the node says why")),
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
        let credentials = Credentials::new(vec![credential()], Arc::new(Base64Secret));
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
async fn special_addresses_are_never_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "[::ffff:127.0.0.1]"] {
        // A name is not an address: listing it does not open what it resolves to.
        let origin = format!("http://{host}:{port}/");
        let listed = if host.starts_with('[') {
            format!("http://example.com:{port}/")
        } else {
            origin.clone()
        };
        let error = client(&[listed], &[])
            .send(get(&origin), "e")
            .await
            .unwrap_err();
        assert!(
            matches!(error, OutgoingError::Denied(_)),
            "{host}: {error:?}"
        );
    }
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
    ] {
        let error = client(&["http://example.com/".into()], &[])
            .send(get(&format!("http://{host}:{port}/")), "e")
            .await;
        assert!(
            matches!(error, Err(OutgoingError::Denied(_))),
            "{host}: {error:?}"
        );
    }
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "something connected");
}

#[tokio::test]
async fn a_named_range_opens_a_name() {
    let (port, request) = server(OK).await;
    let origin = format!("http://localhost:{port}/");
    client(std::slice::from_ref(&origin), &["127.0.0.0/8", "::1/128"])
        .send(get(&origin), "e")
        .await
        .unwrap();
    request.await.unwrap();
}

#[tokio::test]
async fn literal_grants_do_not_cover_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = format!("http://localhost:{port}/");
    let error = client(&["http://127.0.0.1:1/".into(), named.clone()], &[])
        .send(get(&named), "e")
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Denied(_)), "{error:?}");
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "something connected");
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
            OutgoingError::Limit(_) | OutgoingError::Connection(_)
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

fn secret(name: &str) -> SecretRef {
    format!("env:{name}").parse().unwrap()
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
async fn components_open_no_metadata_server() {
    let origin = "http://127.0.0.1:9/".to_owned();
    let client = client(std::slice::from_ref(&origin), &[]);
    for name in [
        "Metadata",
        "metadata ",
        "Metadata-Flavor",
        "X-aws-ec2-metadata-token",
        "X-AWS-EC2-Metadata-Token-TTL-Seconds",
        "X-aliyun-ecs-metadata-token",
        "X-aliyun-ecs-metadata-token-ttl-seconds",
        "X-IDENTITY-HEADER",
        "X-Google-Metadata-Request",
        "X-Metadata-Token",
    ] {
        let call = Outgoing {
            headers: vec![(name.into(), "true".into())],
            ..get(&origin)
        };
        let refused = client.send(call, "event-1").await.unwrap_err();
        assert!(
            refused.to_string().contains("opens the metadata server"),
            "{name}: {refused}"
        );
    }
    let call = Outgoing {
        headers: vec![("x-metadata".into(), "fine".into())],
        ..get(&origin)
    };
    let sent = client.send(call, "event-1").await.unwrap_err();
    assert!(!matches!(sent, OutgoingError::Invalid(_)), "{sent}");
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
    let client = Client::new(policy, credentials.clone(), Arc::new(OneSecret));
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
    assert!(matches!(refused, OutgoingError::Denied(_)), "{refused}");
}

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
    )
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

#[tokio::test]
async fn credentials_are_redacted_in_every_form() {
    let added = super::super::credentials::Added::of(&["t/k+n \"x\""]);
    let text = "t/k+n \"x\" | t%2Fk%2Bn%20%22x%22 | t%2fk%2bn%20%22x%22 | t%2Fk%2Bn+%22x%22 | t/k+n \\\"x\\\" | dC9rK24gIngi";
    let mut body = Bytes::from_static(text.as_bytes());
    added.redact(&mut HeaderMap::new(), &mut body);
    assert_eq!(body, ["[redacted]"; 6].join(" | "));
    // In hex, and in the base64 of something larger, wherever in it it stands.
    let secret = "t0p-s3cret~value?>";
    let added = super::super::credentials::Added::of(&[secret]);
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
    let added = super::super::credentials::Added::of(&[odd]);
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
    let added = super::super::credentials::Added::of(&["acme", "acme-supersecret-99"]);
    let mut body = Bytes::from_static(b"acme:acme-supersecret-99");
    added.redact(&mut HeaderMap::new(), &mut body);
    assert_eq!(body, "[redacted]:[redacted]");
}
