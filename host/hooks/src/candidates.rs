//! The candidates of hooks: what their files have, and which versions were promoted. The reconciler
//! fills it, the node decides by it, and requests read only the cell of their hook.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use landfall_engine::{Candidate, CandidateCell, Handler};
use landfall_model::{CandidateSpec, HookName, lock};

use super::file::Content;
use super::files::Files;

/// The candidates of all hooks.
#[derive(Clone, Default)]
pub struct Candidates(Arc<Mutex<BTreeMap<HookName, Entry>>>);

#[derive(Default)]
struct Entry {
    cell: Arc<CandidateCell>,
    /// The candidate that the files have.
    found: Option<Arc<FoundCandidate>>,
    /// Files are being loaded that differ from those of `found`.
    is_loading: bool,
    /// The version of the component's own file.
    own_file: Option<[u8; 32]>,
    promotion: Option<Promotion>,
}

/// A candidate as its hook's files have it.
pub struct FoundCandidate {
    /// `[candidate]` of the hook file.
    pub spec: CandidateSpec,
    /// The file of the candidate. `None`: it is missing or cannot be read.
    pub version: Option<VersionFile>,
    /// What served when the candidate was loaded.
    pub serving: VersionFile,
    /// Runs it, or why it cannot be tried.
    pub handler: Result<Arc<Handler>, String>,
}

/// A version of a component with its bytes.
#[derive(Debug, Clone)]
pub struct VersionFile {
    /// SHA-256 in hex.
    pub digest: String,
    /// The component.
    pub bytes: Arc<[u8]>,
    /// The file of its signature, if there is one.
    pub signature: Option<Arc<[u8]>>,
}

/// A version that serves in place of the component's file, as long as that is the one which it has
/// replaced.
#[derive(Debug, Clone)]
pub struct Promotion {
    over: String,
    content: Content,
    signature: Option<Content>,
}

// === impl Candidates ===

impl Candidates {
    /// The cell of a hook, which all its versions share.
    pub(crate) fn cell(&self, hook: &HookName) -> Arc<CandidateCell> {
        self.entries().entry(hook.clone()).or_default().cell.clone()
    }

    /// The hooks with a candidate.
    pub fn hooks(&self) -> Vec<HookName> {
        let entries = self.entries();
        let with_candidate = entries.iter().filter(|(_, entry)| entry.found.is_some());
        with_candidate.map(|(hook, _)| hook.clone()).collect()
    }

    /// The candidate that the files of a hook have.
    pub fn found(&self, hook: &str) -> Option<Arc<FoundCandidate>> {
        self.read(hook, |entry| entry.found.clone())
    }

    /// The cell of a hook, if it has been loaded.
    pub fn cell_of(&self, hook: &str) -> Option<Arc<CandidateCell>> {
        self.read(hook, |entry| Some(entry.cell.clone()))
    }

    /// The version of the component's own file, in hex. `None`: it is missing or changing.
    pub fn own_file(&self, hook: &str) -> Option<String> {
        self.read(hook, |entry| entry.own_file.map(hex::encode))
    }

    /// The promoted version of a hook, and the version of the file that it replaces.
    pub fn promotion(&self, hook: &str) -> Option<(String, String)> {
        self.read(hook, |entry| {
            let promotion = entry.promotion.as_ref()?;
            Some((promotion.digest(), promotion.over.clone()))
        })
    }

    /// The hooks with a promoted version.
    pub fn promoted(&self) -> Vec<String> {
        let entries = self.entries();
        let promoted = entries
            .iter()
            .filter(|(_, entry)| entry.promotion.is_some());
        promoted.map(|(hook, _)| hook.to_string()).collect()
    }

    /// Sets or removes the promoted version of a hook. It takes effect at the next scan.
    pub fn set_promotion(&self, hook: &str, promotion: Option<Promotion>) {
        let Ok(hook) = hook.parse::<HookName>() else {
            return;
        };
        let mut entries = self.entries();
        if promotion.is_some() {
            entries.entry(hook).or_default().promotion = promotion;
        } else if let Some(entry) = entries.get_mut(&hook) {
            entry.promotion = None;
            if entry.is_unused() {
                entries.remove(&hook);
            }
        }
    }

