//! Keeps the served hooks in step with the plugins directory: scans it, loads what changed, swaps
//! the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use super::bundled::Bundled;
use super::candidate_loads::{CandidateFiles, CandidateLoads, LoadedCandidate};
use super::candidates::Candidates;
use super::files::Files;
use super::hook::LOADING;
use super::hook_file::references;
use super::load::{LOADS_MAX, Loader};
use super::loads::{Loaded, Loads};
use super::managed::ManagedHook;
use super::names::Names;
use super::packs::packs;
use super::platform::Platform;
use super::readiness::ReadinessGate;
use super::scan::{Debounce, Scanner, Snapshot};
use super::served::Hooks;
use super::status::{HookState, HookStatus};
use super::table::{Conflicts, Requested, Table};
use super::trust::{Trust, signature_file};
use super::watch::Watch;
use landfall_config::Readiness;
use landfall_engine::Engine;
use landfall_metrics::Metrics;
use landfall_model::{Clock, HookName, SecretSource};
use landfall_verify::{AuthScheme, ProofNames};

/// A file that has changed counts when it has stayed the same for this long.
const SETTLE: Duration = Duration::from_millis(100);
/// A file that is missing for less than this is being replaced.
const GONE: Duration = Duration::from_secs(1);
/// Changes within this time cause one scan.
const BURST: Duration = Duration::from_millis(20);
/// One of this many polls reads every file, also those whose stamp has not changed.
const THOROUGH_EVERY: u32 = 15;

/// What the reconciler is made from.
pub struct Setup {
    /// Runs components.
    pub engine: Arc<Engine>,
    /// The values of secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// The plugins directory.
    pub dir: PathBuf,
    /// The directory of the components that came with the binary.
    pub bundled: Option<PathBuf>,
    /// How often the directory is scanned without a change notification.
    pub scan_interval: Duration,
    /// Why this node has no queue, if it has none.
    pub cannot_queue: Option<&'static str>,
    /// Why this node stores no rows and values, if it does not.
    pub cannot_keep: Option<&'static str>,
    /// The queue keeps no order.
    pub cannot_order: bool,
    /// Events wait in a broker.
    pub has_broker: bool,
    /// What the platform does with requests.
    pub platform: Platform,
    /// Which components may be loaded.
    pub trust: Trust,
    /// Bytes that the node has for all bodies together.
    pub bodies: usize,
    /// When the node becomes ready.
    pub readiness: Readiness,
    /// The metrics of the hooks.
    pub metrics: Arc<Metrics>,
    /// The versions that are tried, and those that were promoted.
    pub candidates: Candidates,
    /// The time of day.
    pub clock: Clock,
}

/// The only writer of the served hooks.
struct Reconciler {
    hooks: Hooks,
    loader: Arc<Loader>,
    scanner: Scanner,
    bundled: Bundled,
    managed: BTreeMap<HookName, ManagedHook>,
    /// The components that hooks need and that are missing.
    missing: BTreeSet<String>,
    /// Files that cannot be hooks, and a directory that cannot be read, with the reason.
    invalid_files: BTreeMap<String, String>,
    loads: Loads,
    /// The files of candidates, as the last scan found them.
    candidate_files: BTreeMap<HookName, CandidateFiles>,
    candidate_loads: CandidateLoads,
    has_scanned: bool,
    clock: Clock,
}

// === impl Hooks ===

impl Hooks {
    /// Starts to serve the plugins directory. The first scan happens in the background.
    pub fn start(setup: Setup) -> Hooks {
        let interval = setup.scan_interval;
        let mut reconciler = Reconciler::new(setup);
        let hooks = reconciler.hooks.clone();
        tokio::spawn(async move { reconciler.run(interval).await });
        hooks
    }

    /// Scans the directory once and loads every hook: for `landfall check`.
    pub async fn once(setup: Setup) -> Hooks {
        let mut reconciler = Reconciler::new(setup);
        reconciler.scan(false).await;
        while let Some(loaded) = reconciler.loads.next().await {
            reconciler.finish_loads(loaded).await;
        }
        while let Some(loaded) = reconciler.candidate_loads.next().await {
            reconciler.finish_candidate(loaded);
        }
        reconciler.hooks
    }
}

// === impl Reconciler ===

