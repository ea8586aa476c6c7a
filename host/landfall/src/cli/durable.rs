//! `landfall bench --durable`: how many events a second a node accepts on stable storage, and how many it also runs to their end,
//! beside what the disk can sync by itself. One node, one run, this machine.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::bench::{Arena, BenchFlags, Server, built};
use super::load::{self, Measured};
use super::output::say;
use crate::app::AdminAt;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
const BODY_BYTES: usize = 2048;
/// The hook whose events wait.
const WAITS: &str = "waits";
const HEALTHY_CALLERS: usize = 16;
const POISON_CALLERS: usize = 4;
const DRAIN_WITHIN: Duration = Duration::from_secs(300);
const SYNC_FOR: Duration = Duration::from_secs(1);

struct Round {
    connections: usize,
    accepted: Measured,
    whole_per_second: f64,
}

/// What a backlog costs.
struct Backlog {
    events: usize,
    rounds: Vec<Round>,
    /// From the start of the process to the first 200.
    start: Duration,
}

/// Measures and prints.
pub async fn bench(flags: &BenchFlags) -> anyhow::Result<ExitCode> {
    let arena = Arena::make(
        flags.component.as_deref(),
        "mode = \"async\"\naccepted.status = 200\n",
        "",
    )?;
    arena.also(
        WAITS,
        "component = \"bench.wasm\"\nmode = \"async\"\naccepted.status = 200",
    )?;
    let syncs = syncs_per_second(&arena)?;
    let (node, admin) = arena.serve_with_admin().await?;
    let rounds = rounds(&arena, &node, &admin, flags).await?;
    let poisoned = if flags.poison {
        Some(poisoned(&arena, &node, flags).await?)
    } else {
        None
    };
    if flags.backlog == 0 {
        node.end().await?;
        report(flags, syncs, &rounds, poisoned.as_ref(), None);
        return Ok(ExitCode::SUCCESS);
    }
    pile_up(&node, &admin, flags.backlog).await?;
    node.end().await?;
    let started = Instant::now();
    let (node, admin) = arena.serve_with_admin().await?;
    let start = started.elapsed();
    let with = self::rounds(&arena, &node, &admin, flags).await?;
    node.end().await?;
    report(
        flags,
        syncs,
        &rounds,
        poisoned.as_ref(),
        Some(&Backlog {
            events: flags.backlog,
            rounds: with,
            start,
        }),
    );
    Ok(ExitCode::SUCCESS)
}

async fn rounds(
    arena: &Arena,
    node: &Server,
    admin: &AdminAt,
    flags: &BenchFlags,
) -> anyhow::Result<Vec<Round>> {
    let request = arena.request_of(&padded());
    let time = Duration::from_secs(flags.seconds);
    let mut rounds = Vec::new();
    for connections in CONNECTIONS {
        let (started, before) = (Instant::now(), done(admin).await?);
        let accepted = load::run(node.address, &request, connections, time).await?;
        // Each second of the load was as long as the next.
        let count = (accepted.per_second * accepted.elapsed.as_secs_f64()).round() as u64;
        drained(admin, before + count).await?;
        rounds.push(Round {
            connections,
            accepted,
            whole_per_second: count as f64 / started.elapsed().as_secs_f64(),
        });
    }
    Ok(rounds)
}

/// A healthy hook by itself, and beside one whose events fail every time, at the same rate of events. The latter gets as many
/// as its callers can post.
async fn poisoned(
    arena: &Arena,
    node: &Server,
    flags: &BenchFlags,
) -> anyhow::Result<(Measured, Measured)> {
    let forward = built("forward", &arena.path().join("built"))?;
    std::fs::copy(forward, arena.path().join("plugins/forward.wasm"))?;
    let backoff = "retry.attempts = 100\nretry.backoff = { first = \"100ms\", factor = 1.0, max = \"100ms\" }";
    // It posts, and may not: each attempt is denied its call.
    let settings = "settings = { targets = [{ url = \"http://127.0.0.1:9/\" }] }\nallow.http = [\"GET http://127.0.0.1:9/\"]";
    arena.also("healthy", "component = \"bench.wasm\"\nmode = \"auto\"")?;
    arena.also(
        "poison",
        &format!("component = \"forward.wasm\"\nmode = \"async\"\naccepted.status = 200\n{backoff}\n{settings}"),
    )?;
    let (healthy, poison) = (
        load::request("/healthy", &[], &padded()),
        load::request("/poison", &[], &padded()),
    );
    load::until_200(node.address, &healthy).await?;
    load::until_200(node.address, &poison).await?;
    let (time, address) = (Duration::from_secs(flags.seconds), node.address);
    // As much load in both runs: in the second a part of it fails.
    let beside = |request: Vec<u8>| {
        tokio::spawn(async move { load::run(address, &request, POISON_CALLERS, time).await })
    };
    let other = beside(healthy.clone());
    let alone = load::run(address, &healthy, HEALTHY_CALLERS, time).await?;
    other.await??;
    let other = beside(poison);
    let with = load::run(address, &healthy, HEALTHY_CALLERS, time).await?;
    other.await??;
    Ok((alone, with))
}

