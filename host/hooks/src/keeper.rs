//! Keeps the served hooks in step with the directory: looks, loads what changed, swaps, remembers what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::hook::{Hook, HookState, HookStatus};
use super::known::{Fingerprint, Known, LOADING, fingerprint};
use super::load::{Files, LOADS_MAX, Loader, Platform, Problem, references};
use super::names::Names;
use super::packs::packs;
use super::readiness::ReadinessGate;
use super::scan::{Bundled, Look, Patience, Scanner};
use super::table::{Asked, Table};
use super::watch::Watch;
use landfall_config::Readiness;
use landfall_engine::Engine;
use landfall_model::{HookName, SecretSource};
use landfall_verify::AuthScheme;

/// A changing file is looked at again after this, until it has stayed the same for as long.
const SETTLE: Duration = Duration::from_millis(100);
/// A file that is missing for less is being replaced.
const GONE: Duration = Duration::from_secs(1);
/// A burst of changes is one reason to look.
const BURST: Duration = Duration::from_millis(20);
/// At every so many polls, files are read although nothing tells that they changed.
const THOROUGH_EVERY: u32 = 15;

/// What the keeper is made from.
pub struct Setup {
    /// Runs components.
    pub engine: Arc<Engine>,
    /// Holds secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// The plugins directory.
    pub dir: PathBuf,
    /// Components that came with the binary.
    pub bundled: Option<PathBuf>,
    /// Look this often even if nothing was heard.
    pub scan_interval: Duration,
    /// Why no event can wait here, if none can.
    pub cannot_queue: Option<&'static str>,
    /// Why no row and no value can be kept here, if none can.
    pub cannot_keep: Option<&'static str>,
    /// The queue keeps no order.
    pub cannot_order: bool,
    /// What the platform makes of requests.
    pub platform: Platform,
    /// Bytes that the node has for all bodies together.
    pub bodies: usize,
    /// When the node becomes ready.
    pub readiness: Readiness,
}

/// The served hooks; readers never wait.
#[derive(Clone, Default)]
pub struct Hooks {
    table: Arc<ArcSwap<Table>>,
    statuses: Arc<Mutex<Vec<HookStatus>>>,
    gate: Arc<ReadinessGate>,
    /// Somebody wants the directory to be read now.
    again: Arc<Notify>,
}