    /// Puts the promoted version of a hook in the place of its component's file.
    pub(crate) fn promote(&self, hook: &HookName, files: &mut Files) {
        let own_file = match &files.component {
            Some(Ok(content)) => Some(content.digest),
            _ => None,
        };
        let mut entries = self.entries();
        let entry = entries.entry(hook.clone()).or_default();
        entry.own_file = own_file;

        let Some(promotion) = &entry.promotion else {
            return;
        };
        if own_file.map(hex::encode).as_ref() == Some(&promotion.over) {
            files.over = own_file;
            files.component = Some(Ok(promotion.content.clone()));
            files.signature = promotion.signature.clone().map(Ok);
            // What the node trusts of a bundled file says nothing of another version.
            files.is_bundled = false;
        }
    }

    /// Other files of the hook or of its candidate are being loaded: until that has ended, nothing
    /// runs on a candidate, because the one of before has the grants and settings of before.
    pub(crate) fn set_loading(&self, hook: &HookName) {
        let mut entries = self.entries();
        let entry = entries.entry(hook.clone()).or_default();
        entry.is_loading = true;
        entry.cell.set(None);
    }

    /// Whether files of the hook's candidate are being loaded.
    pub fn is_loading(&self, hook: &str) -> bool {
        let is_loading = self.read(hook, |entry| Some(entry.is_loading));
        is_loading.unwrap_or_default()
    }

    /// Begins to try a candidate, if `found` is still what the files of its hook have. False: they
    /// have changed meanwhile, and nothing runs on it.
    pub fn begin(
        &self,
        hook: &str,
        found: &Arc<FoundCandidate>,
        candidate: Arc<Candidate>,
    ) -> bool {
        // Under the lock of `set_found` and `set_loading`: what they end must not begin again.
        let is_current = self.read(hook, |entry| {
            let is_current = entry.has(found);
            if is_current {
                entry.cell.set(Some(candidate));
            }
            Some(is_current)
        });
        is_current.unwrap_or_default()
    }

    /// Sets or removes the candidate that the files of a hook have.
    pub(crate) fn set_found(&self, hook: &HookName, found: Option<FoundCandidate>) {
        let mut entries = self.entries();
        if let Some(found) = found {
            let entry = entries.entry(hook.clone()).or_default();
            entry.is_loading = false;
            if found.handler.is_err() {
                entry.cell.set(None);
            }
            entry.found = Some(Arc::new(found));
        } else if let Some(entry) = entries.get_mut(hook) {
            entry.found = None;
            entry.is_loading = false;
            entry.cell.set(None);
        }
    }

    /// Forgets a hook that is gone. A promoted version stays, in case the hook comes back.
    pub(crate) fn forget(&self, hook: &HookName) {
        self.set_found(hook, None);
        if let Some(entry) = self.entries().get_mut(hook) {
            entry.own_file = None;
        }
    }

    /// Drops what is left of hooks that are gone.
    pub fn drop_unused(&self) {
        self.entries().retain(|_, entry| !entry.is_unused());
    }

    /// Why the candidate of a hook cannot be tried.
    pub(crate) fn problem(&self, hook: &HookName) -> Option<String> {
        let found = self.found(hook)?;
        let why = found.handler.as_ref().err()?;
        Some(format!("the candidate is not tried: {why}"))
    }

    fn read<T>(&self, hook: &str, read: impl FnOnce(&Entry) -> Option<T>) -> Option<T> {
        let hook: HookName = hook.parse().ok()?;
        read(self.entries().get(&hook)?)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<HookName, Entry>> {
        lock(&self.0)
    }
}

// === impl Entry ===

impl Entry {
    /// Whether the files have this candidate, and no others are being loaded.
    fn has(&self, found: &Arc<FoundCandidate>) -> bool {
        let present = self.found.as_ref();
        !self.is_loading && present.is_some_and(|present| Arc::ptr_eq(present, found))
    }

    /// Whether nothing of the hook is left: neither files, nor a promoted version, nor a version of
    /// it that may still run.
    fn is_unused(&self) -> bool {
        self.promotion.is_none()
            && self.found.is_none()
            && !self.is_loading
            && self.own_file.is_none()
            && Arc::strong_count(&self.cell) == 1
    }
}

// === impl FoundCandidate ===

impl FoundCandidate {
    /// The version of the candidate's file, in hex.
    pub fn digest(&self) -> Option<&str> {
        Some(&self.version.as_ref()?.digest)
    }
}

// === impl VersionFile ===

impl VersionFile {
    pub(crate) fn new(content: &Content, signature: Option<&Content>) -> VersionFile {
        VersionFile {
            digest: hex::encode(content.digest),
            bytes: content.bytes.clone(),
            signature: signature.map(|signature| signature.bytes.clone()),
        }
    }
}

// === impl Promotion ===

impl Promotion {
    /// `over`: the version of the component's file, in hex.
    pub fn new(over: String, bytes: Vec<u8>, signature: Option<Vec<u8>>) -> Promotion {
        Promotion {
            over,
            content: Content::new(bytes),
            signature: signature.map(Content::new),
        }
    }

