//! `interference`: the latency of a healthy hook while each hook of a plugins directory is called
//! beside it without pause. It shows what a component can do to its neighbours.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::env::{Admin, BenchEnv};
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::report::{ms, round};
use crate::request;
use crate::server::Server;

const HEALTHY_CONNECTIONS: usize = 16;
const OTHER_CONNECTIONS: usize = 4;
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const READY_INTERVAL: Duration = Duration::from_millis(50);
/// Between two hooks: what the previous hook left running has ended, or computes in both runs of
/// the next.
const PAUSE: Duration = Duration::from_secs(2);

struct Row {
    hook: String,
    /// The healthy hook beside further callers of its own.
    alone: Measured,
    /// The healthy hook beside as many callers of `hook`.
    beside: Measured,
    /// How often `hook` answered, with any status.
    answers: u64,
}

/// A hook of the node that serves.
struct Hook {
    name: String,
    path: String,
}

pub(crate) async fn measure(flags: &RunFlags, dir: &Path) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    copy_files(dir, &env.plugins())?;
    let (node, admin) = env.start_node_with_admin().await?;
    let hooks = serving_hooks(&admin).await?;
    ensure!(
        !hooks.is_empty(),
        "{} has no hook that serves: see `landfall check --plugins`",
        dir.display()
    );

    let mut rows = Vec::new();
    for hook in hooks {
        let row = measure_beside(flags, &env, &node, hook).await?;
        if !flags.json {
            print_row(&row, rows.is_empty());
        }

        rows.push(row);
    }

    let memory_mib = node.peak_memory_kib() / 1024;
    node.stop().await?;

    let worst = rows.iter().map(Row::ratio).fold(0.0, f64::max);
    if flags.json {
        let hooks: Vec<Value> = rows.iter().map(Row::as_json).collect();
        println!(
            "{}",
            json!({ "worst_ratio": worst, "memory_mib": memory_mib, "hooks": hooks })
        );
    } else {
        println!(
            "p99 of the healthy hook: at worst {worst:.2} times as long; peak memory of the node: {memory_mib} MiB"
        );
    }

    Ok(())
}

async fn measure_beside(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    hook: Hook,
) -> anyhow::Result<Row> {
    let healthy = env.request();
    let other = request::post(&hook.path, &[], "{}");
    tokio::time::sleep(PAUSE).await;

    let (alone, _) = run_both(flags, node, &healthy, healthy.clone()).await?;
    let (beside, answers) = run_both(flags, node, &healthy, other).await?;
    Ok(Row {
        hook: hook.name,
        alone,
        beside,
        answers,
    })
}

/// What the callers of the healthy hook measured, and the number of answers that the other callers
/// got.
async fn run_both(
    flags: &RunFlags,
    node: &Server,
    healthy: &[u8],
    other: Vec<u8>,
) -> anyhow::Result<(Measured, u64)> {
    let (to, time) = (node.address, Duration::from_secs(flags.seconds));
    let others =
        tokio::spawn(
            async move { load::run_any_status(to, &other, OTHER_CONNECTIONS, time).await },
        );
    let measured = load::run(to, healthy, HEALTHY_CONNECTIONS, time).await?;

    Ok((measured, others.await?.all))
}

/// The hooks that serve, without the bench's own, when all have been loaded.
async fn serving_hooks(admin: &Admin) -> anyhow::Result<Vec<Hook>> {
    let until = Instant::now() + READY_TIMEOUT;
    while admin.get("/readyz").await?.0 != 200 {
        ensure!(
            Instant::now() < until,
            "the node is not ready after {} s",
            READY_TIMEOUT.as_secs()
        );
        tokio::time::sleep(READY_INTERVAL).await;
    }

    let (_, text) = admin.get("/api/v1/hooks").await?;
    let hooks: Vec<Value> =
        serde_json::from_str(&text).context("the list of hooks cannot be read")?;
    let mut serving = Vec::new();
    for hook in hooks {
        let (Some(name), Some(path)) = (hook["name"].as_str(), hook["path"].as_str()) else {
            continue;
        };

        if hook["state"] == "serving" && name != "bench" {
            serving.push(Hook {
                name: name.to_owned(),
                path: path.to_owned(),
            });
        }
    }

    Ok(serving)
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    ensure!(
        !from.join("bench.toml").exists(),
        "{} has a hook `bench`, the name of the bench's own hook",
        from.display()
    );
    let entries =
        std::fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().expect("an entry has a name");
            std::fs::copy(&path, to.join(name))
                .with_context(|| format!("{} cannot be read", path.display()))?;
        }
    }

    Ok(())
}

fn print_row(row: &Row, is_first: bool) {
    if is_first {
        println!(
            "{:<24} {:>10} {:>10} {:>7} {:>10}",
            "beside", "alone p99", "beside p99", "times", "answers"
        );
    }

    println!(
        "{:<24} {:>7.2} ms {:>7.2} ms {:>7.2} {:>10}",
        row.hook,
        ms(row.alone.p99),
        ms(row.beside.p99),
        row.ratio(),
        row.answers
    );
}

// === impl Row ===

impl Row {
    fn ratio(&self) -> f64 {
        round(
            self.beside.p99.as_secs_f64() / self.alone.p99.as_secs_f64(),
            2,
        )
    }

    fn as_json(&self) -> Value {
        json!({
            "hook": self.hook,
            "alone_p99_ms": ms(self.alone.p99),
            "beside_p99_ms": ms(self.beside.p99),
            "ratio": self.ratio(),
            "answers": self.answers,
        })
    }
}