impl Reconciler {
    fn new(setup: Setup) -> Reconciler {
        let loader = Loader {
            engine: setup.engine,
            secrets: setup.secrets,
            dir: setup.dir.clone(),
            packs: ArcSwap::default(),
            cannot_queue: setup.cannot_queue,
            cannot_keep: setup.cannot_keep,
            cannot_order: setup.cannot_order,
            has_broker: setup.has_broker,
            platform: setup.platform,
            trust: setup.trust,
            bodies: setup.bodies,
            metrics: setup.metrics,
            candidates: setup.candidates,
            permits: Semaphore::new(LOADS_MAX),
        };
        let debounce = Debounce {
            settle: SETTLE,
            gone: GONE,
        };
        let loader = Arc::new(loader);
        Reconciler {
            hooks: Hooks::new(ReadinessGate::new(setup.readiness), loader.clone()),
            loader,
            scanner: Scanner::new(setup.dir, debounce),
            bundled: Bundled::new(setup.bundled),
            managed: BTreeMap::new(),
            missing: BTreeSet::new(),
            invalid_files: BTreeMap::new(),
            loads: Loads::default(),
            candidate_files: BTreeMap::new(),
            candidate_loads: CandidateLoads::default(),
            has_scanned: false,
            clock: setup.clock,
        }
    }

    async fn run(&mut self, interval: Duration) {
        let hooks = self.hooks.clone();
        let mut watch = Watch::new(self.scanner.dir());
        // An interval, not a pause after each change: some changes are only found by polling,
        // however many others arrive.
        let mut polls = tokio::time::interval(interval);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        polls.tick().await;

        let mut count = 0_u32;
        let mut is_unsettled = self.scan(false).await;
        loop {
            tokio::select! {
                Some(loaded) = self.loads.next() => {
                    self.finish_loads(loaded).await;
                    continue;
                }
                Some(loaded) = self.candidate_loads.next() => {
                    self.finish_candidate(loaded);
                    continue;
                }
                () = watch.changed() => tokio::time::sleep(BURST).await,
                () = tokio::time::sleep(SETTLE), if is_unsettled => {}
                () = hooks.scan_wanted() => {}
                _ = polls.tick() => count = count.wrapping_add(1),
            }
            let thorough = count % THOROUGH_EVERY == THOROUGH_EVERY - 1;
            is_unsettled = self.scan(thorough).await;
            watch.renew();
        }
    }

    /// Scans once and starts to load what has changed. Returns whether a file is still changing.
    async fn scan(&mut self, thorough: bool) -> bool {
        let (scanned, packs) = tokio::task::block_in_place(|| {
            let packs = packs(Some(&self.scanner.dir().join("providers")));
            (self.scanner.scan(thorough), packs)
        });
        let snapshot = match scanned {
            Ok(snapshot) => snapshot,
            Err(error) => {
                // The hooks stay: a volume that is gone may return.
                let why = format!("cannot be read: {error}; the last good hooks go on serving");
                self.invalid_files.insert("plugins directory".into(), why);
                self.publish();
                return false;
            }
        };

        self.invalid_files.clear();
        match packs {
            Ok(packs) => {
                self.invalid_files.extend(packs.broken());
                if packs.digest() != self.loader.packs.load().digest() {
                    self.hooks.set_proof_names(ProofNames::of(&packs));
                }
                self.loader.packs.store(Arc::new(packs));
            }
            Err(error) => {
                self.invalid_files
                    .insert("providers".into(), format!("{error:#}"));
            }
        }
        self.invalid_files.extend(snapshot.invalid_files.clone());
        for name in &snapshot.dangling {
            self.invalid_files
                .insert(name.clone(), "is a link to nothing".into());
        }

        self.apply(&snapshot, thorough).await;
        self.has_scanned = true;
        self.publish();
        !snapshot.unsettled.is_empty()
    }

