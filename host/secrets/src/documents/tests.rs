//! Tests with a server on this machine.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use landfall_model::Secret;

use super::limits::{KEEP_MAX, TOTAL_MAX};
use super::*;

/// Answers each connection with the next of these; counts them.
async fn server(answers: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answers[counted
                .fetch_add(1, Ordering::SeqCst)
                .min(answers.len() - 1)];
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, count)
}

fn client(number: u8) -> Option<IpAddr> {
    Some(IpAddr::from([203, 0, 113, number]))
}

fn documents() -> KeyDocuments {
    documents_in(None)
}

fn documents_in(dir: Option<PathBuf>) -> KeyDocuments {
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    KeyDocuments::with_addresses(None, dir, Clock::System, loopback)
}

#[tokio::test]
async fn repeated_requests_share_one_fetch() {
    let (url, count) =
        server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
    let documents = documents();
    assert_eq!(documents.get(&url), None);
    for _ in 0..5 {
        documents
            .fetch(&url, KeyRequest::Configured, None)
            .await
            .unwrap();
    }

    assert_eq!(
        (documents.get(&url).unwrap(), count.load(Ordering::SeqCst)),
        ("k1".into(), 1)
    );
}

#[tokio::test]
async fn failed_fetches_are_not_repeated_soon() {
    let (url, count) = server(&[
        "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ])
    .await;
    let documents = documents();
    for _ in 0..3 {
        assert_eq!(
            documents.fetch(&url, KeyRequest::Configured, None).await,
            Err(KeyDocumentError::Status(302))
        );
    }

    assert_eq!(
        (documents.get(&url), count.load(Ordering::SeqCst)),
        (None, 1)
    );
}

#[tokio::test]
async fn expired_keys_survive_an_outage() {
    let (url, count) = server(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1",
        DOWN,
    ])
    .await;
    let (documents, ask) = (documents(), KeyRequest::Posted("{\"key_id\":\"1\"}".into()));
    let name = format!("{url}#1");
    documents.fetch(&name, ask.clone(), None).await.unwrap();
    assert_eq!(documents.get(&name).unwrap(), "k1");
    assert_eq!(documents.get(&url), None);
    documents
        .store(&name, "k1".into(), Some(Duration::ZERO))
        .await;
    lock(&documents.attempts).clear();
    assert_eq!(documents.get(&name), None);
    documents.fetch(&name, ask, None).await.unwrap();
    assert_eq!(
        (documents.get(&name).unwrap(), count.load(Ordering::SeqCst)),
        ("k1".into(), 2)
    );
}

#[tokio::test]
async fn access_token_is_obtained_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in [
            r#"{"access_token":"t0ken","token_type":"Application"}"#,
            "the key",
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            heads.push(String::from_utf8_lossy(&head[..length]).to_lowercase());
            let length = answer.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    let (documents, url) = (documents(), format!("{origin}/public_key/k1"));
    let request = TokenRequest {
        token_url: format!("{origin}/token"),
        client: Secret::new("id:s3cret"),
        scope: "https://api.example/scope",
    };
    documents
        .fetch(&url, KeyRequest::Granted(request), None)
        .await
        .unwrap();
    assert_eq!(documents.get(&url).unwrap(), "the key");
    let heads = served.await.unwrap();
    assert!(
        heads[0].starts_with("post /token ")
            && heads[0].contains("authorization: basic awq6cznjcmv0"),
        "{heads:?}"
    );
    assert!(
        heads[1].starts_with("get /public_key/k1 ")
            && heads[1].contains("authorization: bearer t0ken"),
        "{heads:?}"
    );
    for answer in [
        "",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":"a\r\nb"}"#,
        r#"{"access_token":1}"#,
    ] {
        assert_eq!(request::access_token(answer.as_bytes()), None, "{answer}");
    }
}

#[tokio::test]
async fn senders_have_a_fetch_budget() {
    let (url, count) =
        server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
    let documents = documents();
    let mut refused = 0;
    for number in 0..100 {
        refused += usize::from(
            documents
                .fetch(&format!("{url}/{number}"), KeyRequest::Named, client(1))
                .await
                .is_err(),
        );
    }

    assert_eq!(
        (count.load(Ordering::SeqCst), refused),
        (
            budget::PER_CLIENT_PER_MINUTE,
            100 - budget::PER_CLIENT_PER_MINUTE
        )
    );
}

#[tokio::test]
async fn known_documents_need_no_budget() {
    let (url, count) =
        server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
    let (documents, ask) = (documents(), KeyRequest::Posted("{}".into()));
    let name = |key: &str| format!("{url}#{key}");
    documents
        .fetch(&name("good"), ask.clone(), client(1))
        .await
        .unwrap();
    for number in 0..budget::PER_CLIENT_PER_MINUTE + 5 {
        documents
            .fetch(&name(&number.to_string()), ask.clone(), client(1))
            .await
            .ok();
    }

    assert!(
        documents
            .fetch(&name("unknown"), ask.clone(), client(1))
            .await
            .is_err()
    );
    // Later documents of the origin may have evicted it: it is stored again, expired.
    documents
        .store(&name("good"), "k1".into(), Some(Duration::ZERO))
        .await;
    lock(&documents.attempts).clear();
    let before = count.load(Ordering::SeqCst);
    documents
        .fetch(&name("good"), ask, client(1))
        .await
        .unwrap();
    assert_eq!(
        (
            documents.get(&name("good")).unwrap(),
            count.load(Ordering::SeqCst)
        ),
        ("k1".into(), before + 1)
    );
}

#[tokio::test]
async fn private_addresses_are_never_called() {
    let documents = KeyDocuments::new(None, None, Clock::System);
    let error = documents
        .fetch("http://localhost:9/keys", KeyRequest::Configured, None)
        .await
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("is not a public address"), "{error}");
}

