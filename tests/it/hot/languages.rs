//! Fifty swaps under load in each language: no request fails, and memory stays flat.
//!
//! Two versions of a handler replace each other, so that each is compiled once. Compiling fifty versions would measure the compiler,
//! which is a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall_tests::{Node, Sdk, Setup, eventually, guest, root, sdk_handler};
use tokio::task::JoinHandle;

use super::OPEN;

const SWAPS: usize = 50;
/// After so many swaps both versions have run, and memory is measured for the first time.
const SETTLED: usize = 10;
const CALLERS: usize = 4;
const BODY: &str = r#"{"ref":"main","after":"1"}"#;

/// A version of the handler, and what only its replies contain.
struct Version {
    component: PathBuf,
    reply: &'static str,
}

/// Requests that run until they are stopped.
struct Callers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<usize>>,
}

/// The node compiles both versions itself, and keeps them in its cache.
#[tokio::test]
async fn rust_swaps_fail_no_request() {
    let versions = [("answers_one", "one"), ("answers_two", "two")].map(|(name, reply)| Version {
        component: guest(name),
        reply,
    });
    swaps_fail_no_request(Setup::new().compiles(), versions, 16 << 10).await;
}

#[tokio::test]
async fn typescript_swaps_fail_no_request() {
    let Some(versions) = of_benchmark(Sdk::TypeScript, "handler.js") else {
        return;
    };
    swaps_fail_no_request(Setup::new(), versions, 32 << 10).await;
}

#[tokio::test]
async fn python_swaps_fail_no_request() {
    let Some(versions) = of_benchmark(Sdk::Python, "handler.py") else {
        return;
    };
    swaps_fail_no_request(Setup::new(), versions, 128 << 10).await;
}

/// The handler of the benchmark, which answers the field `ref`, and the same with the field `after`.
fn of_benchmark(sdk: Sdk, file: &str) -> Option<[Version; 2]> {
    let source = std::fs::read_to_string(root().join("host/bench/handlers").join(file)).unwrap();
    let other = source.replace("ref", "after");
    Some([
        Version {
            component: sdk_handler(sdk, "swap-ref", &source)?,
            reply: "\"ref\"",
        },
        Version {
            component: sdk_handler(sdk, "swap-after", &other)?,
            reply: "\"after\"",
        },
    ])
}

/// Resident memory may grow by `growth_kib_max` between swap 10 and swap 50. If each swap leaked the machine code or the memory of a
/// version, it would grow by forty times that.
async fn swaps_fail_no_request(setup: Setup, versions: [Version; 2], growth_kib_max: u64) {
    let setup = setup.hook("hook", &versions[0].component, OPEN);
    let node = Arc::new(setup.serving("hook").await);
    let callers = Callers::start(&node, [versions[0].reply, versions[1].reply]);

    let mut settled_kib = 0;
    for swap in 1..=SWAPS {
        let version = &versions[swap % 2];
        replace(&node, &version.component);
        eventually(&format!("swap {swap} is served"), || async {
            let (_, text) = node.post("/hook", &[], BODY).await;
            text.contains(version.reply).then_some(())
        })
        .await;
        if swap == SETTLED {
            settled_kib = resident_kib(&node, versions.len()).await;
        }
    }
    let end_kib = resident_kib(&node, versions.len()).await;
    let answers = callers.stop().await;

    println!("{answers} answers; resident: {settled_kib} KiB, then {end_kib} KiB");
    assert!(answers > SWAPS, "{answers} answers");
    assert!(
        end_kib <= settled_kib + growth_kib_max,
        "resident memory grew from {settled_kib} to {end_kib} KiB"
    );
    let cached = machine_code(&node);
    assert!(cached.len() <= versions.len(), "{cached:?}");
    until_unloaded(&node, versions.len()).await;
}

/// Waits until no more than so many versions are loaded.
async fn until_unloaded(node: &Node, versions: usize) {
    eventually("old versions are unloaded", || async {
        (loaded_versions(node) <= versions).then_some(())
    })
    .await;
}

/// The new file appears as a whole.
fn replace(node: &Node, component: &Path) {
    let new = node.plugins().join(".new");
    std::fs::copy(component, &new).unwrap();
    std::fs::rename(new, node.plugins().join("hook.wasm")).unwrap();
}

/// The least within half a second, because the instances of running requests come and go. On a busy machine the requests to an old
/// version take a while, and it stays loaded until they end.
async fn resident_kib(node: &Node, versions: usize) -> u64 {
    until_unloaded(node, versions).await;
    let mut least = node.resident_kib();
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        least = least.min(node.resident_kib());
    }
    least
}

/// The files of the node's cache.
fn machine_code(node: &Node) -> Vec<PathBuf> {
    let files = std::fs::read_dir(node.data().join("compiled")).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "cwasm"))
        .collect()
}

/// How many times machine code is mapped: the number of mappings that begin at the start of such a file.
fn loaded_versions(node: &Node) -> usize {
    let maps = node.proc("maps");
    let at_start = maps.lines().filter(|line| {
        line.ends_with(".cwasm") && line.split_whitespace().nth(2) == Some("00000000")
    });
    at_start.count()
}

/// Sends requests until `stop`. Every answer must be a 2xx of one of the versions. Returns their number.
async fn call(node: Arc<Node>, replies: [&'static str; 2], stop: Arc<AtomicBool>) -> usize {
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        let (status, text) = node.post("/hook", &[], BODY).await;
        let is_known = replies.iter().any(|reply| text.contains(reply));
        assert!((200..300).contains(&status) && is_known, "{status} {text}");
        answers += 1;
    }
    answers
}

// === impl Callers ===

impl Callers {
    fn start(node: &Arc<Node>, replies: [&'static str; 2]) -> Callers {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..CALLERS).map(|_| tokio::spawn(call(node.clone(), replies, stop.clone())));
        Callers {
            tasks: tasks.collect(),
            stop,
        }
    }

    /// The number of answers.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = 0;
        for task in self.tasks {
            answers += task.await.expect("every request is answered");
        }
        answers
    }
}
