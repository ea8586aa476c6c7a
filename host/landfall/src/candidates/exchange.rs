//! What the nodes that share a ledger tell each other of candidates: which ones they have, and the
//! counts of canaries. Each node notes its own, and rules judge by the sum.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_candidate::Pair;
use landfall_ledger::{Ledger, LedgerError};
use landfall_model::{lock, random_bytes};
use serde::{Deserialize, Serialize};

/// The hook under whose name the ledger keeps the counts. No hook file can have it.
const PART: &str = "_candidate";
/// The beginning of the keys that say which node has which candidate. No hook file can have this
/// name.
const PRESENT: &str = "_present";
/// How often a node notes its counts, and which candidates it has.
const EVERY: Duration = Duration::from_secs(5);
/// The notes of a node that has ended are forgotten after this.
const KEEP: Duration = Duration::from_secs(60);
/// A note that is withdrawn ends after this.
const WITHDRAWN: Duration = Duration::from_millis(1);
/// A candidate that no node has noted for this long is gone.
const ABSENT: Duration = Duration::from_secs(3 * EVERY.as_secs());
/// The most nodes whose counts are added.
const NODES_MAX: usize = 100;

/// The counts of one canary.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Counted {
    /// Since the start of the trial.
    pub(super) whole: Pair,
    /// Of the last minutes.
    pub(super) recent: Pair,
}

/// The counts of other nodes.
pub(super) struct Exchange {
    ledger: Arc<dyn Ledger>,
    /// Identifies this start of the node.
    node: String,
    /// By hook and version: when they were read, and their sum.
    others: Mutex<BTreeMap<(String, String), (Instant, Counted)>>,
    /// By hook and version: when this node has noted last that it has the candidate.
    announced: Mutex<BTreeMap<(String, String), Instant>>,
    /// By hook and version: since when no node has noted that it has the candidate.
    absent: Mutex<BTreeMap<(String, String), Instant>>,
}

// === impl Counted ===

impl Counted {
    fn merge(&mut self, other: &Counted) {
        self.whole.merge(&other.whole);
        self.recent.merge(&other.recent);
    }
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn new(ledger: Arc<dyn Ledger>) -> Exchange {
        Exchange {
            ledger,
            node: hex::encode(random_bytes::<8>()),
            others: Mutex::default(),
            announced: Mutex::default(),
            absent: Mutex::default(),
        }
    }

    /// Tells the other nodes that this one has the candidate.
    pub(super) async fn announce(&self, hook: &str, digest: &str) {
        if !self.ledger.is_shared() {
            return;
        }

        let of = (hook.to_owned(), digest.to_owned());
        lock(&self.absent).remove(&of);
        let is_due = lock(&self.announced)
            .get(&of)
            .is_none_or(|last| last.elapsed() >= EVERY);
        if !is_due {
            return;
        }
        let key = format!("{PRESENT}/{hook}/{digest}/{}", self.node);
        match self.ledger.note(PART, key, "1".into(), KEEP).await {
            Ok(()) => drop(lock(&self.announced).insert(of, Instant::now())),
            Err(error) => {
                tracing::warn!(hook, %error, "other nodes cannot be told of the candidate yet");
            }
        }
    }

    /// Whether no node has had this candidate for some time. This node has it not.
    pub(super) async fn is_gone(&self, hook: &str, digest: &str) -> Result<bool, LedgerError> {
        if !self.ledger.is_shared() {
            return Ok(true);
        }

        let of = (hook.to_owned(), digest.to_owned());
        let prefix = format!("{PRESENT}/{hook}/{digest}/");
        let own_key = format!("{prefix}{}", self.node);
        let was_announced = lock(&self.announced).remove(&of).is_some();
        if was_announced {
            // Other nodes need not wait until this one's note ends.
            let note = self
                .ledger
                .note(PART, own_key.clone(), "0".into(), WITHDRAWN);
            note.await?;
        }
        let keys = self
            .ledger
            .keys(PART.into(), prefix, String::new(), NODES_MAX);
        let is_elsewhere = keys.await?.iter().any(|key| *key != own_key);
        let mut absent = lock(&self.absent);
        if is_elsewhere {
            absent.remove(&of);
            return Ok(false);
        }
        // After an outage of the ledger, the nodes that have it need time to say so.
        let since = *absent.entry(of).or_insert_with(Instant::now);
        Ok(since.elapsed() >= ABSENT)
    }

    /// The sum of all nodes' counts of a canary. Notes those of this node.
    pub(super) async fn sum(&self, hook: &str, digest: &str, own: Counted) -> Counted {
        if !self.ledger.is_shared() {
            return own;
        }

        let of = (hook.to_owned(), digest.to_owned());
        let is_due = lock(&self.others)
            .get(&of)
            .is_none_or(|(read, _)| read.elapsed() >= EVERY);
        if is_due {
            match self.exchange(hook, digest, &own).await {
                Ok(others) => {
                    lock(&self.others).insert(of.clone(), (Instant::now(), others));
                }
                Err(error) => {
                    tracing::warn!(hook, %error, "the counts of the candidate cannot be shared yet");
                }
            }
        }

        let mut sum = own;
        if let Some((_, others)) = lock(&self.others).get(&of) {
            sum.merge(others);
        }
        sum
    }

    /// Forgets the counts of trials that have ended.
    pub(super) fn retain(&self, is_tried: impl Fn(&str, &str) -> bool) {
        lock(&self.others).retain(|(hook, digest), _| is_tried(hook, digest));
        lock(&self.announced).retain(|(hook, digest), _| is_tried(hook, digest));
        lock(&self.absent).retain(|(hook, digest), _| is_tried(hook, digest));
    }

    async fn exchange(
        &self,
        hook: &str,
        digest: &str,
        own: &Counted,
    ) -> Result<Counted, LedgerError> {
        let prefix = format!("{hook}/{digest}/");
        let own_key = format!("{prefix}{}", self.node);
        let text = serde_json::to_string(own).unwrap_or_default();
        self.ledger.note(PART, own_key.clone(), text, KEEP).await?;

        let mut others = Counted::default();
        let keys = self
            .ledger
            .keys(PART.into(), prefix, String::new(), NODES_MAX);
        for key in keys.await?.into_iter().filter(|key| *key != own_key) {
            let value = self.ledger.get(PART.into(), key).await?;
            let counted = value.and_then(|value| serde_json::from_slice(&value.bytes).ok());
            if let Some(counted) = counted {
                others.merge(&counted);
            }
        }
        Ok(others)
    }
}
