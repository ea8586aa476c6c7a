//! Encryption at rest: the keys of a ledger, the ledger that seals and opens, and the pass that
//! encrypts what is stored already.

mod event;
mod keys;
mod ledger;
mod pass;
mod values;

use std::sync::Arc;
use std::time::Duration;

use ring::hmac;

pub use keys::{KeyError, KeyId, LedgerKeys};
pub use pass::EncryptionProgress;

use super::erase::Scrubbed;
use super::error::LedgerError;
use super::traits::Ledger;
use keys::Place;
use landfall_model::KvValue;
use ledger::SealedLedger;

/// The name under which a ledger keeps notes about its keys.
const OWNER: &str = "_keys";
/// Before the id of a key that something may be encrypted with.
const USED: &str = "used/";
/// The note with the key for digests of bodies, which is encrypted itself.
const DIGEST: &str = "digest";
/// A hundred years.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How long a node waits for another one that makes the note with the key for digests.
const ATTEMPTS: u32 = 60;
const ATTEMPT_EVERY: Duration = Duration::from_millis(250);
const LEAD_LASTS: Duration = Duration::from_secs(5);
/// More notes than keys that a ledger can have.
const NOTES_MAX: usize = 1_000;

/// The encryption of a ledger.
#[derive(Clone)]
pub struct Encryption {
    ledger: Arc<SealedLedger>,
}

/// Why an encrypted ledger cannot be used. Each text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// A key that is needed is missing.
    #[error(
        "the ledger has values that are encrypted with the {}, and ledger.encryption_keys {}, or the events cannot be read",
        named_keys(.missing),
        what_is_wrong(.has_keys)
    )]
    Missing {
        /// The keys that the ledger needs.
        missing: Vec<String>,
        /// Whether the node has other keys.
        has_keys: bool,
    },
    /// The ledger's own key cannot be opened or made.
    #[error("the key for digests of the ledger cannot be read: {0}")]
    Digest(String),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn what_is_wrong(has_keys: &bool) -> &'static str {
    if *has_keys {
        "does not have it: add it after the first one"
    } else {
        "is not set: write it into the settings of this node, with a reference to that key"
    }
}

fn named_keys(missing: &[String]) -> String {
    let noun = if missing.len() == 1 { "key" } else { "keys" };
    format!("{noun} {}", missing.join(", "))
}

/// The ledger, which encrypts what it stores if there are keys. Without keys, it says in place of
/// each value that another node has encrypted that it is. Fails if the ledger needs a key that is
/// not there.
pub async fn with_keys(
    ledger: Arc<dyn Ledger>,
    keys: Option<LedgerKeys>,
) -> Result<(Arc<dyn Ledger>, Option<Encryption>), EncryptionError> {
    let used = used_keys(&*ledger).await?;
    let is_missing = |id: &&String| {
        let id = id.parse::<KeyId>().ok();
        !id.zip(keys.as_ref()).is_some_and(|(id, keys)| keys.has(id))
    };
    let missing: Vec<String> = used.iter().filter(is_missing).cloned().collect();
    if !missing.is_empty() {
        return Err(EncryptionError::Missing {
            missing,
            has_keys: keys.is_some(),
        });
    }
    let Some(keys) = keys else {
        return Ok((Arc::new(SealedLedger::without_keys(ledger)), None));
    };

    // Before the first value is encrypted. The others are noted too: an earlier start of this node
    // may have encrypted with them after the last pass of another node. The note is a new one each
    // time, so that a pass that began before does not remove it.
    let note = start_note(&keys);
    for id in keys.ids() {
        if !ledger.is_shared() && used.contains(&id.to_string()) {
            continue;
        }
        let name = format!("{USED}{id}");
        let noted = ledger.note(OWNER, name, note.clone(), FOR_EVER).await;
        // A node with a ledger of its own must start on a full disk too.
        if ledger.is_shared() || id == keys.current() {
            noted?;
        }
    }
    let digests = digest_key(&*ledger, &keys).await?;
    let sealed = Arc::new(SealedLedger {
        inner: ledger,
        keys: Arc::new(keys),
        digests: Some(digests),
    });
    let encryption = Encryption {
        ledger: sealed.clone(),
    };
    Ok((sealed, Some(encryption)))
}

/// What is noted of a key: something else each time.
fn start_note(keys: &LedgerKeys) -> String {
    keys.random_bytes()
        .map(|byte| format!("{byte:02x}"))
        .concat()
}

/// The ids of the keys that something in the ledger may be encrypted with.
async fn used_keys(ledger: &dyn Ledger) -> Result<Vec<String>, LedgerError> {
    let names = ledger
        .keys(OWNER.into(), USED.to_owned(), String::new(), NOTES_MAX)
        .await?;
    let ids = names.iter().filter_map(|name| name.strip_prefix(USED));
    Ok(ids.map(str::to_owned).collect())
}

