//! The documents of candidates in the ledger, as this node knows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use landfall_candidate::CandidateState;
use landfall_ledger::{Ledger, LedgerError, StoredCandidate};
use landfall_model::lock;

/// How often a change is tried that other nodes come before.
const TRIES: usize = 5;

/// What is remembered of each hook's candidates.
pub(super) struct States {
    ledger: Arc<dyn Ledger>,
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone, Default)]
struct Known {
    /// 0: the ledger has no document.
    version: i64,
    state: CandidateState,
}

// === impl States ===

impl States {
    /// Reads every document.
    pub(super) async fn open(ledger: Arc<dyn Ledger>) -> Result<States, LedgerError> {
        let states = States {
            ledger,
            known: Mutex::default(),
        };
        states.read().await?;
        Ok(states)
    }

    /// Reads every document again. Not beside a change.
    pub(super) async fn read(&self) -> Result<(), LedgerError> {
        let stored = self.ledger.candidates().await?;
        let mut known = lock(&self.known);
        let before = std::mem::take(&mut *known);
        for StoredCandidate {
            hook,
            version,
            json,
        } in stored
        {
            let old = before.get(&hook).filter(|old| old.version == version);
            let state = match old {
                Some(old) => old.state.clone(),
                None => serde_json::from_str(&json).unwrap_or_else(|error| {
                    tracing::error!(hook, %error, "what is remembered of this hook's candidates cannot be read: it begins anew");
                    CandidateState::default()
                }),
            };
            known.insert(hook, Known { version, state });
        }
        Ok(())
    }

    /// The hooks of which something is remembered.
    pub(super) fn hooks(&self) -> Vec<String> {
        lock(&self.known).keys().cloned().collect()
    }

    /// What is remembered of a hook.
    pub(super) fn get(&self, hook: &str) -> CandidateState {
        let known = lock(&self.known);
        known
            .get(hook)
            .map(|known| known.state.clone())
            .unwrap_or_default()
    }

    /// Removes the document of a hook on stable storage. False: another node has changed it.
    pub(super) async fn remove(&self, hook: &str) -> Result<bool, LedgerError> {
        let version = lock(&self.known).get(hook).map_or(0, |known| known.version);
        let is_removed = self.ledger.remove_candidate(hook.to_owned(), version);
        let is_removed = is_removed.await?;
        if is_removed {
            lock(&self.known).remove(hook);
        }
        Ok(is_removed)
    }

    /// Changes a document on stable storage. `change` is called again with what another node has
    /// made of it meanwhile. False: it has changed nothing.
    pub(super) async fn change(
        &self,
        hook: &str,
        change: impl Fn(&mut CandidateState) -> bool,
    ) -> Result<bool, LedgerError> {
        for _ in 0..TRIES {
            let Known { version, mut state } =
                lock(&self.known).get(hook).cloned().unwrap_or_default();
            if !change(&mut state) {
                return Ok(false);
            }

            let json = serde_json::to_string(&state)
                .map_err(|error| LedgerError::Other(error.to_string()))?;
            let stored = self.ledger.put_candidate(hook.to_owned(), version, json);
            if stored.await? {
                let version = version + 1;
                let changed = Known { version, state };
                lock(&self.known).insert(hook.to_owned(), changed);
                return Ok(true);
            }
            self.read().await?;
        }
        Err(LedgerError::Busy)
    }
}
