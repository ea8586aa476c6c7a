//! A local server that components call: keeps every request, answers as told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use tokio::sync::watch;

use crate::eventually;
use crate::ports::listener;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Got {
    /// Upper case.
    pub method: String,
    /// With the query.
    pub path: String,
    /// As they came.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Vec<u8>,
}

/// The server.
#[derive(Clone)]
pub struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    status: Arc<AtomicU16>,
    body: Arc<Mutex<String>>,
    retry_after: Arc<Mutex<Option<String>>>,
    location: Arc<Mutex<Option<String>>>,
    is_held: watch::Sender<bool>,
    /// Where it listens.
    pub address: SocketAddr,
}

// === impl Receiver ===

impl Receiver {
    /// Listens on a free loopback port and answers 200.
    pub async fn start() -> Receiver {
        let listener = listener();
        let address = listener.local_addr().expect("bound");
        let receiver = Receiver {
            got: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
            body: Arc::default(),
            retry_after: Arc::default(),
            location: Arc::default(),
            is_held: watch::Sender::new(false),
            address,
        };
        let router = Router::new().fallback(keep).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    /// `http://127.0.0.1:PORT/path`
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The status of every answer from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The body of every answer from now on.
    pub fn say(&self, body: &str) {
        *self.body.lock().expect("the lock is not poisoned") = body.to_owned();
    }

    /// The header `Retry-After` of every answer from now on.
    pub fn retry_after(&self, text: &str) {
        *self.retry_after.lock().expect("the lock is not poisoned") = Some(text.to_owned());
    }

    /// Every answer from now on redirects there with status 307.
    pub fn redirect(&self, to: &str) {
        *self.location.lock().expect("the lock is not poisoned") = Some(to.to_owned());
        self.answer(307);
    }

    /// Holds every answer until `release`.
    pub fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// Sends the answers that are held, and holds no more.
    pub fn release(&self) {
        self.is_held.send_replace(false);
    }

    /// The hook file for the guest `waits`, which this server answers: with `hold`, its attempts run until `release`. `top`:
    /// further settings, each with a line break.
    pub fn hook_of_waits(&self, top: &str) -> String {
        let url = self.url("/");
        format!(
            "{top}deadline = \"10m\"\n[verify]\nscheme = \"none\"\n\
             [settings]\nurl = \"{url}\"\n[allow]\nhttp = [\"{url}\"]\n"
        )
    }

    /// Waits until so many requests have come.
    pub async fn until_called(&self, times: usize) {
        eventually(&format!("{times} requests came"), || async {
            (self.got().len() >= times).then_some(())
        })
        .await;
    }

    /// What came so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().expect("the lock is not poisoned").clone()
    }
}

async fn keep(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let got = Got {
        method: method.to_string(),
        path: uri.to_string(),
        headers,
        body: body.to_vec(),
    };
    receiver
        .got
        .lock()
        .expect("the lock is not poisoned")
        .push(got);
    let mut is_held = receiver.is_held.subscribe();
    is_held.wait_for(|is_held| !is_held).await.ok();
    let status = StatusCode::from_u16(receiver.status.load(Ordering::SeqCst))
        .expect("a test gives a status");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (RETRY_AFTER, &receiver.retry_after),
        (LOCATION, &receiver.location),
    ] {
        let value = value.lock().expect("the lock is not poisoned");
        if let Some(text) = &*value {
            headers.insert(name, text.parse().expect("a test gives a header"));
        }
    }
    (
        status,
        headers,
        receiver
            .body
            .lock()
            .expect("the lock is not poisoned")
            .clone(),
    )
}
