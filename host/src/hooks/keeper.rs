//! Keeps the served hooks in step with the directory: looks, loads what changed, swaps, remembers what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::hook::{Hook, HookState, HookStatus, Serving};
use super::load::{Files, Loader, Problem, references};
use super::scan::{Content, Look, Patience, Scanner};
use super::table::Table;
use super::watch::Watch;
use crate::engine::Engine;
use crate::model::{HookName, SecretSource};

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
    pub poll: Duration,
}

/// The served hooks; readers never wait.
#[derive(Clone)]
pub struct Hooks {
    table: Arc<ArcSwap<Table>>,
    statuses: Arc<Mutex<Vec<HookStatus>>>,
}

/// The one writer.
struct Keeper {
    hooks: Hooks,
    loader: Loader,
    scanner: Scanner,
    known: BTreeMap<HookName, Known>,
    /// Files whose names cannot be hooks, and a directory that cannot be read.
    strays: BTreeMap<String, String>,
    bundled: BTreeMap<String, Content>,
}

/// What is known of one hook.
struct Known {
    /// Of the files that were tried last.
    tried: Fingerprint,
    serving: Arc<Hook>,
    problem: Option<String>,
    /// The problem may pass without a change of files.
    again: bool,
}

type Fingerprint = (Option<Result<[u8; 32], String>>, Option<Result<[u8; 32], String>>, String);

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
        keeper.look(false).await;
        hooks
    }

    /// The paths and their hooks, now.
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// How each hook stands, by name; files that are no hooks are in it too.
    pub fn statuses(&self) -> Vec<HookStatus> {
        self.statuses.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The directory has been read once.
    pub fn is_complete(&self) -> bool {
        self.table.load().complete
    }

    fn keeper(setup: Setup) -> (Hooks, Keeper, Duration) {
        let hooks = Hooks { table: Arc::default(), statuses: Arc::default() };
        let loader =
            Loader { engine: setup.engine, secrets: setup.secrets, dir: setup.dir.clone(), bundled: setup.bundled };
        let scanner = Scanner::new(setup.dir, Patience { settle: SETTLE, gone: GONE });
        let keeper = Keeper {
            hooks: hooks.clone(),
            loader,
            scanner,
            known: BTreeMap::new(),
            strays: BTreeMap::new(),
            bundled: BTreeMap::new(),
        };
        (hooks, keeper, setup.poll)
    }
}

// === impl Keeper ===

impl Keeper {
    async fn run(&mut self, poll: Duration) {
        let mut watch = Watch::new(self.scanner.dir());
        let mut polls = 0_u32;
        loop {
            let unsettled = self.look(polls % THOROUGH_EVERY == THOROUGH_EVERY - 1).await;
            let pause = if unsettled { SETTLE } else { poll };
            tokio::select! {
                () = watch.heard() => tokio::time::sleep(BURST).await,
                () = tokio::time::sleep(pause) => polls = polls.wrapping_add(1),
            }
            watch.renew();
        }
    }

    /// Looks once, loads what changed. Tells whether something is still changing.
    async fn look(&mut self, thorough: bool) -> bool {
        let looked = tokio::task::block_in_place(|| self.scanner.look(thorough));
        let unsettled = match looked {
            Ok(look) => {
                self.strays.clear();
                self.apply(&look, thorough).await;
                look.unsettled
            }
            Err(error) => {
                // Nothing is dropped for this: a volume that went away may come back.
                self.stray("plugins directory", format!("cannot be read: {error}; the last good hooks go on serving"));
                false
            }
        };
        self.publish(true);
        unsettled
    }

