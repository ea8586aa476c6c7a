//! Random changes of the plugins directory under steady traffic. No request fails because of a change that only replaces or damages
//! files, no acknowledged event is lost, and the versions of a hook are served in the order in which they were put.
//! `LANDFALL_LONG=1`: 500 components at once, then 1,000 changes under 500 requests per second.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_tests::faults::{Random, rounds};
use landfall_tests::versions::{answer, version};
use landfall_tests::{Node, Setup, eventually};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// One hook of this many stores its events (mode `async`); the others answer their version.
const ASYNC_EVERY: usize = 3;
/// Between the versions of two hooks in the long form. In the short form all hooks share theirs, so that few are compiled.
const VERSIONS_OF_HOOK: u64 = 1_000_000;

/// Between two lists of all hooks.
const LIST_PAUSE: Duration = Duration::from_millis(200);

/// What the callers of a hook know of it.
struct Target {
    name: String,
    is_async: bool,
    /// The versions that were put, in this order.
    put: Mutex<Vec<u64>>,
    /// Odd while its component or its hook file may be missing, so that it may refuse requests.
    absences: AtomicUsize,
}

/// One hook and its files.
struct Files {
    target: Arc<Target>,
    dir: PathBuf,
    first_version: u64,
    /// The digest of the version that ends the absence, once it serves.
    restored: Option<String>,
}

/// What one caller has seen.
#[derive(Default)]
struct Calls {
    accepted: usize,
    refused: usize,
}

// === impl Target ===

impl Target {
    fn may_refuse(&self) -> bool {
        self.absences.load(Ordering::SeqCst) % 2 == 1
    }

    fn last_put(&self) -> usize {
        self.put.lock().unwrap().len() - 1
    }

    /// The place of the answered version among those that were put, at `served` or later.
    fn place_of(&self, text: &str, served: usize) -> usize {
        let put = self.put.lock().unwrap();
        let found = put[served..]
            .iter()
            .position(|number| answer(*number) == text);
        let Some(skipped) = found else {
            let name = &self.name;
            panic!("{name} answers {text} after place {served} of {put:?}");
        };
        served + skipped
    }
}

// === impl Files ===

impl Files {
    fn new(number: usize, dir: PathBuf) -> Files {
        let family = rounds(0, number + 1) as u64;
        let target = Target {
            name: format!("h{number:03}"),
            is_async: number.is_multiple_of(ASYNC_EVERY),
            put: Mutex::default(),
            absences: AtomicUsize::new(0),
        };
        Files {
            target: Arc::new(target),
            dir,
            first_version: family * VERSIONS_OF_HOOK,
            restored: None,
        }
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", self.target.name))
    }

    fn hook_file(&self) -> String {
        let mode = if self.target.is_async {
            "async"
        } else {
            "sync"
        };
        format!("mode = \"{mode}\"\n[verify]\nscheme = \"none\"\n")
    }

    /// The bytes of the next version, which the callers may see from now on.
    fn next_version(&self) -> Vec<u8> {
        let mut put = self.target.put.lock().unwrap();
        let last = put.iter().max().map_or(self.first_version, |last| last + 1);
        put.push(last);
        version(last)
    }

    fn replace(&self, ending: &str, bytes: impl AsRef<[u8]>) {
        let new = self.dir.join(format!(".{}.new", self.target.name));
        fs::write(&new, bytes).unwrap();
        fs::rename(new, self.path(ending)).unwrap();
    }

    /// The file that is written in place. Its mode may not allow that.
    fn open(&self) -> fs::File {
        let component = self.path("wasm");
        fs::set_permissions(&component, fs::Permissions::from_mode(0o644)).unwrap();
        fs::File::options().write(true).open(component).unwrap()
    }

    fn write_in_place(&self, bytes: &[u8]) {
        let file = self.open();
        file.set_len(0).unwrap();
        std::io::Write::write_all(&mut &file, bytes).unwrap();
    }

