//! Key documents in memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::disk::DiskDocument;
use super::limits::{AGE_MAX, KEEP_MAX, PER_ORIGIN_MAX, TOTAL_MAX};

/// The documents by URL.
pub(super) type StoredDocuments = HashMap<String, StoredDocument>;

#[derive(Clone)]
pub(super) struct StoredDocument {
    pub(super) bytes: Bytes,
    /// When it was fetched, or read from disk.
    loaded: Instant,
    /// Its age at that time.
    age_at_load: Duration,
    /// When it must be fetched again to be used. `None`: the periodic refresh fetches it again.
    pub(super) expires: Option<Instant>,
}

// === impl StoredDocument ===

impl StoredDocument {
    /// A document that was just fetched.
    pub(super) fn fetched(bytes: Bytes, lifetime: Option<Duration>) -> StoredDocument {
        let now = Instant::now();
        StoredDocument {
            bytes,
            loaded: now,
            age_at_load: Duration::ZERO,
            expires: lifetime.map(|lifetime| now + lifetime),
        }
    }

    pub(super) fn from_disk(document: DiskDocument) -> (String, StoredDocument) {
        let now = Instant::now();
        let lifetime = AGE_MAX.saturating_sub(document.age);
        let stored = StoredDocument {
            bytes: document.bytes,
            loaded: now,
            age_at_load: document.age,
            expires: document.expires.then(|| now + lifetime),
        };
        (document.url, stored)
    }

    pub(super) fn is_usable(&self) -> bool {
        let is_expired = self
            .expires
            .is_some_and(|expires| Instant::now() >= expires);
        !is_expired && self.age() < KEEP_MAX
    }

    pub(super) fn needs_refresh(&self) -> bool {
        self.expires.is_none() && self.age() > AGE_MAX
    }

    /// Time since it was fetched.
    fn age(&self) -> Duration {
        self.age_at_load + self.loaded.elapsed()
    }
}

/// Makes room for one more document of this origin, and returns the URL of the removed one. An
/// origin with too many documents loses its own oldest one. If the table is full, the origin with
/// the most documents does.
pub(super) fn evict(documents: &mut StoredDocuments, origin: &str) -> Option<String> {
    let mut by_origin: HashMap<String, Vec<(Duration, &String)>> = HashMap::new();
    for (url, document) in documents.iter() {
        by_origin
            .entry(origin_of(url))
            .or_default()
            .push((document.age(), url));
    }

    let own_count = by_origin.get(origin).map_or(0, Vec::len);
    let candidates = if own_count >= PER_ORIGIN_MAX {
        by_origin.get(origin)
    } else if documents.len() >= TOTAL_MAX {
        by_origin.values().max_by_key(|of_origin| of_origin.len())
    } else {
        None
    };

    let (_, oldest) = candidates?.iter().max()?;
    let oldest = (*oldest).clone();
    documents.remove(&oldest);
    Some(oldest)
}

/// Scheme, host and port.
pub(super) fn origin_of(url: &str) -> String {
    url::Url::parse(url)
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default()
}
