//! Key documents, fetched from addresses that `verify` has found to be the provider's: kept, refreshed, and still served
//! while their source is down, for a day and across restarts. No redirects are followed, and no document is asked for more often than
//! senders can make us.

mod budget;
mod disk;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use landfall_egress::{Client, Outgoing, Policy};
use landfall_model::{Allow, Clock, Documents, Secret, SecretSource};

use budget::Budget;

/// A key that is not in a document may be in a newer one: ask again, but not sooner than this.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// After a failure.
const FAILED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A document of this age is fetched anew.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// A document that cannot be fetched anew is used for so long, and no longer: a key may have been withdrawn since.
const KEEP_MAX: Duration = Duration::from_secs(24 * 3600);
const REFRESH_EVERY: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(5);
const BYTES_MAX: usize = 256 << 10;
/// Of one origin: senders may name documents, and must not push out those of others.
const DOCUMENTS_MAX: usize = 32;
/// Of all origins.
const TOTAL_MAX: usize = 256;

/// What is at hand, by address.
pub struct KeyDocuments {
    kept: ArcSwap<HashMap<String, Kept>>,
    tries: Mutex<HashMap<String, Try>>,
    /// One fetch of one document, however many requests need it.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    budget: Budget,
    /// Where documents outlive the process.
    dir: Option<PathBuf>,
    secrets: Arc<dyn SecretSource>,
    /// Special addresses that documents may come from: none but in tests.
    addresses: Vec<ipnet::IpNet>,
    /// That of the node itself, wherever its operator says that it is.
    own: Option<String>,
}

#[derive(Clone)]
struct Kept {
    bytes: Bytes,
    /// When it was fetched, or read from disk.
    at: Instant,
    /// How old it was then.
    age_then: Duration,
    /// From then on it has to be asked for again; none = the refresh does that.
    until: Option<Instant>,
}

/// How a document is asked for.
#[derive(Clone, PartialEq)]
pub enum Ask {
    /// By GET, at the operator's address: not held up by what senders name.
    Configured,
    /// By GET, at an address that a sender named.
    Named,
    /// By POST of this JSON, at the address before the `#` of its name; a sender named what is after it.
    Posted(Bytes),
    /// By GET, with an access token that is obtained first; a sender named a part of the address.
    Granted(TokenRequest),
}

/// How an access token is obtained: the client credentials grant of OAuth 2.0 (RFC 6749 section 4.4).
#[derive(Clone, PartialEq)]
pub struct TokenRequest {
    /// Where the token is issued.
    pub token_url: String,
    /// `CLIENT_ID:CLIENT_SECRET`.
    pub client: Secret,
    /// What is asked for.
    pub scope: &'static str,
}

struct Try {
    at: Instant,
    failed: Option<String>,
}

// === impl KeyDocuments ===