    async fn apply(&mut self, snapshot: &Snapshot, thorough: bool) {
        let serving = self
            .managed
            .iter()
            .map(|(name, managed)| (name.clone(), managed.components()))
            .collect();
        let names = Names {
            snapshot,
            serving: &serving,
        };
        let (wanted, invalid_files) = names.wanted();
        self.invalid_files.extend(invalid_files);

        self.remove_unwanted(&wanted, snapshot);
        self.find_missing(&wanted, &names);
        let mut with_candidate = BTreeSet::new();
        for name in wanted {
            let mut files = names.files(&name);
            files.packs = self.loader.packs.load().digest();
            if files.component.is_none() {
                files.component = self.bundled.get(&files.component_name);
                files.signature = self.bundled.get(&signature_file(&files.component_name));
                files.is_bundled = true;
            }
            self.loader.candidates.promote(&name, &mut files);

            if names.is_changing(&name, &files) {
                with_candidate.insert(name.clone());
                self.close_early(&name, &files);
                continue;
            }
            if self.candidate_files.contains_key(&name) && names.is_unreadable(&name) {
                with_candidate.insert(name.clone());
            }
            if let Some(component) = names.candidate_component(&name) {
                with_candidate.insert(name.clone());
                if let Some(candidate) = names.candidate_files(&files, component) {
                    let hook = files.clone();
                    let candidate = CandidateFiles { hook, candidate };
                    self.candidate_files.insert(name.clone(), candidate);
                }
            }
            self.load(name, files, thorough).await;
        }
        self.candidate_files
            .retain(|name, _| with_candidate.contains(name));
        self.load_candidates(thorough);
        self.forget_secrets();
    }

    /// Drops the hooks whose files are gone.
    fn remove_unwanted(&mut self, wanted: &BTreeSet<HookName>, snapshot: &Snapshot) {
        let candidates = &self.loader.candidates;
        self.managed.retain(|name, managed| {
            let has_file = snapshot.has(&format!("{name}.toml"));
            let stays = wanted.contains(name) && (has_file || !managed.has_file);
            if !stays {
                tracing::info!(hook = %name, "hook removed");
                candidates.forget(name);
            }
            stays
        });
        self.loads.retain(|name| wanted.contains(name));
    }

    /// Finds the components that hooks need and that are neither in the directory nor bundled.
    fn find_missing(&mut self, wanted: &BTreeSet<HookName>, names: &Names<'_>) {
        let mut needed: BTreeSet<String> = self
            .managed
            .values()
            .flat_map(ManagedHook::components)
            .collect();
        needed.extend(wanted.iter().map(|name| names.component(name)));
        needed.retain(|component| {
            !names.snapshot.has(component) && self.bundled.get(component).is_none()
        });
        self.missing = needed;
    }

    /// A hook file takes effect as a whole, when its component can be loaded. Only one thing counts
    /// at once: that no caller is allowed any more.
    fn close_early(&mut self, name: &HookName, files: &Files) {
        let Some(managed) = self.managed.get_mut(name) else {
            return;
        };
        let is_unchanged = files.fingerprint().hook_file == managed.tried.hook_file;
        if files.hook_file.is_none() || is_unchanged {
            return;
        }

        if let Ok((spec, verifier)) = self.loader.verifier(name, files)
            && *verifier.auth_scheme() == AuthScheme::Closed
        {
            for hook in managed.hooks_mut() {
                *hook = Arc::new(hook.with_callers(&spec, &verifier));
            }
        }
    }

    /// Starts to load a hook whose files are new or should be tried again.
    async fn load(&mut self, name: HookName, files: Files, thorough: bool) {
        let tried = files.fingerprint();
        let is_loaded = match self.loads.loading(&name) {
            Some(loading) => *loading == tried,
            None => self.managed.get_mut(&name).is_some_and(|managed| {
                managed.tried == tried && !(thorough && managed.count_scan())
            }),
        };
        if is_loaded {
            return;
        }

        if self.hooks.is_complete() && !self.managed.contains_key(&name) {
            let unavailable = self.loader.unavailable(&name, &files, LOADING).await;
            let managed = ManagedHook::loading(unavailable, &files);
            self.managed.insert(name.clone(), managed);
        }
        self.loads.start(self.loader.clone(), name, files, tried);
    }

    /// Applies the results of loads. Not to be cancelled: a hook that is being replaced would be
    /// lost.
    async fn finish_loads(&mut self, loaded: Vec<Loaded>) {
        for loaded in loaded {
            self.finish(loaded).await;
        }
        self.load_candidates(false);
        self.publish();
    }

    async fn finish(&mut self, loaded: Loaded) {
        let Loaded {
            name,
            files,
            tried,
            hook,
        } = loaded;
        let before = self.managed.remove(&name);
        let loader = &self.loader;
        let unavailable = async |why: &str| loader.unavailable(&name, &files, why).await;
        let managed = ManagedHook::after(tried, &files, before, hook, unavailable).await;
        self.managed.insert(name, managed);
        self.forget_secrets();
    }

