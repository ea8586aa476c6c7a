//! Key documents, fetched from addresses that `verify` has found to be the provider's: kept, refreshed, and still served
//! while their source is down. No redirects are followed, and no document is asked for more often than senders can make us.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use landfall_egress::{Client, Outgoing, Policy};
use landfall_model::{Allow, Documents, Secret, SecretSource};

/// A key that is not in a document may be in a newer one: ask again, but not sooner than this.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// After a failure.
const FAILED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A document of this age is fetched anew.
const AGE_MAX: Duration = Duration::from_secs(3600);
const REFRESH_EVERY: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(5);
const BYTES_MAX: usize = 256 << 10;
/// Of one origin: senders may name documents, and must not push out those of others.
const DOCUMENTS_MAX: usize = 32;
const ORIGINS_MAX: usize = 64;
/// Fetches from one origin in a minute, at once, and of all at once.
const FETCHES_A_MINUTE: usize = 30;
const FETCHES_AT_ONCE: usize = 4;
const FETCHES_OF_ALL_AT_ONCE: usize = 32;
const MINUTE: Duration = Duration::from_secs(60);

/// What is at hand, by address.
pub struct KeyDocuments {
    kept: ArcSwap<HashMap<String, Kept>>,
    tries: Mutex<HashMap<String, Try>>,
    /// One fetch of one document, however many requests need it.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    origins: Mutex<HashMap<String, Arc<Origin>>>,
    all: Arc<Semaphore>,
    secrets: Arc<dyn SecretSource>,
    /// Special addresses that documents may come from: none but in tests.
    addresses: Vec<ipnet::IpNet>,
    /// That of the node itself, wherever its operator says that it is.
    own: Option<String>,
}

#[derive(Clone)]
struct Kept {
    bytes: Bytes,
    at: Instant,
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

/// What is asked of one origin: senders decide how often they name a document there.
struct Origin {
    at_once: Arc<Semaphore>,
    /// When the last fetches began.
    begun: Mutex<Vec<Instant>>,
}

struct Try {
    at: Instant,
    failed: Option<String>,
}

// === impl KeyDocuments ===

impl KeyDocuments {
    /// `secrets` is for the client, which adds none here; `own` is a document that the operator of the node, and no hook, has named.
    pub fn new(secrets: Arc<dyn SecretSource>, own: Option<String>) -> KeyDocuments {
        KeyDocuments {
            kept: ArcSwap::default(),
            tries: Mutex::default(),
            turns: Mutex::default(),
            origins: Mutex::default(),
            all: Arc::new(Semaphore::new(FETCHES_OF_ALL_AT_ONCE)),
            secrets,
            addresses: Vec::new(),
            own,
        }
    }

    /// Fetches a document, unless that has been done just now. The error is a sentence.
    pub async fn fetch(&self, url: &str, ask: Ask) -> Result<(), String> {
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
            Ask::Named | Ask::Posted(_) | Ask::Granted(_) if self.kept.load().contains_key(url) => None,
            Ask::Named | Ask::Posted(_) | Ask::Granted(_) => Some(self.take_turn(url)?),
        };
        let fetched = match &ask {
            Ask::Posted(body) => self.post_to(url, body.clone()).await,
            Ask::Granted(request) => self.get_with_token(url, request).await,
            Ask::Configured | Ask::Named => self.get_from(url).await,
        };
        let failed = fetched.as_ref().err().cloned();
        let has_end = matches!(ask, Ask::Posted(_) | Ask::Granted(_));
        match (&fetched, self.kept.load().get(url)) {
            (Ok(bytes), _) => self.keep(url, bytes.clone(), has_end.then(|| Instant::now() + AGE_MAX)),
            (Err(_), Some(old)) if has_end => self.keep(url, old.bytes.clone(), Some(Instant::now() + REFRESH_EVERY)),
            _ => {}
        }
        let mut tries = self.tries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tries.retain(|_, one| one.at.elapsed() < AGAIN_AFTER);
        tries.insert(url.into(), Try { at: Instant::now(), failed });
        match fetched {
            Ok(_) => Ok(()),
            // The old one serves on.
            Err(_) if self.kept.load().contains_key(url) => Ok(()),
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
                .filter(|(_, kept)| kept.until.is_none() && kept.at.elapsed() > AGE_MAX)
                .map(|(url, _)| url.clone())
                .collect();
            for url in old {
                if let Err(why) = self.get_from(&url).await.map(|bytes| self.keep(&url, bytes, None)) {
                    tracing::warn!(url, why, "key document not refreshed: the old one serves on");
                }
            }
        }
    }

