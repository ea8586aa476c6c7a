//! `durable`: how many events per second a node stores before it answers, and how many of them it
//! also runs, beside the number of syncs per second of the disk alone.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::env::{Admin, BenchEnv};
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::report::{ms, round};
use crate::request::{self, DURABLE_BODY_BYTES};
use crate::server::Server;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
const HOOK_FILE: &str = "mode = \"async\"\naccepted.status = 200\n";
/// The hook that is paused while events wait for it.
const PAUSED_HOOK: &str = "waits";
const BACKLOG_CONNECTIONS: usize = 64;
const BACKLOG_STEP: Duration = Duration::from_secs(2);
const HEALTHY_CONNECTIONS: usize = 16;
const FAILING_CONNECTIONS: usize = 4;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);
const SYNC_TIME: Duration = Duration::from_secs(1);
const SYNC_BYTES: usize = 4096;

#[derive(Debug, Args)]
pub(crate) struct DurableFlags {
    /// Measure again with this many pending events, and time the restart of a node that has them.
    #[arg(long, value_name = "EVENTS", default_value_t = 0)]
    backlog: u64,
    /// Also measure the latency of a healthy hook beside one whose attempts all fail.
    #[arg(long)]
    poison: bool,
}

#[derive(Default)]
struct Report {
    syncs_per_second: f64,
    rounds: Vec<Round>,
    poison: Option<Poison>,
    backlog: Option<Backlog>,
}

struct Round {
    connections: usize,
    accepted: Measured,
    /// Events accepted, run and ended per second.
    whole_cycle_per_second: f64,
}

/// A healthy hook beside callers of its own, and beside as many callers of a failing hook.
struct Poison {
    alone: Measured,
    beside: Measured,
}

/// The same rounds with pending events.
struct Backlog {
    events: u64,
    rounds: Vec<Round>,
    /// From the start of the process to the first 200.
    start: Duration,
}

pub(crate) async fn measure(flags: &RunFlags, durable: &DurableFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", HOOK_FILE, "")?;
    let paused_hook = format!("component = \"bench.wasm\"\n{HOOK_FILE}");
    env.add_open_hook(PAUSED_HOOK, &paused_hook)?;
    let mut report = Report {
        syncs_per_second: syncs_per_second(&env)?,
        ..Report::default()
    };

    let (node, admin) = env.start_node_with_admin().await?;
    report.rounds = measure_rounds(flags, &env, &node, &admin).await?;
    if durable.poison {
        report.poison = Some(measure_poison(flags, &env, &node).await?);
    }

    if durable.backlog > 0 {
        add_backlog(&node, &admin, durable.backlog).await?;
        node.stop().await?;
        let started = Instant::now();
        let (node, admin) = env.start_node_with_admin().await?;
        let start = started.elapsed();
        report.backlog = Some(Backlog {
            events: durable.backlog,
            rounds: measure_rounds(flags, &env, &node, &admin).await?,
            start,
        });
        node.stop().await?;
    } else {
        node.stop().await?;
    }

    if flags.json {
        println!("{}", report.as_json());
    } else {
        report.print();
    }

    Ok(())
}

async fn measure_rounds(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    admin: &Admin,
) -> anyhow::Result<Vec<Round>> {
    let request = env.request_with(&request::padded_body());
    let time = Duration::from_secs(flags.seconds);

    let mut rounds = Vec::new();
    for connections in CONNECTIONS {
        let (started, before) = (Instant::now(), ended_attempts(admin).await?);
        let accepted = load::run(node.address, &request, connections, time).await?;
        wait_for_ended(admin, before + accepted.count()).await?;
        rounds.push(Round {
            connections,
            whole_cycle_per_second: accepted.count() as f64 / started.elapsed().as_secs_f64(),
            accepted,
        });
    }

    Ok(rounds)
}

async fn measure_poison(flags: &RunFlags, env: &BenchEnv, node: &Server) -> anyhow::Result<Poison> {
    env.add_component("forward", &env.build_handler("forward")?)?;
    env.add_open_hook("healthy", "component = \"bench.wasm\"\nmode = \"auto\"")?;
    // The handler posts and only GET is granted: every attempt fails and is retried.
    let failing = format!(
        "component = \"forward.wasm\"\n{HOOK_FILE}\
         retry.attempts = 100\n\
         retry.backoff = {{ first = \"100ms\", factor = 1.0, max = \"100ms\" }}\n\
         settings = {{ targets = [{{ url = \"http://127.0.0.1:9/\" }}] }}\n\
         allow.http = [\"GET http://127.0.0.1:9/\"]"
    );
    env.add_open_hook("poison", &failing)?;

    let healthy = request::post("/healthy", &[], &request::padded_body());
    let failing = request::post("/poison", &[], &request::padded_body());
    load::wait_for_200(node.address, &healthy).await?;
    load::wait_for_200(node.address, &failing).await?;

    // The load is equal in both runs; in the second run a part of it fails.
    let alone = run_both(flags, node, &healthy, healthy.clone()).await?;
    let beside = run_both(flags, node, &healthy, failing).await?;
    Ok(Poison { alone, beside })
}