    async fn apply(&mut self, look: &Look, thorough: bool) {
        let unsettled: BTreeSet<String> = self.scanner.unsettled().map(str::to_owned).collect();
        let wanted = self.wanted(look, &unsettled);
        self.known.retain(|name, _| {
            let stays = wanted.contains(name);
            if !stays {
                tracing::info!(hook = %name, "hook removed");
            }
            stays
        });
        for name in &wanted {
            let files = self.files(name, look, &unsettled);
            let changing = unsettled.contains(&format!("{name}.toml")) || unsettled.contains(&files.component_name);
            let fingerprint = fingerprint(&files);
            let is_done = |known: &Known| known.tried == fingerprint && !(known.again && thorough);
            if !changing && !self.known.get(name).is_some_and(is_done) {
                self.load(name, &files, fingerprint).await;
                self.publish(false);
            }
        }
        self.forget_secrets();
    }

    /// Names of all hooks: of hook files, and of components that no hook file speaks for.
    fn wanted(&mut self, look: &Look, unsettled: &BTreeSet<String>) -> BTreeSet<HookName> {
        let present: BTreeSet<&String> = look.files.keys().chain(unsettled).collect();
        let mut wanted = BTreeSet::new();
        let mut spoken_for = BTreeSet::new();
        for file in present.iter().filter(|file| file.ends_with(".toml") && file.as_str() != "landfall.toml") {
            if let Some(name) = self.name(file) {
                spoken_for.insert(self.component_name(&name, look, unsettled));
                // Also what serves although the file now names another.
                spoken_for.extend(self.known.get(&name).map(|known| known.serving.spec.component.clone()));
                wanted.insert(name);
            }
        }
        // A hook file that is being written for the first time may be about to speak for a component.
        let may_speak = unsettled.iter().any(|file| file.ends_with(".toml"));
        for file in present.iter().filter(|file| file.ends_with(".wasm") && !spoken_for.contains(**file)) {
            let name = self.name(file);
            wanted.extend(name.filter(|name| !may_speak || self.known.contains_key(name)));
        }
        wanted
    }

    fn name(&mut self, file: &str) -> Option<HookName> {
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        stem.parse().map_err(|why: String| self.stray(file, why)).ok()
    }

    fn stray(&mut self, what: &str, why: String) {
        self.strays.insert(what.into(), why);
    }

    fn files(&mut self, name: &HookName, look: &Look, unsettled: &BTreeSet<String>) -> Files {
        let component_name = self.component_name(name, look, unsettled);
        let component = look.files.get(&component_name).cloned().or_else(|| self.bundled(&component_name));
        Files { hook_file: look.files.get(&format!("{name}.toml")).cloned(), component, component_name }
    }

    /// The component of a hook. While its file is being written, or cannot be read, it is the one that serves.
    fn component_name(&self, name: &HookName, look: &Look, unsettled: &BTreeSet<String>) -> String {
        let file = format!("{name}.toml");
        let named = look.files.get(&file).and_then(|content| named_component(name, content));
        let has_file = look.files.contains_key(&file) || unsettled.contains(&file);
        let serving = || self.known.get(name).filter(|_| has_file).map(|known| known.serving.spec.component.clone());
        named.or_else(serving).unwrap_or_else(|| default_component(name))
    }

    /// What came with the binary does not change: read once.
    fn bundled(&mut self, component_name: &str) -> Option<Result<Content, String>> {
        if !self.bundled.contains_key(component_name) {
            let path = self.loader.bundled.as_ref()?.join(component_name);
            self.bundled.insert(component_name.into(), Content::of(std::fs::read(path).ok()?));
        }
        self.bundled.get(component_name).cloned().map(Ok)
    }