/// Events of a hook that is paused.
async fn pile_up(node: &Server, admin: &AdminAt, events: usize) -> anyhow::Result<()> {
    admin
        .ask(&format!("/api/hooks/{WAITS}/pause"), Some("{}".into()))
        .await?;
    let request = load::request(&format!("/{WAITS}"), &[], &padded());
    let mut count = 0;
    while count < events {
        let measured = load::run(node.address, &request, 64, Duration::from_secs(2)).await?;
        count += (measured.per_second * measured.elapsed.as_secs_f64()).round() as usize;
        eprintln!("{count} of {events} events wait");
    }
    Ok(())
}

/// A payload of the size that many providers send.
fn padded() -> String {
    let empty = json!({ "ref": "refs/heads/main", "padding": "" }).to_string();
    json!({ "ref": "refs/heads/main", "padding": "x".repeat(BODY_BYTES - empty.len()) }).to_string()
}

/// One writer that syncs each 4 KiB.
fn syncs_per_second(arena: &Arena) -> anyhow::Result<f64> {
    let mut file =
        std::fs::File::create(arena.path().join("sync")).context("no place for the bench")?;
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < SYNC_FOR {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// Attempts that ended well since the start of the node.
async fn done(admin: &AdminAt) -> anyhow::Result<u64> {
    let (_, text) = admin.ask("/metrics", None).await?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("landfall_attempts_total{hook=\"bench\",outcome=\"done\"} ")
    });
    Ok(line.and_then(|count| count.parse().ok()).unwrap_or(0))
}

async fn drained(admin: &AdminAt, until_done: u64) -> anyhow::Result<()> {
    let until = Instant::now() + DRAIN_WITHIN;
    while Instant::now() < until {
        if done(admin).await? >= until_done {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!(
        "the node has not run everything within {} s",
        DRAIN_WITHIN.as_secs()
    )
}

fn report(
    flags: &BenchFlags,
    syncs: f64,
    rounds: &[Round],
    poisoned: Option<&(Measured, Measured)>,
    backlog: Option<&Backlog>,
) {
    let ratio =
        |alone: &Measured, with: &Measured| with.p99.as_secs_f64() / alone.p99.as_secs_f64();
    if flags.json {
        let with = backlog.map(|backlog| {
            json!({ "events": backlog.events, "start_to_first_200_ms": ms(backlog.start), "rounds": as_json(&backlog.rounds) })
        });
        let report = json!({ "syncs_per_second": syncs.round(), "body_bytes": BODY_BYTES, "rounds": as_json(rounds), "backlog": with,
            "poison": poisoned.map(|(alone, with)| json!({ "healthy_p99_ms": ms(alone.p99), "beside_poison_p99_ms": ms(with.p99), "ratio": ratio(alone, with) })) });
        say!("{report}");
        return;
    }
    say!("the disk alone: {syncs:.0} syncs/s of 4 KiB, one after another");
    print(rounds);
    if let Some((alone, with)) = poisoned {
        let (p99, beside, ratio) = (ms(alone.p99), ms(with.p99), ratio(alone, with));
        say!(
            "a healthy hook: p99 {p99:.2} ms; beside one that fails every time {beside:.2} ms, {ratio:.2} times as long"
        );
    }
    if let Some(Backlog {
        events,
        rounds,
        start,
    }) = backlog
    {
        say!(
            "with {events} events that wait; from the start of the process to the first 200: {:.0} ms",
            ms(*start)
        );
        print(rounds);
    }
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

fn as_json(rounds: &[Round]) -> Vec<Value> {
    let one = |round: &Round| {
        json!({
            "connections": round.connections,
            "accepted_per_second": round.accepted.per_second.round(),
            "p50_ms": ms(round.accepted.p50),
            "p99_ms": ms(round.accepted.p99),
            "whole_cycle_per_second": round.whole_per_second.round(),
        })
    };
    rounds.iter().map(one).collect()
}

fn print(rounds: &[Round]) {
    say!(
        "{:>11} {:>11} {:>8} {:>8} {:>14}",
        "connections",
        "accepted/s",
        "p50 ms",
        "p99 ms",
        "whole cycle/s"
    );
    for Round {
        connections,
        accepted,
        whole_per_second,
    } in rounds
    {
        let (p50, p99) = (ms(accepted.p50), ms(accepted.p99));
        say!(
            "{connections:>11} {:>11.0} {p50:>8.2} {p99:>8.2} {whole_per_second:>14.0}",
            accepted.per_second
        );
    }
}