async fn run_both(
    flags: &RunFlags,
    node: &Server,
    healthy: &[u8],
    other: Vec<u8>,
) -> anyhow::Result<Measured> {
    let (to, time) = (node.address, Duration::from_secs(flags.seconds));
    let others =
        tokio::spawn(async move { load::run(to, &other, FAILING_CONNECTIONS, time).await });
    let measured = load::run(to, healthy, HEALTHY_CONNECTIONS, time).await?;

    others.await??;
    Ok(measured)
}

/// Pauses a hook and sends it `events` events.
async fn add_backlog(node: &Server, admin: &Admin, events: u64) -> anyhow::Result<()> {
    let (status, text) = admin
        .post(&format!("/api/v1/hooks/{PAUSED_HOOK}/pause"))
        .await?;
    ensure!(status == 200, "the hook cannot be paused: {status} {text}");

    let request = request::post(&format!("/{PAUSED_HOOK}"), &[], &request::padded_body());
    let mut count = 0;
    while count < events {
        let measured = load::run(node.address, &request, BACKLOG_CONNECTIONS, BACKLOG_STEP).await?;
        count += measured.count();
        eprintln!("{count} of {events} events are pending");
    }

    Ok(())
}

/// What one writer that syncs each `SYNC_BYTES` reaches.
fn syncs_per_second(env: &BenchEnv) -> anyhow::Result<f64> {
    let path = env.path().join("sync");
    let mut file = std::fs::File::create(&path)
        .with_context(|| format!("{} cannot be made", path.display()))?;

    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < SYNC_TIME {
        file.write_all(&[7; SYNC_BYTES])?;
        file.sync_data()?;
        count += 1;
    }

    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// The number of successful attempts since the start of the node.
async fn ended_attempts(admin: &Admin) -> anyhow::Result<u64> {
    let (_, text) = admin.get("/metrics").await?;
    let count = text.lines().find_map(|line| {
        line.strip_prefix("landfall_attempts_total{hook=\"bench\",outcome=\"done\"} ")
    });
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

async fn wait_for_ended(admin: &Admin, count: u64) -> anyhow::Result<()> {
    let until = Instant::now() + DRAIN_TIMEOUT;
    while ended_attempts(admin).await? < count {
        ensure!(
            Instant::now() < until,
            "the node has not run all events after {} s",
            DRAIN_TIMEOUT.as_secs()
        );
        tokio::time::sleep(DRAIN_INTERVAL).await;
    }

    Ok(())
}

// === impl Report ===

impl Report {
    fn as_json(&self) -> Value {
        let rounds: Vec<Value> = self.rounds.iter().map(Round::as_json).collect();
        json!({
            "syncs_per_second": self.syncs_per_second.round(),
            "body_bytes": DURABLE_BODY_BYTES,
            "rounds": rounds,
            "poison": self.poison.as_ref().map(Poison::as_json),
            "backlog": self.backlog.as_ref().map(Backlog::as_json),
        })
    }

    fn print(&self) {
        println!(
            "the disk alone: {:.0} syncs/s of {SYNC_BYTES} bytes",
            self.syncs_per_second
        );
        print_rounds(&self.rounds);
        if let Some(poison) = &self.poison {
            println!(
                "a healthy hook: p99 {:.2} ms; beside a hook whose attempts all fail {:.2} ms, {:.2} times as long",
                ms(poison.alone.p99),
                ms(poison.beside.p99),
                poison.ratio()
            );
        }

        if let Some(backlog) = &self.backlog {
            println!(
                "with {} pending events; process start to first 200: {:.0} ms",
                backlog.events,
                ms(backlog.start)
            );
            print_rounds(&backlog.rounds);
        }
    }
}

fn print_rounds(rounds: &[Round]) {
    println!(
        "{:>11} {:>11} {:>8} {:>8} {:>14}",
        "connections", "accepted/s", "p50 ms", "p99 ms", "whole cycle/s"
    );
    for round in rounds {
        println!(
            "{:>11} {:>11.0} {:>8.2} {:>8.2} {:>14.0}",
            round.connections,
            round.accepted.per_second,
            ms(round.accepted.p50),
            ms(round.accepted.p99),
            round.whole_cycle_per_second
        );
    }
}

// === impl Round ===

impl Round {
    fn as_json(&self) -> Value {
        json!({
            "connections": self.connections,
            "accepted_per_second": self.accepted.per_second.round(),
            "p50_ms": ms(self.accepted.p50),
            "p99_ms": ms(self.accepted.p99),
            "whole_cycle_per_second": self.whole_cycle_per_second.round(),
        })
    }
}

// === impl Poison ===

impl Poison {
    fn ratio(&self) -> f64 {
        round(
            self.beside.p99.as_secs_f64() / self.alone.p99.as_secs_f64(),
            2,
        )
    }

    fn as_json(&self) -> Value {
        json!({
            "healthy_p99_ms": ms(self.alone.p99),
            "beside_poison_p99_ms": ms(self.beside.p99),
            "ratio": self.ratio(),
        })
    }
}

// === impl Backlog ===

impl Backlog {
    fn as_json(&self) -> Value {
        let rounds: Vec<Value> = self.rounds.iter().map(Round::as_json).collect();
        json!({
            "events": self.events,
            "start_to_first_200_ms": ms(self.start),
            "rounds": rounds,
        })
    }
}
