//! The hooks that are served, for readers: they never wait for the reconciler.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use arc_swap::ArcSwap;
use landfall_model::{Event, HookRetentions, lock};
use landfall_verify::{MaskedEvent, ProofNames, mask_of_unknown_hook};
use tokio::sync::Notify;

use super::file_times::FileTimes;
use super::hook::Hook;
use super::load::Loader;
use super::nearest::nearest_name;
use super::readiness::ReadinessGate;
use super::status::{HookState, HookStatus};
use super::table::Table;
use super::vanished::VanishedRules;

/// The served hooks and their statuses.
#[derive(Clone, Default)]
pub struct Hooks {
    table: Arc<ArcSwap<Table>>,
    statuses: Arc<Mutex<Vec<HookStatus>>>,
    gate: Arc<ReadinessGate>,
    scan_now: Arc<Notify>,
    vanished: Arc<VanishedRules>,
    file_times: Arc<FileTimes>,
    /// The names of proofs in the packs that are available.
    proof_names: Arc<ArcSwap<ProofNames>>,
    /// What makes hooks from files. `None` if nothing does.
    loader: Option<Arc<Loader>>,
}

// === impl Hooks ===

impl Hooks {
    pub(crate) fn new(gate: ReadinessGate, loader: Arc<Loader>) -> Hooks {
        Hooks {
            gate: Arc::new(gate),
            loader: Some(loader),
            ..Hooks::default()
        }
    }

    pub(crate) fn loader(&self) -> Option<&Loader> {
        self.loader.as_deref()
    }

    /// The present paths and their hooks.
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// The hook of that name, as it answers.
    pub fn named(&self, name: &str) -> Option<Arc<Hook>> {
        let name = name.parse().ok()?;
        let table = self.table();
        table.entry(&name).map(|entry| entry.answers.clone())
    }

    /// Why nobody knows what `[redact]` of the hook removes, so that nothing may be stored for it.
    /// `None`: it is known, or the hook has no file.
    pub fn unread(&self, name: &str) -> Option<String> {
        self.unread_rules(name, self.named(name).as_deref())
    }

    fn unread_rules(&self, name: &str, hook: Option<&Hook>) -> Option<String> {
        match hook {
            Some(hook) if hook.spec.redact.is_unknown() => Some(format!(
                "{name}.toml cannot be read, and its [redact] may remove values: correct the file"
            )),
            Some(_) => None,
            None if !self.is_complete() => Some(format!(
                "{name}.toml may not have been read yet, and its [redact] may remove values"
            )),
            None => self.has_file(name).then(|| {
                format!("{name}.toml is not served, and its [redact] may remove values: `landfall hooks` says why")
            }),
        }
    }

    /// An event that cannot be refused, such as an emitted one, as its hook stores it: without the
    /// values that `[redact]` names. Fails, and nothing may be stored, if these rules are
    /// not known.
    pub fn redacted(&self, event: Event) -> Result<Event, String> {
        let hook = self.named(&event.hook);
        if let Some(why) = self.unread_rules(&event.hook, hook.as_deref()) {
            return Err(why);
        }

        let event = self.vanished.redacted(event)?;
        Ok(match hook {
            Some(hook) => hook.redacted_or_head(event),
            None => event,
        })
    }

    fn has_file(&self, name: &str) -> bool {
        let statuses = self.lock_statuses();
        let mut statuses = statuses.iter();
        statuses.any(|status| status.has_file && status.name == name)
    }

