//! `durable`: how many events per second a node stores before it answers, and how many of them it
//! also runs; accepting alone, beside SQLite with group commit; mode `auto` beside `async`; and the
//! number of syncs per second of the disk alone.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::accepting::{self, Accepting};
use crate::async_hook::{HOOK_FILE, ended_attempts, pause, wait_for_ended};
use crate::env::{Admin, BenchEnv};
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::modes::{self, Modes};
use crate::page;
use crate::report::{ms, round};
use crate::request::{self, DURABLE_BODY_BYTES};
use crate::server::Server;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
const HOOK: &str = "bench";
/// The hook that is paused while events wait for it.
const PAUSED_HOOK: &str = "waits";
const BACKLOG_CONNECTIONS: usize = 64;
const BACKLOG_STEP: Duration = Duration::from_millis(500);
const HEALTHY_CONNECTIONS: usize = 16;
const FAILING_CONNECTIONS: usize = 4;
const SYNC_TIME: Duration = Duration::from_secs(1);
const SYNC_BYTES: usize = 4096;

#[derive(Debug, Args)]
pub(crate) struct DurableFlags {
    /// Measure again with these numbers of pending events, in rising order, and time the restart of
    /// a node that has them.
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    backlog: Vec<u64>,
    /// Also measure the latency of a healthy hook beside one whose attempts all fail.
    #[arg(long)]
    poison: bool,
}

#[derive(Default)]
struct Report {
    syncs_per_second: f64,
    rounds: Vec<Round>,
    accepting: Vec<Accepting>,
    modes: Option<Modes>,
    poison: Option<Poison>,
    backlogs: Vec<Backlog>,
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
    add_paused_hook(&env)?;
    let mut report = Report {
        syncs_per_second: syncs_per_second(&env)?,
        accepting: accepting::measure(flags, &CONNECTIONS).await?,
        ..Report::default()
    };

    let (mut node, mut admin) = env.start_node_with_admin().await?;
    for connections in CONNECTIONS {
        let round = measure_round(flags, &env, &node, &admin, connections).await?;
        report.rounds.push(round);
    }
    report.modes = Some(modes::measure(flags, &env, &node, &admin).await?);
    if durable.poison {
        report.poison = Some(measure_poison(flags, &env, &node).await?);
    }

    let mut pending = 0;
    for events in &durable.backlog {
        pending = add_backlog(&node, &admin, pending, *events).await?;
        node.stop().await?;
        let started = Instant::now();
        (node, admin) = env.start_node_with_admin().await?;
        let start = started.elapsed();

        let mut rounds = Vec::new();
        for connections in CONNECTIONS {
            rounds.push(measure_round(flags, &env, &node, &admin, connections).await?);
        }
        report.backlogs.push(Backlog {
            events: pending,
            rounds,
            start,
        });
    }
    node.stop().await?;

    page::publish(flags, "durable", &report.tables(flags))?;
    if flags.json {
        println!("{}", report.as_json());
    } else {
        print!("{}", report.tables(flags));
    }

    Ok(())
}

async fn measure_round(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    admin: &Admin,
    connections: usize,
) -> anyhow::Result<Round> {
    let request = env.request_with(&request::padded_body());
    let time = Duration::from_secs(flags.seconds);
    let (started, before) = (Instant::now(), ended_attempts(admin, HOOK).await?);
    let accepted = load::run(node.address, &request, connections, time).await?;
    wait_for_ended(admin, HOOK, before + accepted.count()).await?;

    Ok(Round {
        connections,
        whole_cycle_per_second: accepted.count() as f64 / started.elapsed().as_secs_f64(),
        accepted,
    })
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

/// Adds the hook whose events wait.
pub(crate) fn add_paused_hook(env: &BenchEnv) -> anyhow::Result<()> {
    let hook_file = format!("component = \"bench.wasm\"\n{HOOK_FILE}");
    env.add_open_hook(PAUSED_HOOK, &hook_file)
}

/// Pauses the hook of `add_paused_hook`, for which `pending` events wait, and sends it further ones
/// until `events` wait. Returns how many wait.
pub(crate) async fn add_backlog(
    node: &Server,
    admin: &Admin,
    pending: u64,
    events: u64,
) -> anyhow::Result<u64> {
    let request = request::post(&format!("/{PAUSED_HOOK}"), &[], &request::padded_body());
    load::wait_for_200(node.address, &request).await?;
    pause(admin, PAUSED_HOOK).await?;

    let mut count = pending;
    while count < events {
        let measured = load::run(node.address, &request, BACKLOG_CONNECTIONS, BACKLOG_STEP).await?;
        count += measured.count();
        eprintln!("landfall-bench: {count} of {events} events are pending");
    }

    Ok(count)
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

// === impl Report ===

impl Report {
    fn as_json(&self) -> Value {
        let rounds: Vec<Value> = self.rounds.iter().map(Round::as_json).collect();
        let accepting: Vec<Value> = self.accepting.iter().map(Accepting::as_json).collect();
        let backlogs: Vec<Value> = self.backlogs.iter().map(Backlog::as_json).collect();
        json!({
            "syncs_per_second": self.syncs_per_second.round(),
            "body_bytes": DURABLE_BODY_BYTES,
            "rounds": rounds,
            "accepting": accepting,
            "modes": self.modes.as_ref().map(Modes::as_json),
            "poison": self.poison.as_ref().map(Poison::as_json),
            "backlogs": backlogs,
        })
    }

    fn tables(&self, flags: &RunFlags) -> String {
        let mut text =
            "| pending events | connections | accepted/s | p50 | p99 | whole cycle/s |\n\
                        |--:|--:|--:|--:|--:|--:|\n"
                .to_owned();
        text.extend(self.rounds.iter().map(|round| round.row(0)));
        for backlog in &self.backlogs {
            text.extend(backlog.rounds.iter().map(|round| round.row(backlog.events)));
        }

        text.push_str(&format!("\n{}", accepting::table(&self.accepting)));
        if let Some(modes) = &self.modes {
            text.push_str(&format!("\n{}", modes.table(flags)));
        }

        text.push_str(&format!(
            "\nBodies of {DURABLE_BODY_BYTES} bytes; runs of {} s. The disk alone completed {:.0} synced writes of \
             {SYNC_BYTES} bytes a second.\n",
            flags.seconds, self.syncs_per_second
        ));
        for backlog in &self.backlogs {
            text.push_str(&format!(
                "With {} pending events, a restarted node answered its first 200 after {:.0} ms.\n",
                backlog.events,
                ms(backlog.start)
            ));
        }
        if let Some(poison) = &self.poison {
            text.push_str(&format!(
                "The p99 of a healthy hook was {:.2} ms, and {:.2} ms beside a hook whose attempts all fail: {:.2} times as long.\n",
                ms(poison.alone.p99),
                ms(poison.beside.p99),
                poison.ratio()
            ));
        }
        text
    }
}

// === impl Round ===

impl Round {
    fn row(&self, pending: u64) -> String {
        format!(
            "| {pending} | {} | {:.0} | {:.2} ms | {:.2} ms | {:.0} |\n",
            self.connections,
            self.accepted.per_second,
            ms(self.accepted.p50),
            ms(self.accepted.p99),
            self.whole_cycle_per_second
        )
    }

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