    /// Nobody waits for others: whoever comes when all are busy is told to come again.
    fn take_turn(&self, url: &str) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), String> {
        let origin = self.origin(url)?;
        let busy = |_| "too many key documents are being fetched from there".to_owned();
        let of_origin = origin.at_once.clone().try_acquire_owned().map_err(busy)?;
        let of_all = self.all.clone().try_acquire_owned().map_err(busy)?;
        origin.begin()?;
        Ok((of_origin, of_all))
    }

    fn turn(&self, url: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(url.into()).or_default().clone()
    }

    fn origin(&self, url: &str) -> Result<Arc<Origin>, String> {
        let key = origin_of(url);
        let mut origins = self.origins.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if origins.len() >= ORIGINS_MAX && !origins.contains_key(&key) {
            origins.retain(|_, origin| origin.is_busy());
            if origins.len() >= ORIGINS_MAX {
                return Err("key documents are being fetched from too many places".into());
            }
        }
        let make = || Arc::new(Origin { at_once: Arc::new(Semaphore::new(FETCHES_AT_ONCE)), begun: Mutex::default() });
        Ok(origins.entry(key).or_insert_with(make).clone())
    }

    fn recent(&self, url: &str) -> Option<Result<(), String>> {
        let tries = self.tries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let last = tries.get(url)?;
        let pause = if last.failed.is_some() { FAILED_AGAIN_AFTER } else { AGAIN_AFTER };
        if last.at.elapsed() >= pause {
            return None;
        }
        match &last.failed {
            Some(why) if !self.kept.load().contains_key(url) => Some(Err(why.clone())),
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
        let (method, headers) = ("POST".into(), vec![("content-type".into(), "application/json".into())]);
        let url = url.split('#').next().unwrap_or_default().to_owned();
        self.exchange(Outgoing { method, url, headers, body, timeout: TIMEOUT, untrusted: None, memory: None }).await
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
                    ("content-type".into(), "application/x-www-form-urlencoded".into()),
                ],
                body: form.into(),
                timeout: TIMEOUT,
                untrusted: None,
                memory: None,
            })
            .await
            .map_err(|why| format!("no access token from {}: {why}", request.token_url))?;
        let token =
            access_token(&answer).ok_or_else(|| format!("no access token in the answer of {}", request.token_url))?;

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
            false => Policy::new(Allow { http, addresses: self.addresses.clone(), ..Allow::default() }),
        };
        let client = Client::new(policy, Vec::new(), self.secrets.clone());
        let received = client.send(outgoing, "key-document").await.map_err(|error| error.to_string())?;
        match received.status {
            200..=299 if received.body.len() <= BYTES_MAX => Ok(received.body),
            200..=299 => Err(format!("the document has more than {BYTES_MAX} bytes")),
            status => Err(format!("status {status}")),
        }
    }

    fn keep(&self, url: &str, bytes: Bytes, until: Option<Instant>) {
        self.kept.rcu(|kept| {
            let mut kept = HashMap::clone(kept);
            let origin = origin_of(url);
            let same: Vec<(String, Instant)> = kept
                .iter()
                .filter(|(url, _)| origin_of(url) == origin)
                .map(|(url, one)| (url.clone(), one.at))
                .collect();
            if same.len() >= DOCUMENTS_MAX && !kept.contains_key(url) {
                let oldest = same.iter().min_by_key(|(_, at)| *at);
                oldest.map(|(url, _)| kept.remove(url));
            }
            kept.insert(url.into(), Kept { bytes: bytes.clone(), at: Instant::now(), until });
            kept
        });
    }
}

// === impl Origin ===

impl Origin {
    fn begin(&self) -> Result<(), String> {
        let mut begun = self.begun.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.retain(|at| at.elapsed() < MINUTE);
        if begun.len() >= FETCHES_A_MINUTE {
            return Err(format!("{FETCHES_A_MINUTE} key documents have been fetched from there in a minute"));
        }
        begun.push(Instant::now());
        Ok(())
    }

    fn is_busy(&self) -> bool {
        let begun = self.begun.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        begun.last().is_some_and(|at| at.elapsed() < MINUTE)
    }
}

/// RFC 6749 section 5.1; a text that a header can hold.
fn access_token(answer: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let token = answer.get("access_token")?.as_str()?;
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| token.to_owned())
}