#[tokio::test]
async fn senders_cannot_name_special_addresses() {
    let (url, count) = server(&[UP]).await;
    let documents = KeyDocuments::new(None, None, Clock::System);
    for named in [
        url.as_str(),
        "http://169.254.169.254/keys",
        "http://[::1]:9/keys",
    ] {
        let fetched = documents.fetch(named, KeyRequest::Named, client(1)).await;
        for refused in [fetched, documents.call(named).await] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("is not a public address"), "{error}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);

    // The operator wrote the same address in a hook file.
    let other = KeyDocuments::new(None, None, Clock::System);
    other
        .fetch(&url, KeyRequest::Configured, None)
        .await
        .unwrap();
    other.refresh(&url).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

const UP: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1";
const DOWN: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn clients_have_separate_budgets() {
    let (url, _) = server(&[UP]).await;
    let documents = documents();
    for number in 0..budget::PER_CLIENT_PER_MINUTE + 5 {
        documents
            .fetch(
                &format!("{url}/made-up-{number}"),
                KeyRequest::Named,
                client(1),
            )
            .await
            .ok();
    }

    assert!(
        documents
            .fetch(&format!("{url}/another"), KeyRequest::Named, client(1))
            .await
            .is_err()
    );
    documents
        .fetch(&format!("{url}/genuine"), KeyRequest::Named, client(2))
        .await
        .unwrap();
    assert!(documents.get(&format!("{url}/genuine")).is_some());
}

#[tokio::test]
async fn documents_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (url, count) = server(&[UP, UP, DOWN]).await;
    let (posted, ask) = (format!("{url}#1"), KeyRequest::Posted("{}".into()));
    let first = documents_in(Some(dir.path().join("keys")));
    first
        .fetch(&url, KeyRequest::Configured, None)
        .await
        .unwrap();
    first.fetch(&posted, ask.clone(), None).await.unwrap();
    let second = documents_in(Some(dir.path().join("keys")));
    assert_eq!(
        (second.get(&url).unwrap(), second.get(&posted).unwrap()),
        ("k1".into(), "k1".into())
    );
    second.fetch(&posted, ask, None).await.unwrap();
    assert_eq!(
        (second.get(&posted).unwrap(), count.load(Ordering::SeqCst)),
        ("k1".into(), 3)
    );
}

#[tokio::test]
async fn old_documents_fail_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _) = server(&[DOWN]).await;
    disk::prepare(dir.path()).unwrap();
    let fetched = Clock::System.now() - (KEEP_MAX - Duration::from_millis(1500));
    for (name, has_end) in [(url.clone(), false), (format!("{url}#1"), true)] {
        disk::write(dir.path(), &name, b"k1", fetched, has_end).unwrap();
    }

    let documents = documents_in(Some(dir.path().into()));
    let posted = format!("{url}#1");
    // The source is down: the document is used until it is a day old.
    documents
        .fetch(&posted, KeyRequest::Posted("{}".into()), None)
        .await
        .unwrap();
    assert!(documents.get(&url).is_some() && documents.get(&posted).is_some());
    while documents.get(&url).is_some() || documents.get(&posted).is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    lock(&documents.attempts).clear();
    assert_eq!(
        documents.fetch(&url, KeyRequest::Configured, None).await,
        Err(KeyDocumentError::Status(500))
    );
    assert_eq!(
        documents
            .fetch(&posted, KeyRequest::Posted("{}".into()), None)
            .await,
        Err(KeyDocumentError::Status(500))
    );
}

#[tokio::test]
async fn no_origin_pushes_out_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let documents = documents_in(Some(dir.path().join("keys")));
    documents
        .store("https://good.example/keys", "k".into(), None)
        .await;
    for number in 0..TOTAL_MAX + 60 {
        documents
            .store(
                &format!("https://{}.example/{number}", number % 20),
                "k".into(),
                None,
            )
            .await;
    }

    assert!(documents.get("https://good.example/keys").is_some());
    assert_eq!(documents.stored.load().len(), TOTAL_MAX);
    assert_eq!(
        std::fs::read_dir(dir.path().join("keys")).unwrap().count(),
        TOTAL_MAX
    );
}
