//! `landfall bench --beside DIR`: how long callers of a healthy hook wait while each hook of a plugins directory is called beside
//! it, without pause. What a component can do to its neighbours.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::bench::{Arena, BenchFlags, Server};
use super::load::{self, Measured};
use super::output::say;
use crate::app::AdminAt;

const HEALTHY_CALLERS: usize = 16;
const OTHER_CALLERS: usize = 4;
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between two hooks.
const REST: Duration = Duration::from_secs(2);

struct Row {
    hook: String,
    /// Beside as many callers of the healthy hook.
    alone: Measured,
    /// Beside the callers of this one.
    beside: Measured,
    /// How often this one answered, by whatever status.
    answers: u64,
}

/// Measures and prints.
pub async fn bench(flags: &BenchFlags, dir: &Path) -> anyhow::Result<ExitCode> {
    let arena = Arena::make(flags.component.as_deref(), "mode = \"sync\"\n", "")?;
    copy(dir, &arena.path().join("plugins"))?;
    let (node, admin) = arena.serve_with_admin().await?;
    let hooks = hooks(&admin).await?;
    ensure!(
        !hooks.is_empty(),
        "{} has no hook that serves: see `landfall check --plugins`",
        dir.display()
    );
    let mut rows = Vec::new();
    for (hook, path) in hooks {
        rows.push(row(flags, &arena, &node, hook, &path).await?);
        if !flags.json {
            print(rows.last().expect("one was added"), rows.len() == 1);
        }
    }
    let memory_kib = node.memory_kib();
    node.end().await?;
    let worst = rows.iter().map(Row::ratio).fold(0.0, f64::max);
    if flags.json {
        let rows: Vec<Value> = rows.iter().map(Row::as_json).collect();
        say!(
            "{}",
            json!({ "worst_ratio": worst, "memory_mib": memory_kib / 1024, "hooks": rows })
        );
    } else {
        say!(
            "p99 of the healthy hook at worst {worst:.2} times; the node held {} MiB at most",
            memory_kib / 1024
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn row(
    flags: &BenchFlags,
    arena: &Arena,
    node: &Server,
    hook: String,
    path: &str,
) -> anyhow::Result<Row> {
    let (healthy, other) = (arena.request(), load::request(path, &[], "{}"));
    let (to, time) = (node.address, Duration::from_secs(flags.seconds));
    // What the hook before left running is over by then, or computes on in the same way in both runs.
    tokio::time::sleep(REST).await;
    let callers = {
        let healthy = healthy.clone();
        tokio::spawn(async move { load::knock(to, &healthy, OTHER_CALLERS, time).await })
    };
    let alone = load::run(to, &healthy, HEALTHY_CALLERS, time).await?;
    callers.await?;
    let callers = tokio::spawn(async move { load::knock(to, &other, OTHER_CALLERS, time).await });
    let beside = load::run(to, &healthy, HEALTHY_CALLERS, time).await?;
    Ok(Row {
        hook,
        alone,
        beside,
        answers: callers.await?,
    })
}

/// Name and path of the hooks that serve, apart from our own, when all are loaded.
async fn hooks(admin: &AdminAt) -> anyhow::Result<Vec<(String, String)>> {
    let until = Instant::now() + READY_WITHIN;
    while admin.ask("/readyz", None).await?.0 != 200 {
        ensure!(
            Instant::now() < until,
            "the node is not ready within {} s",
            READY_WITHIN.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, text) = admin.ask("/api/hooks", None).await?;
    let all: Vec<Value> = serde_json::from_str(&text).context("the list of hooks")?;
    let serving = all
        .iter()
        .filter(|hook| hook["state"] == "serving" && hook["name"] != "bench");
    Ok(serving
        .filter_map(|hook| Some((hook["name"].as_str()?.into(), hook["path"].as_str()?.into())))
        .collect())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    ensure!(
        !from.join("bench.toml").exists(),
        "{} has a hook `bench`, as the bench itself has",
        from.display()
    );
    let entries =
        std::fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            std::fs::copy(
                &path,
                to.join(path.file_name().expect("an entry has a name")),
            )
            .with_context(|| format!("{} cannot be read", path.display()))?;
        }
    }
    Ok(())
}

fn print(row: &Row, first: bool) {
    if first {
        say!(
            "{:<24} {:>10} {:>10} {:>7} {:>10}",
            "beside",
            "alone p99",
            "beside p99",
            "times",
            "answers"
        );
    }
    let (alone, beside, ratio) = (ms(row.alone.p99), ms(row.beside.p99), row.ratio());
    say!(
        "{:<24} {alone:>7.2} ms {beside:>7.2} ms {ratio:>7.2} {:>10}",
        row.hook,
        row.answers
    );
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

// === impl Row ===

impl Row {
    fn ratio(&self) -> f64 {
        (self.beside.p99.as_secs_f64() / self.alone.p99.as_secs_f64() * 100.0).round() / 100.0
    }

    fn as_json(&self) -> Value {
        json!({ "hook": self.hook, "alone_p99_ms": ms(self.alone.p99), "beside_p99_ms": ms(self.beside.p99),
            "ratio": self.ratio(), "answers": self.answers })
    }
}
