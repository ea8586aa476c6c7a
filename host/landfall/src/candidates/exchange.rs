//! The counts of canaries on the nodes that share a ledger: each node notes its own, and rules judge
//! by the sum.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_candidate::Pair;
use landfall_ledger::{Ledger, LedgerError};
use landfall_model::{lock, random_bytes};
use serde::{Deserialize, Serialize};

/// The hook under whose name the ledger keeps the counts. No hook file can have it.
const PART: &str = "_candidate";
/// How often a node notes its counts.
const EVERY: Duration = Duration::from_secs(5);
/// The counts of a node that has ended are forgotten after this.
const KEEP: Duration = Duration::from_secs(60);
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
        }
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
