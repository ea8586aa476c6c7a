//! `landfall bench --durable`: how many events a second a node accepts on stable storage, and how many it also runs to their end,
//! beside what the disk can sync by itself. One node, one run, this machine.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::bench::{Arena, BenchFlags};
use super::load::{self, Measured};
use crate::app;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
const BODY_BYTES: usize = 2048;
const DRAIN_WITHIN: Duration = Duration::from_secs(300);
const SYNC_FOR: Duration = Duration::from_secs(1);

struct Round {
    connections: usize,
    accepted: Measured,
    whole_per_second: f64,
}

/// Measures and prints.
pub async fn bench(flags: &BenchFlags) -> anyhow::Result<ExitCode> {
    let arena = Arena::make(flags.component.as_deref(), "mode = \"async\"\naccepted.status = 200\n")?;
    let syncs = syncs_per_second(&arena)?;
    let (node, admin) = arena.serve_with_admin().await?;
    let request = arena.request_of(&padded());
    let time = Duration::from_secs(flags.seconds);
    let mut rounds = Vec::new();
    for connections in CONNECTIONS {
        let (started, before) = (Instant::now(), ended(&admin).await?.0);
        let accepted = load::run(node.address, &request, connections, time).await?;
        let done = drained(&admin).await? - before;
        rounds.push(Round { connections, accepted, whole_per_second: done as f64 / started.elapsed().as_secs_f64() });
    }
    node.end().await?;
    report(flags, syncs, &rounds);
    Ok(ExitCode::SUCCESS)
}

/// A payload of the size that many providers send.
fn padded() -> String {
    let empty = json!({ "ref": "refs/heads/main", "padding": "" }).to_string();
    json!({ "ref": "refs/heads/main", "padding": "x".repeat(BODY_BYTES - empty.len()) }).to_string()
}

/// One writer that syncs each 4 KiB.
fn syncs_per_second(arena: &Arena) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(arena.path().join("sync")).context("no place for the bench")?;
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < SYNC_FOR {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// Deliveries that are done, and those that are not at their end.
async fn ended(admin: &str) -> anyhow::Result<(i64, i64)> {
    let (_, text) = app::ask_admin(admin, "/api/stats", None, None).await?;
    let counts: Vec<Value> = serde_json::from_str(&text).context("the node does not count")?;
    let of = |states: &[&str]| {
        let those = counts.iter().filter(|count| states.iter().any(|state| count["state"] == *state));
        those.filter_map(|count| count["deliveries"].as_i64()).sum()
    };
    Ok((of(&["done", "dead"]), of(&["pending", "running"])))
}

async fn drained(admin: &str) -> anyhow::Result<i64> {
    let until = Instant::now() + DRAIN_WITHIN;
    while Instant::now() < until {
        let (done, left) = ended(admin).await?;
        if left == 0 {
            return Ok(done);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the node has not run everything within {} s", DRAIN_WITHIN.as_secs())
}

fn report(flags: &BenchFlags, syncs: f64, rounds: &[Round]) {
    let ms = |time: Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    if flags.json {
        let rounds: Vec<Value> = rounds
            .iter()
            .map(|round| {
                json!({
                    "connections": round.connections,
                    "accepted_per_second": round.accepted.per_second.round(),
                    "p50_ms": ms(round.accepted.p50),
                    "p99_ms": ms(round.accepted.p99),
                    "whole_cycle_per_second": round.whole_per_second.round(),
                })
            })
            .collect();
        println!("{}", json!({ "syncs_per_second": syncs.round(), "body_bytes": BODY_BYTES, "rounds": rounds }));
        return;
    }
    println!("the disk alone: {syncs:.0} syncs/s of 4 KiB, one after another");
    println!("{:>11} {:>11} {:>8} {:>8} {:>14}", "connections", "accepted/s", "p50 ms", "p99 ms", "whole cycle/s");
    for Round { connections, accepted, whole_per_second } in rounds {
        let (p50, p99) = (ms(accepted.p50), ms(accepted.p99));
        println!("{connections:>11} {:>11.0} {p50:>8.2} {p99:>8.2} {whole_per_second:>14.0}", accepted.per_second);
    }
}
