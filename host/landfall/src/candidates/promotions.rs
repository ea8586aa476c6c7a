//! Promoted versions: their components are kept in the ledger, and served in place of the component's
//! file.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use landfall_candidate::Promoted;
use landfall_hooks::{Candidates, FoundCandidate, Promotion, VersionFile};
use landfall_ledger::{Ledger, LedgerError};
use landfall_model::{ComponentDigest, lock};

use super::states::States;

/// The promoted versions of a node.
pub(super) struct Promotions {
    ledger: Arc<dyn Ledger>,
    candidates: Candidates,
    /// Versions that were not found, once each has been logged.
    missing: Mutex<BTreeSet<String>>,
}

/// A component and its signature.
type Parts = (Vec<u8>, Option<Vec<u8>>);

// === impl Promotions ===

impl Promotions {
    pub(super) fn new(ledger: Arc<dyn Ledger>, candidates: Candidates) -> Promotions {
        Promotions {
            ledger,
            candidates,
            missing: Mutex::default(),
        }
    }

    /// Has the hook serve the version that is remembered as promoted. Returns whether that has
    /// changed: the plugins directory must be read again.
    pub(super) async fn follow(&self, hook: &str, states: &States) -> bool {
        let present = self.candidates.promotion(hook);
        let Some(Promoted { digest, over, .. }) = states.get(hook).promoted else {
            if present.is_some() {
                self.candidates.set_promotion(hook, None);
            }
            return present.is_some();
        };
        let wanted = (digest, over);
        if present.as_ref() == Some(&wanted) {
            return false;
        }

        let (digest, over) = wanted;
        match self.find(hook, &digest).await {
            Ok(Some((bytes, signature))) => {
                let promotion = Promotion::new(over, bytes, signature);
                self.candidates.set_promotion(hook, Some(promotion));
                lock(&self.missing).remove(hook);
                true
            }
            Ok(None) => {
                if lock(&self.missing).insert(hook.to_owned()) {
                    tracing::error!(
                        hook,
                        digest,
                        "the promoted version is neither in the plugins directory nor in the ledger: the hook serves the file of its component"
                    );
                }
                false
            }
            Err(error) => {
                tracing::warn!(hook, digest, %error, "the promoted version cannot be read yet");
                false
            }
        }
    }

    /// Why the hook does not serve its promoted version.
    pub(super) fn problem(&self, hook: &str) -> Option<String> {
        let is_missing = lock(&self.missing).contains(hook);
        is_missing.then(|| {
            "the promoted version is neither in the plugins directory nor in the ledger: put its file back".into()
        })
    }

    /// Keeps a version, whatever happens to its file.
    pub(super) async fn keep(&self, version: &VersionFile) -> Result<(), LedgerError> {
        let component = Bytes::copy_from_slice(&version.bytes);
        self.ledger
            .keep_component(version.digest.clone(), component)
            .await?;
        if let Some(signature) = &version.signature {
            let signature = Bytes::copy_from_slice(signature);
            self.ledger
                .keep_component(signature_name(&version.digest), signature)
                .await?;
        }
        Ok(())
    }

    /// Removes the components that no hook needs.
    pub(super) async fn forget_unused(&self, states: &States) -> Result<usize, LedgerError> {
        let mut used = Vec::new();
        for hook in states.hooks() {
            for digest in states.get(&hook).kept() {
                used.extend([digest.to_owned(), signature_name(digest)]);
            }
        }
        self.ledger.forget_components(used).await
    }

    async fn find(&self, hook: &str, digest: &str) -> Result<Option<Parts>, LedgerError> {
        let found = self.candidates.found(hook);
        if let Some(version) = found.and_then(|found| version_of(&found, digest)) {
            let signature = version.signature.map(|signature| signature.to_vec());
            return Ok(Some((version.bytes.to_vec(), signature)));
        }

        let Some(bytes) = self.ledger.kept_component(digest.to_owned()).await? else {
            return Ok(None);
        };
        if ComponentDigest::of(&bytes).to_string() != format!("sha256:{digest}") {
            return Ok(None);
        }
        let signature = self.ledger.kept_component(signature_name(digest)).await?;
        Ok(Some((bytes, signature)))
    }
}

/// The version with this digest among the files of a hook.
fn version_of(found: &FoundCandidate, digest: &str) -> Option<VersionFile> {
    let versions = found.version.iter().chain([&found.serving]);
    let mut versions = versions.filter(|version| version.digest == digest);
    versions.next().cloned()
}

fn signature_name(digest: &str) -> String {
    format!("{digest}.minisig")
}
