//! Key documents: key sets, certificates and public keys at URLs that `verify` has checked. They
//! are stored in memory and on disk, refreshed, and used for a day while their source is down.
//! Senders can cause only a limited number of fetches.

mod budget;
mod disk;
mod error;
mod limits;
mod request;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;
use landfall_model::{Clock, Documents, lock};

pub use error::{BudgetError, KeyDocumentError};
pub use request::{KeyRequest, TokenRequest};

use budget::Budget;
use limits::AGE_MAX;
use request::Fetcher;
use stored::{StoredDocument, StoredDocuments, evict, origin_of};

/// A missing key may be in a newer version of the document, which is fetched again at the earliest
/// after this.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// The same after a failed fetch.
const MIN_INTERVAL_FAILED: Duration = Duration::from_secs(5);
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The key documents of a node.
pub struct KeyDocuments {
    stored: ArcSwap<StoredDocuments>,
    attempts: Mutex<HashMap<String, FetchAttempt>>,
    /// One lock for each document that is being fetched, so that concurrent requests share one
    /// fetch.
    in_progress: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    budget: Budget,
    fetcher: Fetcher,
    /// The directory in which documents survive a restart.
    dir: Option<PathBuf>,
    clock: Clock,
}

/// The last fetch of a document.
struct FetchAttempt {
    at: Instant,
    error: Option<KeyDocumentError>,
}

// === impl KeyDocuments ===

impl KeyDocuments {
    /// `own_url` is the document that the operator of the node configured; it may have a private
    /// address. Documents are stored in `dir`. Blocks while it reads them.
    pub fn new(own_url: Option<String>, dir: Option<PathBuf>, clock: Clock) -> KeyDocuments {
        KeyDocuments::with_addresses(own_url, dir, clock, Vec::new())
    }

    /// `addresses` are private ranges that documents may come from.
    fn with_addresses(
        own_url: Option<String>,
        dir: Option<PathBuf>,
        clock: Clock,
        addresses: Vec<IpNet>,
    ) -> KeyDocuments {
        let dir = dir.filter(|dir| is_prepared(dir));
        let found = match &dir {
            Some(dir) => disk::read_all(dir, clock.now()),
            None => Vec::new(),
        };

        let stored = found.into_iter().map(StoredDocument::from_disk).collect();
        KeyDocuments {
            stored: ArcSwap::from_pointee(stored),
            attempts: Mutex::default(),
            in_progress: Mutex::default(),
            budget: Budget::default(),
            fetcher: Fetcher::new(own_url, addresses),
            dir,
            clock,
        }
    }

    /// Fetches a document, unless it was fetched recently. `client` is the client whose request
    /// needs it. Succeeds if the stored document can still be used.
    pub async fn fetch(
        &self,
        url: &str,
        request: KeyRequest,
        client: Option<IpAddr>,
    ) -> Result<(), KeyDocumentError> {
        if let Some(result) = self.recent_result(url) {
            return result;
        }

        let in_progress = self.lock_for(url);
        let _one_at_a_time = in_progress.lock().await;
        if let Some(result) = self.recent_result(url) {
            return result;
        }

        let is_known = self.stored.load().contains_key(url);
        let _permit = if request == KeyRequest::Configured || is_known {
            None
        } else {
            Some(self.budget.acquire(&origin_of(url), client)?)
        };

        let fetched = self.fetcher.fetch(url, &request).await;
        let expires = matches!(request, KeyRequest::Posted(_) | KeyRequest::Granted(_));
        let error = match fetched {
            Ok(bytes) => {
                self.store(url, bytes, expires.then_some(AGE_MAX)).await;
                None
            }
            Err(error) => {
                if expires {
                    self.extend(url);
                }

                Some(error)
            }
        };

        self.record(url, error.clone());
        match error {
            Some(error) if self.get(url).is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Calls a URL of the provider, as its request asked.
    pub async fn call(&self, url: &str) -> Result<(), KeyDocumentError> {
        self.fetcher.get_named(url).await?;
        Ok(())
    }

    /// Refreshes old documents until the process ends.
    pub async fn run_refresh(self: Arc<KeyDocuments>) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            for url in self.urls_to_refresh() {
                self.refresh(&url).await;
            }
        }
    }

