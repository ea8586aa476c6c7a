//! The key by which duplicates of an event are recognised.

use std::time::Duration;

use uuid::Uuid;

use super::delivery_id::IdMatch;

/// How long a broker may redeliver a replay request.
const REPLAY_WINDOW: Duration = Duration::from_secs(7 * 86_400);

/// The identity of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupKey {
    /// The fields that identify the delivery, or the digest of the body.
    pub key: Vec<u8>,
    /// Whether a different body under the same key is another event.
    pub id_match: IdMatch,
    /// How long the key is remembered.
    pub window: Duration,
}

// === impl DedupKey ===

impl DedupKey {
    /// The key of a replay request. It differs from every identity of a provider.
    pub fn of_replay(replay: &Uuid) -> DedupKey {
        let key = [b"replay\0", &replay.as_bytes()[..]].concat();

        DedupKey {
            key,
            id_match: IdMatch::Id,
            window: REPLAY_WINDOW,
        }
    }

    /// The key of this identity with one body. `None`: a different body is the same event.
    pub fn of_body(&self, digest: &[u8; 32]) -> Option<DedupKey> {
        match self.id_match {
            IdMatch::Id => None,
            IdMatch::IdAndBody => Some(DedupKey {
                key: [&self.key[..], b"\0body\0", digest].concat(),
                id_match: IdMatch::Id,
                window: self.window,
            }),
        }
    }
}