/// The one writer.
struct Keeper {
    hooks: Hooks,
    loader: Arc<Loader>,
    scanner: Scanner,
    bundled: Bundled,
    known: BTreeMap<HookName, Known>,
    /// Components that hooks need and that are not there.
    missing: BTreeSet<String>,
    /// Files whose names cannot be hooks, and a directory that cannot be read.
    strays: BTreeMap<String, String>,
    /// What is being loaded; one slow component holds up no other hook.
    loads: JoinSet<Loaded>,
    loading: BTreeMap<HookName, (Fingerprint, AbortHandle)>,
    /// The directory has been read.
    has_looked: bool,
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn ended(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Loaded {
    name: HookName,
    files: Files,
    tried: Fingerprint,
    hook: Result<Hook, Problem>,
}

// === impl Hooks ===

impl Hooks {
    /// Starts keeping; the first look happens in the background.
    pub fn start(setup: Setup) -> Hooks {
        let (hooks, mut keeper, poll) = Hooks::keeper(setup);
        tokio::spawn(async move { keeper.run(poll).await });
        hooks
    }

    /// Looks once and returns what there is: for `landfall check`.
    pub async fn once(setup: Setup) -> Hooks {
        let (hooks, mut keeper, _) = Hooks::keeper(setup);
        keeper.look(false);
        while keeper.finish_one().await {}
        hooks
    }

    /// The paths and their hooks, now.
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// The hook of that name, as it answers.
    pub fn named(&self, name: &str) -> Option<Arc<Hook>> {
        let name = name.parse().ok()?;
        self.table()
            .standing(&name)
            .map(|standing| standing.answers.clone())
    }

    /// Their names.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.table().names()
    }

    /// How each hook stands, by name; files that are no hooks are in it too.
    pub fn statuses(&self) -> Vec<HookStatus> {
        self.statuses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    /// Asks for a look at the directory now.
    pub fn look_again(&self) {
        self.again.notify_one();
    }

    /// The directory has been read once, and all that was in it tried.
    pub fn is_complete(&self) -> bool {
        self.table.load().complete
    }

    /// Why the node has not been ready so far; `None` once it has been.
    pub fn not_ready(&self) -> Option<String> {
        if !self.is_complete() {
            return Some("the plugins directory has not been read yet".into());
        }
        let names = self.gate.waits_for()?;
        Some(format!(
            "these hook files are not served: {names}; `landfall hooks` says why"
        ))
    }

    /// The hook files that are not served. A component without a hook file is not one of them: it waits for its operator.
    pub fn not_served(&self) -> Vec<HookStatus> {
        self.statuses()
            .into_iter()
            .filter(|status| status.has_file && status.state != HookState::Serving)
            .collect()
    }

    fn keeper(setup: Setup) -> (Hooks, Keeper, Duration) {
        let hooks = Hooks {
            gate: Arc::new(ReadinessGate::new(setup.readiness)),
            ..Hooks::default()
        };
        let loader = Loader {
            engine: setup.engine,
            secrets: setup.secrets,
            dir: setup.dir.clone(),
            packs: ArcSwap::default(),
            cannot_queue: setup.cannot_queue,
            cannot_keep: setup.cannot_keep,
            cannot_order: setup.cannot_order,
            platform: setup.platform,
            bodies: setup.bodies,
            turns: Semaphore::new(LOADS_MAX),
        };
        let keeper = Keeper {
            hooks: hooks.clone(),
            loader: Arc::new(loader),
            scanner: Scanner::new(
                setup.dir,
                Patience {
                    settle: SETTLE,
                    gone: GONE,
                },
            ),
            bundled: Bundled::new(setup.bundled),
            known: BTreeMap::new(),
            missing: BTreeSet::new(),
            strays: BTreeMap::new(),
            loads: JoinSet::new(),
            loading: BTreeMap::new(),
            has_looked: false,
        };
        (hooks, keeper, setup.scan_interval)
    }
}

// === impl Keeper ===

impl Keeper {
    async fn run(&mut self, poll: Duration) {
        let mut watch = Watch::new(self.scanner.dir());
        // Not a pause that every notice begins anew: files that change all the time hide what is only found by polling.
        let mut polls = tokio::time::interval(poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        polls.tick().await;
        let mut count = 0_u32;
        let mut unsettled = self.look(false);
        let hooks = self.hooks.clone();
        loop {
            tokio::select! {
                true = self.finish_one() => continue,
                () = watch.heard() => tokio::time::sleep(BURST).await,
                () = tokio::time::sleep(SETTLE), if unsettled => {}
                () = hooks.again.notified() => {}
                _ = polls.tick() => count = count.wrapping_add(1),
            }
            unsettled = self.look(count % THOROUGH_EVERY == THOROUGH_EVERY - 1);
            watch.renew();
        }
    }

    /// Looks once, begins to load what changed. Tells whether something is still changing.
    fn look(&mut self, thorough: bool) -> bool {
        let (looked, packs) = tokio::task::block_in_place(|| {
            (
                self.scanner.look(thorough),
                packs(Some(&self.scanner.dir().join("providers"))),
            )
        });
        let unsettled = match looked {
            Ok(look) => {
                self.strays.clear();
                match packs {
                    Ok(packs) => {
                        self.strays.extend(packs.broken());
                        self.loader.packs.store(Arc::new(packs));
                    }
                    Err(error) => {
                        drop(self.strays.insert("providers".into(), format!("{error:#}")))
                    }
                }
                self.strays.extend(look.strays.iter().cloned());
                self.apply(&look, thorough);
                self.has_looked = true;
                !look.unsettled.is_empty()
            }
            Err(error) => {
                // Nothing is dropped for this: a volume that went away may come back.
                let why = format!("cannot be read: {error}; the last good hooks go on serving");
                self.strays.insert("plugins directory".into(), why);
                false
            }
        };
        self.publish();
        unsettled
    }

    fn apply(&mut self, look: &Look, thorough: bool) {
        let serving = self
            .known
            .iter()
            .map(|(name, known)| (name.clone(), known.components()))
            .collect();
        let names = Names {
            look,
            serving: &serving,
        };
        let (wanted, strays) = names.wanted();
        self.strays.extend(strays);
        self.strays.extend(
            look.dangling
                .iter()
                .map(|name| (name.clone(), "is a link to nothing".to_owned())),
        );
        self.known.retain(|name, known| {
            let has_file = look.has(&format!("{name}.toml"));
            let stays = wanted.contains(name) && (has_file || !known.has_file);
            if !stays {
                tracing::info!(hook = %name, "hook removed");
            }
            stays
        });
        self.loading.retain(|name, (_, load)| {
            let stays = wanted.contains(name);
            if !stays {
                load.abort();
            }
            stays
        });
        let needed = self
            .known
            .values()
            .flat_map(Known::components)
            .chain(wanted.iter().map(|name| names.component(name)));
        let needed: BTreeSet<String> = needed.filter(|name| !look.has(name)).collect();
        let bundled = &mut self.bundled;
        self.missing = needed
            .into_iter()
            .filter(|name| bundled.get(name).is_none())
            .collect();
        for name in wanted {
            let mut files = names.files(&name);
            files.packs = self.loader.packs.load().digest();
            if files.component.is_none() {
                files.component = self.bundled.get(&files.component_name);
            }
            match names.is_changing(&name, &files) {
                false => self.load(name, files, thorough),
                true => self.heed_closing(&name, &files),
            }
        }
        self.forget_secrets();
    }

    /// A hook file takes effect as a whole, when its component can be loaded. Only that nobody may call any more counts at
    /// once.
    fn heed_closing(&mut self, name: &HookName, files: &Files) {
        let Some(known) = self.known.get_mut(name) else {
            return;
        };
        if files.hook_file.is_none() || fingerprint(files).0 == known.tried.0 {
            return;
        }
        if let Ok((spec, verifier)) = self.loader.verifier(name, files)
            && *verifier.auth_scheme() == AuthScheme::Closed
        {
            for hook in known.stands.iter_mut().chain([&mut known.wants]) {
                *hook = Arc::new(hook.called_by(&spec, &verifier));
            }
        }
    }

    /// Begins to load a hook whose files have not been tried yet, or are worth another try.
    fn load(&mut self, name: HookName, files: Files, thorough: bool) {
        let tried = fingerprint(&files);
        let is_loading = self.loading.contains_key(&name);
        let is_done = self.known.get_mut(&name).is_some_and(|known| {
            let is_due = thorough && !is_loading && known.is_due_again();
            known.tried == tried && !is_due
        });
        match self.loading.get(&name) {
            Some((loading, _)) if *loading == tried => return,
            Some((_, load)) => load.abort(),
            None if is_done => return,
            None => {}
        }
        if self.hooks.is_complete() && !self.known.contains_key(&name) {
            let unavailable = self.loader.unavailable(&name, &files, LOADING);
            self.known
                .insert(name.clone(), Known::loading(unavailable, &files));
        }
        let (loader, fingerprint, key) = (self.loader.clone(), tried.clone(), name.clone());
        let load = self.loads.spawn(async move {
            // A panic is a problem of this hook.
            let (own_name, own_files) = (name.clone(), files.clone());
            let loading = AbortOnDrop(tokio::spawn(async move {
                loader.load(&own_name, &own_files).await
            }));
            let hook = loading.ended().await.unwrap_or_else(|error| {
                tracing::error!(hook = %name, %error, "loading a hook panicked");
                Err(Problem::from(
                    "loading it panicked: this is a fault of Landfall, please report it".to_owned(),
                ))
            });
            Loaded {
                name,
                files,
                tried,
                hook,
            }
        });
        self.loading.insert(key, (fingerprint, load));
    }

    /// Waits for a load, takes its hook in, and all others that are ready. Tells false at once where nothing loads.
    async fn finish_one(&mut self) -> bool {
        let Some(ended) = self.loads.join_next().await else {
            return false;
        };
        self.take(ended);
        while let Some(ended) = self.loads.try_join_next() {
            self.take(ended);
        }
        self.publish();
        true
    }

    fn take(&mut self, ended: Result<Loaded, JoinError>) {
        match ended {
            Ok(loaded) => self.finish(loaded),
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "loading a hook panicked");
                self.loading.retain(|_, (_, load)| !load.is_finished());
            }
            // Given up, because its files have changed or gone.
            Err(_) => {}
        }
    }

    fn finish(
        &mut self,
        Loaded {
            name,
            files,
            tried,
            hook,
        }: Loaded,
    ) {
        if self
            .loading
            .get(&name)
            .is_none_or(|(loading, _)| *loading != tried)
        {
            return;
        }
        self.loading.remove(&name);
        let before = self.known.remove(&name);
        let pause = before
            .as_ref()
            .filter(|before| before.tried == tried)
            .map_or(0, |before| before.pause);
        let mut known = Known::after(tried, &files, before, hook, |why| {
            self.loader.unavailable(&name, &files, why)
        });
        known.pause_longer_than(pause);
        self.known.insert(name, known);
        self.forget_secrets();
    }

    fn forget_secrets(&self) {
        // What is being loaded has read secrets that no known hook names yet.
        if self.loading.is_empty() {
            let hooks = self
                .known
                .values()
                .flat_map(|known| known.stands.iter().chain([&known.wants]));
            let used: Vec<_> = hooks.flat_map(|hook| references(&hook.spec)).collect();
            self.loader.secrets.retain(&used);
        }
    }

    /// Swaps in the table of what is known now.
    fn publish(&mut self) {
        let complete = self.hooks.is_complete() || (self.has_looked && self.loading.is_empty());
        let asked = Asked {
            known: &self.known,
            missing: &self.missing,
            complete,
        };
        let (table, conflicts) = self.hooks.table.load().next(&asked);
        for (name, known) in &mut self.known {
            known.stands = table.standing(name).map(|standing| standing.hook.clone());
        }
        let statuses = self.known.iter().map(|(name, known)| {
            let conflict = conflicts.get(name).map(String::as_str);
            let standing = table.standing(name);
            let answers = standing.map_or(&known.wants, |standing| &standing.answers);
            let mut status =
                answers.status(known.problem.as_deref().or(conflict), &*self.loader.secrets);
            if standing.is_none() {
                status.state = HookState::Unavailable;
            }
            status.has_file = known.has_file;
            status.tried = known
                .tried
                .1
                .as_ref()
                .and_then(|digest| digest.as_ref().ok())
                .map(hex::encode);
            status
        });
        let strays = self
            .strays
            .iter()
            .map(|(what, why)| HookStatus::stray(what, why));
        let statuses: Vec<HookStatus> = statuses.chain(strays).collect();
        let is_conflict = |hook: &str| conflicts.keys().any(|name| **name == *hook);
        let mut told = self
            .hooks
            .statuses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let known: BTreeMap<&str, &HookStatus> = told
            .iter()
            .map(|status| (status.name.as_str(), status))
            .collect();
        for status in statuses
            .iter()
            .filter(|status| known.get(status.name.as_str()) != Some(status))
        {
            let (hook, problem) = (&status.name, status.problem.as_deref());
            match status.state {
                HookState::Closed => tracing::warn!(hook, problem, "hook closed"),
                HookState::Serving if problem.is_some() => {
                    tracing::warn!(hook, problem, "hook lacks a credential")
                }
                HookState::Unavailable if self.strays.contains_key(hook) => {
                    tracing::warn!(file = hook, problem, "a file is not read");
                }
                _ if is_conflict(hook) => tracing::error!(hook, problem, "path taken"),
                _ => {}
            }
        }
        *told = statuses;
        drop(told);
        // Before the table: once that is complete, the gate says what it waits for.
        if complete {
            self.hooks.gate.update(self.hooks.not_served());
        }
        self.hooks.table.store(Arc::new(table));
    }
}