    /// Links the component to a new file of a directory that is not scanned.
    fn swap_link(&self) {
        let bytes = self.next_version();
        let name = &self.target.name;
        let number = self.target.last_put();
        let stored = format!("..store/{name}-{number}.wasm");
        fs::write(self.dir.join(&stored), bytes).unwrap();

        let link = self.dir.join(format!(".{name}.link"));
        symlink(stored, &link).unwrap();
        fs::rename(link, self.path("wasm")).unwrap();
    }

    fn put_older(&self, random: &mut Random) {
        let older = {
            let mut put = self.target.put.lock().unwrap();
            let older = put[random.below(put.len())];
            put.push(older);
            older
        };
        self.replace("wasm", version(older));
    }

    fn damage(&self, random: &mut Random) {
        let whole = version(self.first_version);
        let half = &whole[..whole.len() / 2];
        let damaged: [&[u8]; 5] = [half, b"\0asm\x01\0\0\0", b"(component)", b"", b"\x7fELF"];
        self.write_in_place(damaged[random.below(damaged.len())]);
    }

    fn truncate(&self, random: &mut Random) {
        let file = self.open();
        let bytes = file.metadata().unwrap().len();
        file.set_len(random.below(bytes as usize + 1) as u64)
            .unwrap();
    }

    fn change_mode(&self, random: &mut Random) {
        let mode = [0o000, 0o200, 0o444, 0o644, 0o666][random.below(5)];
        fs::set_permissions(self.path("wasm"), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn edit_hook_file(&self, random: &mut Random) {
        let good = self.hook_file();
        let edited = match random.below(4) {
            0 => format!("concurency = 3\n{good}"),
            1 => format!("[[[\n{good}"),
            2 => format!("# edited\n{good}"),
            _ => good,
        };
        self.replace("toml", edited);
    }

    fn delete(&self, random: &mut Random) {
        self.target.absences.fetch_add(1, Ordering::SeqCst);
        let which = random.below(3);
        if which != 0 {
            fs::remove_file(self.path("wasm")).unwrap();
        }
        if which != 1 {
            fs::remove_file(self.path("toml")).unwrap();
        }
    }

    /// Puts both files, with a new version.
    fn restore(&mut self) {
        self.replace("toml", self.hook_file());
        let bytes = self.next_version();
        self.restored = Some(hex::encode(Sha256::digest(&bytes)));
        self.replace("wasm", bytes);
    }

    /// Whether the version of the last `restore` serves, if there was one.
    fn is_restored(&self, hooks: &[Value]) -> bool {
        let digest = self.restored.as_ref();
        digest.is_none_or(|digest| serves(hooks, &self.target.name, digest))
    }

    /// Ends the absence if the version that was put after it serves.
    fn note_status(&mut self, hooks: &[Value]) {
        if self.restored.is_some() && self.is_restored(hooks) {
            self.restored = None;
            if self.target.may_refuse() {
                self.target.absences.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn change(&mut self, random: &mut Random) {
        if self.target.may_refuse() {
            return self.restore();
        }
        match random.below(10) {
            0 | 1 => self.replace("wasm", self.next_version()),
            2 => self.write_in_place(&self.next_version()),
            3 => self.put_older(random),
            4 => self.truncate(random),
            5 => self.damage(random),
            6 => self.swap_link(),
            7 => self.change_mode(random),
            8 => self.edit_hook_file(random),
            _ => self.delete(random),
        }
    }
}

/// Whether this component serves and the present files are good.
fn serves(hooks: &[Value], name: &str, digest: &str) -> bool {
    let hook = hooks.iter().find(|hook| hook["name"] == name);
    hook.is_some_and(|hook| {
        let served = hook["digest"].as_str().unwrap_or_default();
        served.ends_with(digest) && hook["state"] == "serving" && hook["problem"].is_null()
    })
}

/// Asks a hook again and again, one request at a time.
async fn call(
    node: Arc<Node>,
    target: Arc<Target>,
    every: Duration,
    stop: Arc<AtomicBool>,
) -> Calls {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let path = format!("/{}", target.name);
    let (mut calls, mut served) = (Calls::default(), 0);
    loop {
        ticks.tick().await;
        // Read before: the last call sees the last version.
        let is_last = stop.load(Ordering::SeqCst);
        let absences = target.absences.load(Ordering::SeqCst);
        let (status, text) = node.post(&path, &[], "{}").await;

        let may_refuse = absences % 2 == 1 || target.absences.load(Ordering::SeqCst) != absences;
        match status {
            202 if target.is_async => calls.accepted += 1,
            200 if !target.is_async => {
                served = target.place_of(&text, served);
                calls.accepted += 1;
            }
            404 | 503 if may_refuse => calls.refused += 1,
            _ => panic!("{path} answers {status} {text}\n{}", node.log()),
        }
        if is_last {
            let is_newest = target.is_async || served == target.last_put();
            assert!(is_newest, "{path} ends at place {served}");
            return calls;
        }
    }
}

/// How many deliveries of a hook are done; none while it has others.
fn done(stats: &Value, hook: &str) -> Option<usize> {
    let counts = stats.as_array()?.iter().filter(|one| one["hook"] == hook);
    let mut done = 0;
    for count in counts {
        if count["state"] != "done" {
            return None;
        }
        done = count["deliveries"].as_u64()? as usize;
    }
    Some(done)
}

#[tokio::test(flavor = "multi_thread")]
async fn chaotic_drops_fail_no_neighbour() {
    let mut random = Random::seeded();
    let (hooks, changes) = (rounds(30, 500), rounds(100, 1000));
    let every = Duration::from_secs(1) * hooks as u32 / rounds(100, 500) as u32;
    let longest_pause_ms = rounds(60, 200);

    let node = Arc::new(Setup::new().start().await);
    fs::create_dir(node.plugins().join("..store")).unwrap();
    let mut all: Vec<Files> = (0..hooks)
        .map(|number| Files::new(number, node.plugins()))
        .collect();
    all.iter_mut().for_each(Files::restore);
    until_served(&node, &mut all).await;

    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for files in &all {
        let (node, target, stop) = (node.clone(), files.target.clone(), stop.clone());
        callers.spawn(async move {
            let calls = call(node, target.clone(), every, stop).await;
            (target, calls)
        });
    }

    for _ in 0..changes {
        if all.iter().any(|files| files.restored.is_some()) {
            let hooks = node.hooks().await;
            all.iter_mut().for_each(|files| files.note_status(&hooks));
        }
        let files = &mut all[random.below(hooks)];
        if files.restored.is_none() {
            files.change(&mut random);
        }
        let pause = Duration::from_millis(random.below(longest_pause_ms) as u64);
        tokio::time::sleep(pause).await;
        if let Some(ended) = callers.try_join_next() {
            panic!("a caller ended: {:?}", ended.err());
        }
    }

    all.iter_mut().for_each(Files::restore);
    until_served(&node, &mut all).await;
    stop.store(true, Ordering::SeqCst);
    for (target, calls) in callers.join_all().await {
        let (name, accepted, refused) = (&target.name, calls.accepted, calls.refused);
        println!("{name}: {accepted} accepted, {refused} refused while files were missing");
        if target.is_async {
            until_done(&node, name, accepted).await;
        }
    }
}

async fn until_served(node: &Node, all: &mut [Files]) {
    let files: &[Files] = all;
    let hooks = eventually("the last version of every hook serves", || async {
        let hooks = node.hooks().await;
        let is_served = files.iter().all(|files| files.is_restored(&hooks));
        if !is_served {
            // Of hundreds of hooks, the list is work for the node that loads them.
            tokio::time::sleep(LIST_PAUSE).await;
        }
        is_served.then_some(hooks)
    })
    .await;
    all.iter_mut().for_each(|files| files.note_status(&hooks));
}

async fn until_done(node: &Node, hook: &str, accepted: usize) {
    let context = format!("{accepted} events of {hook} are done");
    let found = eventually(&context, || async {
        let stats = node.ask("/api/v1/stats").await;
        done(&stats, hook)
    })
    .await;
    assert_eq!(found, accepted, "{hook}");
}
