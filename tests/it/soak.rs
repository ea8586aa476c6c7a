//! All modes, retries, dead letters, replays, new components, hostile components and restarts of the database, round after round: every
//! event has its effect once, and what the node uses stays flat. The short form runs two rounds. `LANDFALL_LONG=1` runs for 15 minutes,
//! `LANDFALL_SOAK=4h` for another time. The long form also draws what the node used.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall_tests::faults::is_long;
use landfall_tests::plot::svg;
use landfall_tests::samples::Samples;
use landfall_tests::versions::{answer, version};
use landfall_tests::{Node, Postgres, Receiver, Setup, bundled, component, eventually, guest};
use serde_json::json;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const DEDUP: &str = "[dedup]\nid = { header = \"Id\" }\n";
const STORE: &str =
    "[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"t\"]\n";
const ROUNDS: usize = 2;
/// Events of each hook in a round: fewer failures in a row than open the circuit of a hook.
const EVENTS: usize = 12;
/// A round of the long form takes at least this long, so that rows, which are never removed, stay few.
const ROUND_MIN: Duration = Duration::from_secs(5);
/// In the long form, the database restarts in each of this many rounds.
const RESTART_EVERY: usize = 6;
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// How long the long form takes.
fn long_time() -> Option<Duration> {
    match std::env::var("LANDFALL_SOAK") {
        Ok(typed) => Some(humantime::parse_duration(&typed).expect("a duration such as 15m")),
        Err(_) => is_long().then_some(Duration::from_secs(15 * 60)),
    }
}

/// A node with every kind of hook, and what they call.
struct Soak {
    node: Node,
    receiver: Receiver,
    server: Option<Arc<Postgres>>,
    /// Events of each hook so far.
    sent: AtomicUsize,
}

fn setup(receiver: &Receiver) -> Setup {
    let url = receiver.url("/in");
    let quick = "[retry]\nattempts = 100\nbackoff = { first = \"100ms\", factor = 1.0, max = \"100ms\", jitter = 0.0 }\n";
    let forwards = format!(
        "mode = \"async\"\n{OPEN}{DEDUP}{quick}[settings]\ntargets = [\"{url}\"]\n[allow]\nhttp = [\"{url}\"]\n"
    );
    let fails = format!("mode = \"async\"\n{OPEN}{DEDUP}[retry]\nattempts = 1\n");
    let setup = Setup::new()
        .hook("sync", &guest("answers_one"), OPEN)
        .hook(
            "stored",
            &bundled("store"),
            &format!("mode = \"async\"\n{OPEN}{DEDUP}{STORE}"),
        )
        .hook(
            "at_once",
            &bundled("store"),
            &format!("mode = \"auto\"\n{OPEN}{DEDUP}{STORE}"),
        )
        .hook("forwards", &bundled("forward"), &forwards)
        .hook("fails", &guest("rejects"), &fails)
        .hook(
            "loops",
            &guest("loops"),
            &format!("deadline = \"1s\"\n{OPEN}"),
        )
        .hook("allocates", &guest("allocates"), OPEN)
        .hook("traps", &guest("traps"), OPEN)
        .file("swapped.toml", format!("mode = \"sync\"\n{OPEN}"))
        .file("swapped.wasm", version(0));
    if long_time().is_none() {
        return setup;
    }
    // So that finished deliveries are removed as fast as they are added.
    setup
        .env("LANDFALL_LEDGER_RETENTION", "90s")
        .env("LANDFALL_LEDGER_BODY_RETENTION", "30s")
}

async fn until_accepted(node: &Node, path: &str, n: usize) {
    let (id, body) = (n.to_string(), json!({ "n": n }).to_string());
    eventually(&format!("event {n} of {path} is accepted"), || async {
        let (status, _) = node.try_post(path, &[("id", &id)], body.clone()).await?;
        (200..300).contains(&status).then_some(())
    })
    .await;
}