/// Scheme, host and port.
fn origin_of(url: &str) -> String {
    url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

impl Documents for KeyDocuments {
    fn get(&self, url: &str) -> Option<Bytes> {
        let kept = self.kept.load();
        let kept = kept.get(url)?;
        kept.until.is_none_or(|until| Instant::now() < until).then(|| kept.bytes.clone())
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
                let answer = answers[counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, count)
    }

    fn documents() -> KeyDocuments {
        let mut documents = KeyDocuments::new(Arc::new(Secrets::default()), None);
        documents.addresses = vec!["127.0.0.0/8".parse().unwrap()];
        documents
    }

    #[tokio::test]
    async fn a_document_is_fetched_once_however_often_it_is_asked_for() {
        let (url, count) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
        let documents = documents();
        assert_eq!(documents.get(&url), None);
        for _ in 0..5 {
            documents.fetch(&url, Ask::Configured).await.unwrap();
        }
        assert_eq!((documents.get(&url).unwrap(), count.load(Ordering::SeqCst)), ("k1".into(), 1));
    }

    #[tokio::test]
    async fn a_failure_is_said_and_not_repeated_at_once() {
        let (url, count) =
            server(&["HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]).await;
        let documents = documents();
        for _ in 0..3 {
            assert_eq!(documents.fetch(&url, Ask::Configured).await, Err("status 302".into()));
        }
        assert_eq!((documents.get(&url), count.load(Ordering::SeqCst)), (None, 1));
    }

    #[tokio::test]
    async fn a_key_that_is_asked_for_by_its_id_serves_on_while_its_source_is_down_and_is_asked_for_again() {
        const DOWN: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (url, count) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1", DOWN]).await;
        let (documents, ask) = (documents(), Ask::Posted("{\"key_id\":\"1\"}".into()));
        let name = format!("{url}#1");
        documents.fetch(&name, ask.clone()).await.unwrap();
        assert_eq!(documents.get(&name).unwrap(), "k1");
        assert_eq!(documents.get(&url), None);
        documents.keep(&name, "k1".into(), Some(Instant::now()));
        documents.tries.lock().unwrap().clear();
        assert_eq!(documents.get(&name), None);
        documents.fetch(&name, ask).await.unwrap();
        assert_eq!((documents.get(&name).unwrap(), count.load(Ordering::SeqCst)), ("k1".into(), 2));
    }

    #[tokio::test]
    async fn access_token_is_obtained_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut heads = Vec::new();
            for answer in [r#"{"access_token":"t0ken","token_type":"Application"}"#, "the key"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                heads.push(String::from_utf8_lossy(&head[..length]).to_lowercase());
                let length = answer.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
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
        documents.fetch(&url, Ask::Granted(request)).await.unwrap();
        assert_eq!(documents.get(&url).unwrap(), "the key");
        let heads = served.await.unwrap();
        assert!(
            heads[0].starts_with("post /token ") && heads[0].contains("authorization: basic awq6cznjcmv0"),
            "{heads:?}"
        );
        assert!(
            heads[1].starts_with("get /public_key/k1 ") && heads[1].contains("authorization: bearer t0ken"),
            "{heads:?}"
        );
        for answer in ["", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb"}"#, r#"{"access_token":1}"#] {
            assert_eq!(access_token(answer.as_bytes()), None, "{answer}");
        }
    }

    #[tokio::test]
    async fn senders_cannot_make_us_fetch_without_end() {
        let (url, count) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
        let documents = documents();
        let mut refused = 0;
        for number in 0..100 {
            refused += usize::from(documents.fetch(&format!("{url}/{number}"), Ask::Named).await.is_err());
        }
        assert_eq!((count.load(Ordering::SeqCst), refused), (FETCHES_A_MINUTE, 100 - FETCHES_A_MINUTE));
    }

    #[tokio::test]
    async fn what_is_known_is_fetched_anew_although_senders_have_spent_the_budget() {
        let (url, count) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nk1"]).await;
        let (documents, ask) = (documents(), Ask::Posted("{}".into()));
        let name = |key: &str| format!("{url}#{key}");
        documents.fetch(&name("good"), ask.clone()).await.unwrap();
        for number in 0..FETCHES_A_MINUTE + 5 {
            documents.fetch(&name(&number.to_string()), ask.clone()).await.ok();
        }
        assert!(documents.fetch(&name("unknown"), ask.clone()).await.is_err());
        // The good one may have been pushed out by others of its origin: it is put back, past its time.
        documents.keep(&name("good"), "k1".into(), Some(Instant::now()));
        documents.tries.lock().unwrap().clear();
        let before = count.load(Ordering::SeqCst);
        documents.fetch(&name("good"), ask).await.unwrap();
        assert_eq!((documents.get(&name("good")).unwrap(), count.load(Ordering::SeqCst)), ("k1".into(), before + 1));
    }

    #[tokio::test]
    async fn addresses_inside_are_never_called() {
        let documents = KeyDocuments::new(Arc::new(Secrets::default()), None);
        let why = documents.fetch("http://localhost:9/keys", Ask::Configured).await.unwrap_err();
        assert!(why.contains("is not a public address"), "{why}");
    }
}