    fn urls_to_refresh(&self) -> Vec<String> {
        self.stored
            .load()
            .iter()
            .filter(|(_, document)| document.needs_refresh())
            .map(|(url, _)| url.clone())
            .collect()
    }

    async fn refresh(&self, url: &str) {
        match self.fetcher.get(url).await {
            Ok(bytes) => self.store(url, bytes, None).await,
            Err(error) if self.get(url).is_some() => {
                tracing::warn!(url, %error, "key document not refreshed: the old one is used, for a day at most");
            }
            Err(error) => {
                tracing::error!(url, %error, "key document not refreshed for a day: requests that need it are refused");
                self.remove(url).await;
            }
        }
    }

    fn lock_for(&self, url: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut in_progress = lock(&self.in_progress);
        in_progress.retain(|_, fetch| Arc::strong_count(fetch) > 1);
        in_progress.entry(url.into()).or_default().clone()
    }

    /// The result of the last fetch, if it is too early for another.
    fn recent_result(&self, url: &str) -> Option<Result<(), KeyDocumentError>> {
        let attempts = lock(&self.attempts);
        let last = attempts.get(url)?;
        let interval = if last.error.is_some() {
            MIN_INTERVAL_FAILED
        } else {
            MIN_INTERVAL
        };

        if last.at.elapsed() >= interval {
            return None;
        }

        match &last.error {
            Some(error) if self.get(url).is_none() => Some(Err(error.clone())),
            _ => Some(Ok(())),
        }
    }

    fn record(&self, url: &str, error: Option<KeyDocumentError>) {
        let attempt = FetchAttempt {
            at: Instant::now(),
            error,
        };
        let mut attempts = lock(&self.attempts);
        attempts.retain(|_, attempt| attempt.at.elapsed() < MIN_INTERVAL);
        attempts.insert(url.into(), attempt);
    }

    /// Stores a document in memory and on disk.
    async fn store(&self, url: &str, bytes: Bytes, lifetime: Option<Duration>) {
        let new = StoredDocument::fetched(bytes.clone(), lifetime);
        let mut evicted = None;
        self.stored.rcu(|stored| {
            let mut stored = StoredDocuments::clone(stored);
            stored.remove(url);
            evicted = evict(&mut stored, &origin_of(url));
            stored.insert(url.into(), new.clone());
            stored
        });

        let Some(dir) = self.dir.clone() else { return };
        let (url, now) = (url.to_owned(), self.clock.now());
        let written = tokio::task::spawn_blocking(move || {
            if let Some(evicted) = evicted {
                disk::remove(&dir, &evicted);
            }

            disk::write(&dir, &url, &bytes, now, lifetime.is_some())
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "a key document cannot be stored on disk: after a restart it is fetched again");
        }
    }

    /// Uses an expired document until the next refresh. `get` still refuses it after a day.
    fn extend(&self, url: &str) {
        self.stored.rcu(|stored| {
            let mut stored = StoredDocuments::clone(stored);
            if let Some(document) = stored.get_mut(url) {
                document.expires = Some(Instant::now() + REFRESH_INTERVAL);
            }

            stored
        });
    }

    async fn remove(&self, url: &str) {
        self.stored.rcu(|stored| {
            let mut stored = StoredDocuments::clone(stored);
            stored.remove(url);
            stored
        });
        if let Some(dir) = self.dir.clone() {
            let url = url.to_owned();
            tokio::task::spawn_blocking(move || disk::remove(&dir, &url))
                .await
                .ok();
        }
    }
}

impl Documents for KeyDocuments {
    fn get(&self, url: &str) -> Option<Bytes> {
        let stored = self.stored.load();
        let document = stored.get(url)?;
        document.is_usable().then(|| document.bytes.clone())
    }
}

fn is_prepared(dir: &Path) -> bool {
    match disk::prepare(dir) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, dir = %dir.display(), "key documents cannot be stored there: after a restart they are fetched again");
            false
        }
    }
}