    /// Starts to load candidates that are new: of hooks that serve from their present files.
    /// `again`: also those that could not be loaded for a passing reason.
    fn load_candidates(&mut self, again: bool) {
        for (name, files) in &self.candidate_files {
            let Some(managed) = self.managed.get(name) else {
                continue;
            };
            let is_current = managed.problem.is_none() && managed.tried == files.hook.fingerprint();
            if is_current && managed.wanted.is_ready() {
                let (loader, hook) = (&self.loader, &managed.wanted);
                let loads = &mut self.candidate_loads;
                if loads.start(loader, name, hook, files.clone(), again) {
                    loader.candidates.set_loading(name);
                }
            }
        }

        let files = &self.candidate_files;
        let gone = self.candidate_loads.retain(|name| files.contains_key(name));
        for name in gone {
            self.loader.candidates.set_found(&name, None);
        }
    }

    fn finish_candidate(&mut self, loaded: Option<LoadedCandidate>) {
        if let Some(LoadedCandidate { name, found, .. }) = loaded {
            self.loader.candidates.set_found(&name, Some(found));
            self.publish();
        }
    }

    /// Forgets the secrets that no hook names. A load in progress may need one, so this waits until
    /// nothing loads.
    fn forget_secrets(&self) {
        if self.loads.is_empty() {
            let hooks = self.managed.values().flat_map(ManagedHook::hooks);
            let used: Vec<_> = hooks.flat_map(|hook| references(&hook.spec)).collect();
            self.loader.secrets.retain(&used);
        }
    }

    /// Swaps in the table and the statuses of the present state.
    fn publish(&mut self) {
        let is_loaded = self.has_scanned && self.loads.is_empty();
        let requested = Requested {
            hooks: &self.managed,
            missing: &self.missing,
            complete: self.hooks.is_complete() || is_loaded,
        };
        let (table, conflicts) = self.hooks.table().next(&requested);
        for (name, managed) in &mut self.managed {
            managed.served = table.entry(name).map(|entry| entry.hook.clone());
        }

        let statuses = self.statuses(&table, &conflicts);
        let now = humantime::format_rfc3339_millis(self.clock.now()).to_string();
        let old = self.hooks.publish(table, statuses, &now);
        self.log_changes(&old, &self.hooks.statuses(), &conflicts);
    }

    fn statuses(&self, table: &Table, conflicts: &Conflicts) -> Vec<HookStatus> {
        let mut statuses = Vec::new();
        for (name, managed) in &self.managed {
            let conflict = conflicts.get(name).map(ToString::to_string);
            let problem = managed.problem.as_deref().or(conflict.as_deref());
            let entry = table.entry(name);
            let answers = entry.map_or(&managed.wanted, |entry| &entry.answers);
            let mut status = answers.status(problem, &*self.loader.secrets);
            status.warnings.extend(self.loader.candidates.problem(name));
            statuses.push(HookStatus {
                state: if entry.is_some() {
                    status.state
                } else {
                    HookState::Unavailable
                },
                has_file: managed.has_file,
                tried: managed.tried.component_digest(),
                ..status
            });
        }

        for (name, why) in &self.invalid_files {
            statuses.push(HookStatus::invalid_file(name, why));
        }
        statuses
    }

    /// Logs the statuses that have changed and that an operator should see.
    fn log_changes(&self, old: &[HookStatus], new: &[HookStatus], conflicts: &Conflicts) {
        let old: BTreeMap<&str, &HookStatus> = old
            .iter()
            .map(|status| (status.name.as_str(), status))
            .collect();
        for status in new {
            let (hook, problem) = (&status.name, status.problem.as_deref());
            if old.get(hook.as_str()) == Some(&status) {
                continue;
            }
            match status.state {
                HookState::Closed => tracing::warn!(hook, problem, "hook closed"),
                HookState::Serving if problem.is_some() => {
                    tracing::warn!(hook, problem, "hook serves, but lacks a secret");
                }
                HookState::Unavailable if self.invalid_files.contains_key(hook) => {
                    tracing::warn!(file = hook, problem, "a file is not read");
                }
                _ if conflicts.keys().any(|name| **name == **hook) => {
                    tracing::error!(hook, problem, "path taken");
                }
                _ => {}
            }
        }
    }
}