    /// SHA-256 of the promoted version, in hex.
    pub fn digest(&self) -> String {
        hex::encode(self.content.digest)
    }
}

#[cfg(test)]
mod tests {
    use landfall_model::Trial;

    use super::*;

    fn files(component: &[u8]) -> Files {
        Files {
            hook_file: None,
            component: Some(Ok(Content::new(component.to_vec()))),
            component_name: "app.wasm".into(),
            signature: Some(Ok(Content::new(b"of the file".to_vec()))),
            is_bundled: true,
            similar: None,
            packs: 0,
            over: None,
        }
    }

    fn bytes(files: &Files) -> Vec<u8> {
        let content = files.component.as_ref().unwrap().as_ref().unwrap();
        content.bytes.to_vec()
    }

    #[test]
    fn promotions_replace_one_version() {
        let (candidates, hook) = (Candidates::default(), "app".parse::<HookName>().unwrap());
        let over = hex::encode(Content::new(b"one".to_vec()).digest);
        let promotion = Promotion::new(over.clone(), b"two".to_vec(), None);
        let digest = promotion.digest();
        candidates.set_promotion("app", Some(promotion));
        assert_eq!(candidates.promotion("app"), Some((digest, over.clone())));

        let mut same = files(b"one");
        candidates.promote(&hook, &mut same);
        assert_eq!(bytes(&same), b"two");
        assert!(same.over.is_some() && same.signature.is_none() && !same.is_bundled);
        assert_eq!(candidates.own_file("app"), Some(over));

        let mut newer = files(b"three");
        candidates.promote(&hook, &mut newer);
        assert_eq!(bytes(&newer), b"three");
        assert!(newer.over.is_none() && newer.is_bundled);

        assert_eq!(candidates.promoted(), ["app"]);
        candidates.set_promotion("app", None);
        let mut same = files(b"one");
        candidates.promote(&hook, &mut same);
        assert_eq!(bytes(&same), b"one");
        assert!(candidates.promoted().is_empty());
    }

    #[test]
    fn changed_candidates_do_not_begin() {
        let (candidates, hook) = (Candidates::default(), "app".parse::<HookName>().unwrap());
        let found = || FoundCandidate {
            spec: CandidateSpec {
                component: "new.wasm".into(),
                digest: None,
                trial: Trial::Shadow,
            },
            version: None,
            serving: VersionFile::new(&Content::new(b"one".to_vec()), None),
            handler: Err("it is bad".into()),
        };
        let has = |found: &Arc<FoundCandidate>| candidates.entries()[&hook].has(found);

        candidates.set_found(&hook, Some(found()));
        let first = candidates.found("app").unwrap();
        assert!(has(&first));
        candidates.set_loading(&hook);
        assert!(!has(&first));
        candidates.set_found(&hook, Some(found()));
        assert!(!has(&first), "another version was loaded");
        let second = candidates.found("app").unwrap();
        assert!(has(&second));
        candidates.set_found(&hook, None);
        assert!(!has(&second));
    }

    #[test]
    fn nothing_is_left_of_gone_hooks() {
        let (candidates, hook) = (Candidates::default(), "app".parse::<HookName>().unwrap());
        let cell = candidates.cell(&hook);
        candidates.promote(&hook, &mut files(b"one"));
        candidates.forget(&hook);
        candidates.drop_unused();
        assert!(candidates.cell_of("app").is_some(), "a version may run");
        drop(cell);

        let promotion = Promotion::new("aa".into(), b"two".to_vec(), None);
        candidates.set_promotion("app", Some(promotion));
        candidates.drop_unused();
        assert_eq!(candidates.promoted(), ["app"]);
        candidates.set_promotion("app", None);
        candidates.drop_unused();
        assert!(candidates.cell_of("app").is_none());
    }
}