async fn until_all_accepted(node: &Node, path: &str, numbers: Range<usize>) {
    for n in numbers {
        until_accepted(node, path, n).await;
    }
}

async fn replace(node: &Node, hook: &str, bytes: &[u8]) {
    let before = node.hook(hook).await.expect("the hook exists")["digest"].clone();
    node.put(".new", bytes);
    let file = node.plugins().join(format!("{hook}.wasm"));
    std::fs::rename(node.plugins().join(".new"), file).unwrap();
    node.until_changed(hook, &before).await;
}

/// How many deliveries of a hook are in this state.
async fn count(node: &Node, hook: &str, state: &str) -> u64 {
    let stats = node.ask("/api/v1/stats").await;
    let counts = stats.as_array().expect("a list");
    let found = counts
        .iter()
        .find(|one| one["hook"] == hook && one["state"] == state);
    found.map_or(0, |one| one["deliveries"].as_u64().expect("a number"))
}

// === impl Soak ===

impl Soak {
    async fn start(setup: Setup, receiver: Receiver, server: Option<Postgres>) -> Soak {
        let node = setup.start().await;
        node.until_ready().await;
        Soak {
            node,
            receiver,
            server: server.map(Arc::new),
            sent: AtomicUsize::new(0),
        }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// The numbers of so many new events.
    fn next(&self, count: usize) -> Range<usize> {
        let first = self.sent.fetch_add(count, Ordering::SeqCst);
        first..first + count
    }

    async fn round(&self, number: usize) {
        let numbers = self.next(EVENTS);
        let node = &self.node;
        tokio::join!(
            self.restart_database(number),
            self.forward(numbers.clone()),
            until_all_accepted(node, "/stored", numbers.clone()),
            until_all_accepted(node, "/at_once", numbers.clone()),
            self.call_sync(),
            self.call_hostile(),
            self.swap(number),
        );
        self.die_and_replay(numbers).await;
    }

    /// In the short form nothing runs while the database is away: a lease that is lost ends only after a while.
    async fn restart_database(&self, number: usize) {
        let is_due = number % RESTART_EVERY == RESTART_EVERY - 1;
        if let Some(server) = &self.server
            && long_time().is_some()
            && is_due
        {
            server.kill();
            start_again(server).await;
        }
    }

    /// The receiver fails until it was called for the first event, which is then tried again.
    async fn forward(&self, numbers: Range<usize>) {
        let called = self.receiver.got().len();
        self.receiver.answer(503);
        until_accepted(&self.node, "/forwards", numbers.start).await;
        self.receiver.until_called(called + 1).await;
        self.receiver.answer(200);
        until_all_accepted(&self.node, "/forwards", numbers).await;
    }

    async fn call_sync(&self) {
        for _ in 0..EVENTS {
            let answer = self.node.post("/sync", &[], "{}").await;
            assert_eq!(answer, (200, "one".to_owned()), "{}", self.node.log());
        }
    }

    async fn call_hostile(&self) {
        for path in ["/loops", "/allocates", "/traps"] {
            let (status, text) = self.node.post(path, &[], "{}").await;
            assert!(status >= 500, "{path}: {status} {text}");
        }
    }

    async fn swap(&self, number: usize) {
        let number = 1 + number as u64;
        replace(&self.node, "swapped", &version(number)).await;
        let said = self.node.post("/swapped", &[], "{}").await;
        assert_eq!(said, (200, answer(number)));
    }

    /// Every event of `fails` becomes a dead letter, and is replayed after its component was corrected.
    async fn die_and_replay(&self, numbers: Range<usize>) {
        let (node, all) = (&self.node, numbers.len() as u64);
        until_all_accepted(node, "/fails", numbers).await;
        eventually("the events are dead", || async {
            (count(node, "fails", "dead").await >= all).then_some(())
        })
        .await;

        replace(node, "fails", &component("answers_one")).await;
        eventually("the dead letters are replayed", || async {
            let order = json!({ "hook": "fails", "state": "dead", "per_second": 1000 });
            node.try_order("/api/v1/replay", order).await?;
            self.is_settled("fails").await.then_some(())
        })
        .await;
        replace(node, "fails", &component("rejects")).await;
    }

    /// Whether no delivery of the hook waits, runs or is dead.
    async fn is_settled(&self, hook: &str) -> bool {
        for state in ["pending", "running", "dead"] {
            if count(&self.node, hook, state).await > 0 {
                return false;
            }
        }
        true
    }

    /// Every event had its effect, and had it once.
    async fn check(&self) {
        for hook in ["stored", "at_once", "forwards", "fails"] {
            eventually(&format!("{hook} has nothing to do"), || async {
                self.is_settled(hook).await.then_some(())
            })
            .await;
        }
        let sent = self.sent();
        for hook in ["stored", "at_once"] {
            let rows = self.node.all_rows(hook, "t").await;
            let mut numbers: Vec<_> = rows.iter().map(|row| row["n"].as_u64()).collect();
            numbers.sort_unstable();
            let is_once = numbers.iter().copied().eq((0..sent as u64).map(Some));
            assert!(is_once, "{hook}: {} rows of {sent} events", rows.len());
        }
        let got = self.receiver.got().into_iter();
        let called: BTreeSet<Vec<u8>> = got.map(|got| got.body).collect();
        assert_eq!(called.len(), sent, "forwarded");
        if long_time().is_none() {
            assert_eq!(count(&self.node, "fails", "done").await, sent as u64);
        }
    }

    async fn run(&self) {
        let started = Instant::now();
        for number in 0.. {
            let began = Instant::now();
            self.round(number).await;
            match long_time() {
                None if number + 1 == ROUNDS => return,
                None => self.accept_without_database().await,
                Some(time) if started.elapsed() >= time => return,
                Some(_) => tokio::time::sleep(ROUND_MIN.saturating_sub(began.elapsed())).await,
            }
        }
    }

    /// An event that arrives while the database restarts is accepted after it.
    async fn accept_without_database(&self) {
        let Some(server) = &self.server else { return };
        for hook in ["stored", "at_once", "forwards", "fails"] {
            eventually(&format!("{hook} has nothing to do"), || async {
                self.is_settled(hook).await.then_some(())
            })
            .await;
        }
        let node = &self.node;
        server.kill();
        let refused = node.post("/stored", &[("id", "refused")], "{}").await;
        assert_eq!(refused.0, 503, "{refused:?}");
        start_again(server).await;

        let numbers = self.next(1);
        for path in ["/stored", "/at_once", "/forwards"] {
            until_all_accepted(node, path, numbers.clone()).await;
        }
        self.die_and_replay(numbers).await;
    }
}

async fn start_again(server: &Arc<Postgres>) {
    let server = server.clone();
    let started = tokio::task::spawn_blocking(move || server.start_again());
    started.await.expect("the database starts");
}

async fn soak(name: &str, setup: Setup, receiver: Receiver, server: Option<Postgres>) {
    let soak = Soak::start(setup, receiver, server).await;
    let mut samples = Samples::default();
    tokio::select! {
        () = soak.run() => {}
        () = samples.take(&soak.node, SAMPLE_EVERY) => {}
    }
    soak.check().await;

    let sent = soak.sent();
    println!("{name}: {sent} events of each hook");
    if long_time().is_some() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{name}.svg"));
        let title = format!("Landfall soak, {name}, {sent} events of each hook");
        std::fs::write(&file, svg(&title, &samples.lines())).unwrap();
        println!("{}", file.display());
        let grown = samples.grown();
        assert!(grown.is_empty(), "{}", grown.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_nodes_stay_flat() {
    let receiver = Receiver::start().await;
    soak("sqlite", setup(&receiver), receiver, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_nodes_stay_flat() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let receiver = Receiver::start().await;
    let setup = setup(&receiver).env("LANDFALL_LEDGER_URL", &server.database());
    soak("postgres", setup, receiver, Some(server)).await;
}