impl KeyDocuments {
    /// `secrets` is for the client, which adds none here; `own` is a document that the operator of the node, and no hook, has named;
    /// documents are kept in `dir`. Blocks while it reads them.
    pub fn new(
        secrets: Arc<dyn SecretSource>,
        own: Option<String>,
        dir: Option<PathBuf>,
    ) -> KeyDocuments {
        let dir = dir.filter(|dir| match disk::prepare(dir) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "key documents cannot be kept there: after a restart they are fetched anew");
                false
            }
        });
        let found = dir
            .as_ref()
            .map(|dir| disk::read_all(dir, Clock::System.now()))
            .unwrap_or_default();
        KeyDocuments {
            kept: ArcSwap::from_pointee(found.into_iter().map(Kept::found).collect()),
            tries: Mutex::default(),
            turns: Mutex::default(),
            budget: Budget::default(),
            dir,
            secrets,
            addresses: Vec::new(),
            own,
        }
    }

    /// Fetches a document, unless that has been done just now. The error is a sentence. `client` is whose request needs it.
    pub async fn fetch(&self, url: &str, ask: Ask, client: Option<IpAddr>) -> Result<(), String> {
        if let Some(verdict) = self.recent(url) {
            return verdict;
        }
        let turn = self.turn(url);
        let _turn = turn.lock().await;
        if let Some(verdict) = self.recent(url) {
            return verdict;
        }
        // Only what is not known yet is under the budget of senders.
        let _turns = match ask {
            Ask::Configured => None,
            Ask::Named | Ask::Posted(_) | Ask::Granted(_) if self.kept.load().contains_key(url) => {
                None
            }
            Ask::Named | Ask::Posted(_) | Ask::Granted(_) => {
                Some(self.budget.take(&origin_of(url), client)?)
            }
        };
        let fetched = match &ask {
            Ask::Posted(body) => self.post_to(url, body.clone()).await,
            Ask::Granted(request) => self.get_with_token(url, request).await,
            Ask::Configured | Ask::Named => self.get_from(url).await,
        };
        let failed = fetched.as_ref().err().cloned();
        let has_end = matches!(ask, Ask::Posted(_) | Ask::Granted(_));
        match &fetched {
            Ok(bytes) => {
                self.keep(url, bytes.clone(), has_end.then_some(AGE_MAX))
                    .await
            }
            Err(_) if has_end => self.serve_on(url),
            Err(_) => {}
        }
        let mut tries = self
            .tries
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        tries.retain(|_, one| one.at.elapsed() < AGAIN_AFTER);
        tries.insert(
            url.into(),
            Try {
                at: Instant::now(),
                failed,
            },
        );
        match fetched {
            Ok(_) => Ok(()),
            // The old one serves on.
            Err(_) if self.get(url).is_some() => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Calls an address of the provider, which asked for it.
    pub async fn call(&self, url: &str) -> Result<(), String> {
        self.get_from(url).await.map(drop)
    }

    /// Fetches old documents anew until the process ends.
    pub async fn refresh_for_ever(self: Arc<KeyDocuments>) {
        loop {
            tokio::time::sleep(REFRESH_EVERY).await;
            let old: Vec<String> = self
                .kept
                .load()
                .iter()
                .filter(|(_, kept)| kept.until.is_none() && kept.age() > AGE_MAX)
                .map(|(url, _)| url.clone())
                .collect();
            for url in old {
                match self.get_from(&url).await {
                    Ok(bytes) => self.keep(&url, bytes, None).await,
                    Err(why) if self.get(&url).is_some() => {
                        tracing::warn!(
                            url,
                            why,
                            "key document not refreshed: the old one serves on, for a day at most"
                        );
                    }
                    Err(why) => {
                        tracing::error!(
                            url,
                            why,
                            "key document not refreshed for a day: requests that need it are refused"
                        );
                        self.forget(&url);
                    }
                }
            }
        }
    }

    fn turn(&self, url: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self
            .turns
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(url.into()).or_default().clone()
    }

    fn recent(&self, url: &str) -> Option<Result<(), String>> {
        let tries = self
            .tries
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let last = tries.get(url)?;
        let pause = if last.failed.is_some() {
            FAILED_AGAIN_AFTER
        } else {
            AGAIN_AFTER
        };
        if last.at.elapsed() >= pause {
            return None;
        }
        match &last.failed {
            Some(why) if self.get(url).is_none() => Some(Err(why.clone())),
            _ => Some(Ok(())),
        }
    }

    async fn get_from(&self, url: &str) -> Result<Bytes, String> {
        let (method, headers) = ("GET".into(), Vec::new());
        self.exchange(Outgoing {
            method,
            url: url.into(),
            headers,
            body: Bytes::new(),
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        })
        .await
    }

    async fn post_to(&self, url: &str, body: Bytes) -> Result<Bytes, String> {
        let (method, headers) = (
            "POST".into(),
            vec![("content-type".into(), "application/json".into())],
        );
        let url = url.split('#').next().unwrap_or_default().to_owned();
        self.exchange(Outgoing {
            method,
            url,
            headers,
            body,
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        })
        .await
    }

    async fn get_with_token(&self, url: &str, request: &TokenRequest) -> Result<Bytes, String> {
        let basic = format!("Basic {}", STANDARD.encode(request.client.expose()));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", request.scope)
            .finish();
        let answer = self
            .exchange(Outgoing {
                method: "POST".into(),
                url: request.token_url.clone(),
                headers: vec![
                    ("authorization".into(), basic),
                    (
                        "content-type".into(),
                        "application/x-www-form-urlencoded".into(),
                    ),
                ],
                body: form.into(),
                timeout: TIMEOUT,
                untrusted: None,
                memory: None,
            })
            .await
            .map_err(|why| format!("no access token from {}: {why}", request.token_url))?;
        let token = access_token(&answer)
            .ok_or_else(|| format!("no access token in the answer of {}", request.token_url))?;

        self.exchange(Outgoing {
            method: "GET".into(),
            url: url.into(),
            headers: vec![("authorization".into(), format!("Bearer {token}"))],
            body: Bytes::new(),
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        })
        .await
    }

    async fn exchange(&self, outgoing: Outgoing) -> Result<Bytes, String> {
        let url = &outgoing.url;
        let origin = url.split(['?', '#']).next().unwrap_or_default();
        let http = vec![origin.parse()?];
        let policy = match self.own.as_ref() == Some(url) {
            true => Policy::anywhere(http),
            false => Policy::new(Allow {
                http,
                addresses: self.addresses.clone(),
                ..Allow::default()
            }),
        };
        let client = Client::new(policy, Vec::new(), self.secrets.clone());
        let received = client
            .send(outgoing, "key-document")
            .await
            .map_err(|error| error.to_string())?;
        match received.status {
            200..=299 if received.body.len() <= BYTES_MAX => Ok(received.body),
            200..=299 => Err(format!("the document has more than {BYTES_MAX} bytes")),
            status => Err(format!("status {status}")),
        }
    }

    async fn keep(&self, url: &str, bytes: Bytes, lasts: Option<Duration>) {
        let until = lasts.map(|lasts| Instant::now() + lasts);
        let new = Kept {
            bytes: bytes.clone(),
            at: Instant::now(),
            age_then: Duration::ZERO,
            until,
        };
        let mut removed = Vec::new();
        self.kept.rcu(|kept| {
            let mut kept = HashMap::clone(kept);
            kept.remove(url);
            removed = make_room(&mut kept, &origin_of(url));
            kept.insert(url.into(), new.clone());
            kept
        });
        let Some(dir) = self.dir.clone() else { return };
        let (url, has_end) = (url.to_owned(), until.is_some());
        let written = tokio::task::spawn_blocking(move || {
            removed.iter().for_each(|url| disk::remove(&dir, url));
            disk::write(&dir, &url, &bytes, Clock::System.now(), has_end)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "a key document cannot be kept on disk: after a restart it is fetched anew");
        }
    }

    /// What could not be fetched anew is used for another while, but not beyond its day.
    fn serve_on(&self, url: &str) {
        self.kept.rcu(|kept| {
            let mut kept = HashMap::clone(kept);
            if let Some(old) = kept.get_mut(url) {
                old.until = Some(Instant::now() + REFRESH_EVERY);
            }
            kept
        });
    }

    fn forget(&self, url: &str) {
        self.kept.rcu(|kept| {
            let mut kept = HashMap::clone(kept);
            kept.remove(url);
            kept
        });
        if let Some(dir) = &self.dir {
            tokio::task::block_in_place(|| disk::remove(dir, url));
        }
    }
}

/// For one more of this origin: its own oldest ones go first, then those of the origin that has most.
fn make_room(kept: &mut HashMap<String, Kept>, origin: &str) -> Vec<String> {
    let mut by_origin: HashMap<String, Vec<(Duration, String)>> = HashMap::new();
    for (url, one) in kept.iter() {
        by_origin
            .entry(origin_of(url))
            .or_default()
            .push((one.age(), url.clone()));
    }
    let own = by_origin
        .get(origin)
        .filter(|own| own.len() >= DOCUMENTS_MAX);
    let most = by_origin
        .values()
        .max_by_key(|some| some.len())
        .filter(|_| kept.len() >= TOTAL_MAX);
    let oldest = own
        .or(most)
        .and_then(|some| some.iter().max())
        .map(|(_, url)| url.clone());
    if let Some(url) = &oldest {
        kept.remove(url);
    }
    oldest.into_iter().collect()
}

// === impl Kept ===

impl Kept {
    fn found(found: disk::Found) -> (String, Kept) {
        let disk::Found {
            url,
            bytes,
            age,
            has_end,
        } = found;
        let until = has_end.then(|| Instant::now() + AGE_MAX.saturating_sub(age));
        (
            url,
            Kept {
                bytes,
                at: Instant::now(),
                age_then: age,
                until,
            },
        )
    }

    /// Since it was fetched.
    fn age(&self) -> Duration {
        self.age_then + self.at.elapsed()
    }
}

/// RFC 6749 section 5.1; a text that a header can hold.
fn access_token(answer: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let token = answer.get("access_token")?.as_str()?;
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| token.to_owned())
}