    async fn load(&mut self, name: &HookName, files: &Files, tried: Fingerprint) {
        let before = self.known.remove(name);
        let loaded = self.loader.load(name, files).await;
        let known = match (loaded, before) {
            (Ok(hook), Some(old)) if names_a_missing_one(&hook, &old) => {
                let why = format!("component {} is missing: put it into the plugins directory", hook.spec.component);
                tracing::error!(hook = %name, problem = why, "hook not changed: the last good one goes on serving");
                Known { tried, serving: old.serving, problem: Some(why), again: false }
            }
            (Ok(mut hook), before) => {
                if let Some(old) = before.filter(|old| old.serving.spec.concurrency == hook.spec.concurrency) {
                    // What runs now still takes its places.
                    hook.slots = old.serving.slots.clone();
                }
                tracing::info!(hook = %name, path = hook.spec.path, component = files.component_name, "hook loaded");
                Known { tried, serving: Arc::new(hook), problem: None, again: false }
            }
            (Err(Problem { why, is_passing }), Some(old)) if !is_gone(files, &old) => {
                tracing::error!(hook = %name, problem = why, "hook not changed: the last good one goes on serving");
                Known { tried, serving: old.serving, problem: Some(why), again: is_passing }
            }
            (Err(Problem { why, is_passing }), _) => {
                tracing::error!(hook = %name, problem = why, "hook not loaded");
                let serving = Arc::new(self.loader.unavailable(name, &why));
                Known { tried, serving, problem: Some(why), again: is_passing }
            }
        };
        self.known.insert(name.clone(), known);
    }

    fn forget_secrets(&self) {
        let used: Vec<_> = self.known.values().flat_map(|known| references(&known.serving.spec)).collect();
        self.loader.secrets.keep(&used);
    }

    /// Swaps in the table of what is known now.
    fn publish(&self, complete: bool) {
        let complete = complete || self.hooks.is_complete();
        let serving = self.known.iter().map(|(name, known)| (name.clone(), known.serving.clone())).collect();
        let (table, conflicts) = Table::build(&serving, complete);
        let statuses = self.known.iter().map(|(name, known)| {
            let conflict = conflicts.get(name);
            let mut status =
                known.serving.status(known.problem.as_deref().or(conflict.map(String::as_str)), &*self.loader.secrets);
            if conflict.is_some() {
                status.state = HookState::Unavailable;
            }
            status
        });
        let strays = self.strays.iter().map(|(what, why)| HookStatus {
            name: what.clone(),
            path: None,
            state: HookState::Unavailable,
            digest: None,
            problem: Some(why.clone()),
            wants: None,
        });
        let statuses: Vec<HookStatus> = statuses.chain(strays).collect();
        let mut told = self.hooks.statuses.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for status in statuses.iter().filter(|status| status.state == HookState::Closed && !told.contains(status)) {
            tracing::warn!(hook = status.name, problem = status.problem.as_deref(), "hook closed");
        }
        *told = statuses;
        drop(told);
        self.hooks.table.store(Arc::new(table));
    }
}

/// The component in a hook file's text: none where the text does not tell.
fn named_component(name: &HookName, content: &Result<Content, String>) -> Option<String> {
    let text = std::str::from_utf8(&content.as_ref().ok()?.bytes).ok()?;
    let table: toml::Table = text.parse().ok()?;
    match table.get("component") {
        None => Some(default_component(name)),
        Some(value) => value.as_str().map(|typed| format!("{}.wasm", typed.strip_suffix(".wasm").unwrap_or(typed))),
    }
}

fn default_component(name: &HookName) -> String {
    format!("{name}.wasm")
}

/// The hook file names another component than before, and that one is not there: a slip, or it is still to come.
fn names_a_missing_one(hook: &Hook, old: &Known) -> bool {
    let was_ready = matches!(old.serving.serving, Serving::Ready(_));
    let is_ready = matches!(hook.serving, Serving::Ready(_));
    was_ready && !is_ready && hook.spec.component != old.serving.spec.component
}

/// The component that serves has been deleted: there is nothing that may go on.
fn is_gone(files: &Files, old: &Known) -> bool {
    files.component.is_none() && files.component_name == old.serving.spec.component
}

fn fingerprint(files: &Files) -> Fingerprint {
    let digest = |content: &Option<Result<Content, String>>| {
        content.as_ref().map(|content| content.as_ref().map(|content| content.digest).map_err(Clone::clone))
    };
    (digest(&files.hook_file), digest(&files.component), files.component_name.clone())
}