    /// The event as people may see it: without the token or signature of its sender, where the
    /// present rules of its hook read it, or those read it that have accepted the event. If that is
    /// not known, without what looks like one.
    pub fn mask<'a>(&self, event: &'a Event) -> MaskedEvent<'a> {
        let names = self.proof_names.load();
        match self.named(&event.hook) {
            Some(hook) => hook.verifier.mask(event, &names),
            None => mask_of_unknown_hook(event, &names),
        }
    }

    pub(crate) fn set_proof_names(&self, names: ProofNames) {
        self.proof_names.store(Arc::new(names));
    }

    /// The names of the hooks.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.table().names()
    }

    /// How long each hook keeps its events. `None`: the directory has not been read yet.
    pub fn retentions(&self) -> Option<HookRetentions> {
        if !self.is_complete() {
            return None;
        }

        let statuses = self.statuses().into_iter();
        let files = statuses
            .filter(|status| status.has_file)
            .map(|status| Arc::<str>::from(status.name));
        let served = self.names().into_iter().filter_map(|name| {
            let retention = self.named(&name)?.spec.retention;
            Some((name, retention))
        });
        Some(HookRetentions {
            named: self.file_times.retentions(files, served, Instant::now()),
            missing_for: HookRetentions::MISSING_FOR,
        })
    }

    /// The name of a hook that is most like this one, for a hint to the operator.
    pub fn nearest_name(&self, name: &str) -> Option<String> {
        let statuses = self.lock_statuses();
        let names = statuses.iter().map(|status| status.name.as_str());
        nearest_name(name, names).map(str::to_owned)
    }

    /// The status of each hook and of each file that cannot be one.
    pub fn statuses(&self) -> Vec<HookStatus> {
        self.lock_statuses().clone()
    }

    /// Makes the reconciler scan the directory now.
    pub fn look_again(&self) {
        self.scan_now.notify_one();
    }

    /// Whether the directory has been read and every hook in it has been loaded or refused.
    pub fn is_complete(&self) -> bool {
        self.table.load().complete
    }

    /// Why the node has not been ready so far. `None` once it has been.
    pub fn not_ready(&self) -> Option<String> {
        if !self.is_complete() {
            return Some("the plugins directory has not been read yet".into());
        }
        let names = self.gate.waits_for()?;
        Some(format!(
            "these hook files are not served: {names}; `landfall hooks` says why"
        ))
    }

    /// The hook files that are not served. A component without a hook file is not one of them.
    pub fn not_served(&self) -> Vec<HookStatus> {
        not_served(&self.lock_statuses())
    }

    /// Waits for a call of `look_again`.
    pub(crate) async fn scan_wanted(&self) {
        self.scan_now.notified().await;
    }

    /// Replaces the table and the statuses together: who finds a hook serving finds it in the
    /// table, and who finds the table complete finds its statuses. Returns the old statuses.
    /// `now` is the time of day.
    pub(crate) fn publish(
        &self,
        table: Table,
        mut statuses: Vec<HookStatus>,
        now: &str,
    ) -> Vec<HookStatus> {
        let mut present = self.lock_statuses();
        for status in &mut statuses {
            let old = present.iter().find(|old| status.is_as_before(old));
            let since = old.and_then(|old| old.since.clone());
            status.since = Some(since.unwrap_or_else(|| now.to_owned()));
        }
        // A component without a hook file removes nothing.
        let is_known = |name: &str| {
            let mut statuses = statuses.iter();
            let has_file = statuses.any(|status| status.has_file && status.name == name);
            let rules = table.rules_of(name).filter(|_| has_file);
            rules.is_some_and(|rules| !rules.is_unknown())
        };
        self.vanished
            .update(self.table.load().redact_rules(), is_known);
        if table.complete {
            // Before the table: readers of a complete table ask the gate.
            self.gate.update(not_served(&statuses));
        }
        self.table.store(Arc::new(table));
        std::mem::replace(&mut *present, statuses)
    }

    fn lock_statuses(&self) -> MutexGuard<'_, Vec<HookStatus>> {
        lock(&self.statuses)
    }
}

fn not_served(statuses: &[HookStatus]) -> Vec<HookStatus> {
    statuses
        .iter()
        .filter(|status| status.has_file && status.state != HookState::Serving)
        .cloned()
        .collect()
}