/// Scheme, host and port.
fn origin_of(url: &str) -> String {
    url::Url::parse(url)
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default()
}

impl Documents for KeyDocuments {
    fn get(&self, url: &str) -> Option<Bytes> {
        let kept = self.kept.load();
        let kept = kept.get(url)?;
        let is_fresh =
            kept.age() < KEEP_MAX && kept.until.is_none_or(|until| Instant::now() < until);
        is_fresh.then(|| kept.bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Secrets;

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
        let mut documents = KeyDocuments::new(Arc::new(Secrets::default()), None, dir);
        documents.addresses = vec!["127.0.0.0/8".parse().unwrap()];
        documents
    }

    #[tokio::test]
    async fn a_document_is_fetched_once_however_often_it_is_asked_for() {
        let (url, count) =
            server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
        let documents = documents();
        assert_eq!(documents.get(&url), None);
        for _ in 0..5 {
            documents.fetch(&url, Ask::Configured, None).await.unwrap();
        }
        assert_eq!(
            (documents.get(&url).unwrap(), count.load(Ordering::SeqCst)),
            ("k1".into(), 1)
        );
    }

    #[tokio::test]
    async fn a_failure_is_said_and_not_repeated_at_once() {
        let (url, count) =
            server(&["HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]).await;
        let documents = documents();
        for _ in 0..3 {
            assert_eq!(
                documents.fetch(&url, Ask::Configured, None).await,
                Err("status 302".into())
            );
        }
        assert_eq!(
            (documents.get(&url), count.load(Ordering::SeqCst)),
            (None, 1)
        );
    }

    #[tokio::test]
    async fn a_key_that_is_asked_for_by_its_id_serves_on_while_its_source_is_down_and_is_asked_for_again()
     {
        let (url, count) = server(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1",
            DOWN,
        ])
        .await;
        let (documents, ask) = (documents(), Ask::Posted("{\"key_id\":\"1\"}".into()));
        let name = format!("{url}#1");
        documents.fetch(&name, ask.clone(), None).await.unwrap();
        assert_eq!(documents.get(&name).unwrap(), "k1");
        assert_eq!(documents.get(&url), None);
        documents
            .keep(&name, "k1".into(), Some(Duration::ZERO))
            .await;
        documents.tries.lock().unwrap().clear();
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
            .fetch(&url, Ask::Granted(request), None)
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
            assert_eq!(access_token(answer.as_bytes()), None, "{answer}");
        }
    }

    #[tokio::test]
    async fn senders_cannot_make_us_fetch_without_end() {
        let (url, count) =
            server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
        let documents = documents();
        let mut refused = 0;
        for number in 0..100 {
            refused += usize::from(
                documents
                    .fetch(&format!("{url}/{number}"), Ask::Named, client(1))
                    .await
                    .is_err(),
            );
        }
        assert_eq!(
            (count.load(Ordering::SeqCst), refused),
            (
                budget::OF_A_CLIENT_A_MINUTE,
                100 - budget::OF_A_CLIENT_A_MINUTE
            )
        );
    }

    #[tokio::test]
    async fn what_is_known_is_fetched_anew_although_senders_have_spent_the_budget() {
        let (url, count) =
            server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
        let (documents, ask) = (documents(), Ask::Posted("{}".into()));
        let name = |key: &str| format!("{url}#{key}");
        documents
            .fetch(&name("good"), ask.clone(), client(1))
            .await
            .unwrap();
        for number in 0..budget::OF_A_CLIENT_A_MINUTE + 5 {
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
        // The good one may have been pushed out by others of its origin: it is put back, past its time.
        documents
            .keep(&name("good"), "k1".into(), Some(Duration::ZERO))
            .await;
        documents.tries.lock().unwrap().clear();
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
    async fn addresses_inside_are_never_called() {
        let documents = KeyDocuments::new(Arc::new(Secrets::default()), None, None);
        let why = documents
            .fetch("http://localhost:9/keys", Ask::Configured, None)
            .await
            .unwrap_err();
        assert!(why.contains("is not a public address"), "{why}");
    }

    const UP: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1";
    const DOWN: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn one_client_spends_no_budget_of_others() {
        let (url, _) = server(&[UP]).await;
        let documents = documents();
        for number in 0..budget::OF_A_CLIENT_A_MINUTE + 5 {
            documents
                .fetch(&format!("{url}/made-up-{number}"), Ask::Named, client(1))
                .await
                .ok();
        }
        assert!(
            documents
                .fetch(&format!("{url}/another"), Ask::Named, client(1))
                .await
                .is_err()
        );
        documents
            .fetch(&format!("{url}/genuine"), Ask::Named, client(2))
            .await
            .unwrap();
        assert!(documents.get(&format!("{url}/genuine")).is_some());
    }

    #[tokio::test]
    async fn documents_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (url, count) = server(&[UP, UP, DOWN]).await;
        let (posted, ask) = (format!("{url}#1"), Ask::Posted("{}".into()));
        let first = documents_in(Some(dir.path().join("keys")));
        first.fetch(&url, Ask::Configured, None).await.unwrap();
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
    async fn an_old_document_fails_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (url, _) = server(&[DOWN]).await;
        disk::prepare(dir.path()).unwrap();
        let fetched = Clock::System.now() - (KEEP_MAX - Duration::from_millis(1500));
        for (name, has_end) in [(url.clone(), false), (format!("{url}#1"), true)] {
            disk::write(dir.path(), &name, b"k1", fetched, has_end).unwrap();
        }
        let documents = documents_in(Some(dir.path().into()));
        let posted = format!("{url}#1");
        // Its source is down: it serves on until its day is over, and then no more.
        documents
            .fetch(&posted, Ask::Posted("{}".into()), None)
            .await
            .unwrap();
        assert!(documents.get(&url).is_some() && documents.get(&posted).is_some());
        while documents.get(&url).is_some() || documents.get(&posted).is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        documents.tries.lock().unwrap().clear();
        assert_eq!(
            documents.fetch(&url, Ask::Configured, None).await,
            Err("status 500".into())
        );
        assert_eq!(
            documents
                .fetch(&posted, Ask::Posted("{}".into()), None)
                .await,
            Err("status 500".into())
        );
    }

    #[tokio::test]
    async fn no_origin_pushes_out_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let documents = documents_in(Some(dir.path().join("keys")));
        documents
            .keep("https://good.example/keys", "k".into(), None)
            .await;
        for number in 0..TOTAL_MAX + 60 {
            documents
                .keep(
                    &format!("https://{}.example/{number}", number % 20),
                    "k".into(),
                    None,
                )
                .await;
        }
        assert!(documents.get("https://good.example/keys").is_some());
        assert_eq!(documents.kept.load().len(), TOTAL_MAX);
        assert_eq!(
            std::fs::read_dir(dir.path().join("keys")).unwrap().count(),
            TOTAL_MAX
        );
    }
}