/// The key for digests. The ledger keeps it, so that it is the same for all nodes and all keys. One
/// node makes it.
async fn digest_key(ledger: &dyn Ledger, keys: &LedgerKeys) -> Result<hmac::Key, EncryptionError> {
    let place = Place {
        column: DIGEST,
        row: &[],
    };
    for _ in 0..ATTEMPTS {
        if let Some(note) = ledger.get(OWNER.into(), DIGEST.to_owned()).await? {
            let stored = String::from_utf8_lossy(&note.bytes).into_owned();
            let is_current = text_sealed_by(&stored) == Some(keys.current());
            let text = keys
                .open_text(place, stored)
                .map_err(|error| EncryptionError::Digest(format!("{error:?}")))?;
            if !is_current {
                note_digest(ledger, keys, place, &text).await?;
            }
            return Ok(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()));
        }

        if ledger.lead(OWNER, LEAD_LASTS).await?.is_own() {
            let random = keys.random_bytes();
            let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            note_digest(ledger, keys, place, &text).await?;
        } else {
            tokio::time::sleep(ATTEMPT_EVERY).await;
        }
    }
    let why = "another node did not make it in time: start this node again";
    Err(EncryptionError::Digest(why.to_owned()))
}

fn text_sealed_by(stored: &str) -> Option<KeyId> {
    keys::sealed_by(&keys::sealed_text(stored)?)
}

async fn note_digest(
    ledger: &dyn Ledger,
    keys: &LedgerKeys,
    place: Place<'_>,
    text: &str,
) -> Result<(), LedgerError> {
    let sealed = keys.seal_text(place, text);
    ledger
        .note(OWNER, DIGEST.to_owned(), sealed, FOR_EVER)
        .await
}

// === impl Encryption ===

impl Encryption {
    /// The id of the key that encrypts.
    pub fn current(&self) -> KeyId {
        self.ledger.keys.current()
    }

    /// Reads every record, and encrypts those that are not encrypted with the first key. Pauses after
    /// each page, and then calls `report`. A key with which nothing is encrypted any more is
    /// forgotten: the node starts without it.
    pub async fn pass(
        &self,
        pause: Duration,
        report: &(dyn Fn(&EncryptionProgress) + Send + Sync),
    ) -> Result<EncryptionProgress, LedgerError> {
        let current = self.current().to_string();
        let used = used_keys(&*self.ledger.inner).await?;
        if !used.contains(&current) {
            // A pass of a node with another first key has found nothing that is encrypted with it.
            let (name, note) = (format!("{USED}{current}"), start_note(&self.ledger.keys));
            self.ledger.inner.note(OWNER, name, note, FOR_EVER).await?;
        }
        let mut noted = Vec::new();
        for id in used {
            if id != current {
                let note = self.note_of(&id).await?;
                noted.push((id, note));
            }
        }

        let mut progress = pass::run(&self.ledger, pause, report).await?;
        // Also if nothing was encrypted: an earlier pass may have been interrupted.
        self.scrub().await?;
        if progress.left == 0 {
            self.forget(&progress, noted).await?;
        }
        progress.keys = used_keys(&*self.ledger.inner).await?.len();
        Ok(progress)
    }

    /// Forgets those of these keys, with what was noted of each, with which nothing is encrypted.
    async fn forget(
        &self,
        progress: &EncryptionProgress,
        noted: Vec<(String, Option<KvValue>)>,
    ) -> Result<(), LedgerError> {
        for (id, note) in noted {
            // The node that started last may not have stored anything yet. It has encrypted the key
            // for digests with its first key.
            let digest = self.ledger.inner.get(OWNER.into(), DIGEST.to_owned());
            let of_digest = digest
                .await?
                .and_then(|note| text_sealed_by(&String::from_utf8_lossy(&note.bytes)));
            let is_needed = of_digest.is_some_and(|key| key.to_string() == id)
                || progress.by_key.contains_key(&id);
            // A node that has started meanwhile has noted it again.
            if !is_needed && self.note_of(&id).await? == note {
                let name = format!("{USED}{id}");
                let forget = self
                    .ledger
                    .inner
                    .note(OWNER, name, String::new(), Duration::ZERO);
                forget.await?;
            }
        }
        Ok(())
    }

    /// What is noted of a key. Each start of a node with the key notes something else.
    async fn note_of(&self, id: &str) -> Result<Option<KvValue>, LedgerError> {
        let name = format!("{USED}{id}");
        self.ledger.inner.get(OWNER.into(), name).await
    }

    /// Overwrites what the replaced values have left in the files.
    async fn scrub(&self) -> Result<(), LedgerError> {
        for _ in 0..ATTEMPTS {
            if self.ledger.inner.scrub().await? != Scrubbed::Busy {
                return Ok(());
            }
            tokio::time::sleep(ATTEMPT_EVERY).await;
        }
        tracing::warn!(
            "the log of the ledger still has values as they were before their encryption: readers need an old state"
        );
        Ok(())
    }
}
