//! `neighbours`: the latency of a hook alone and beside an overloaded hook of the same node. The
//! callers of the overloaded hook are a process of their own, so that their work does not delay the
//! measured requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::handlers;
use crate::load::{self, Measured};
use crate::report::{measured_as_json, ms, round};
use crate::request;
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);
/// The callers start before the measurement, and end after it.
const LEAD: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct NeighboursFlags {
    /// The component of the overloaded hook [default: one that computes for about 0.4 ms, built
    /// with cargo].
    #[arg(long, value_name = "FILE")]
    busy: Option<PathBuf>,
    /// Keep-alive connections of the overloaded hook.
    #[arg(long, value_name = "NUMBER", default_value_t = 512)]
    callers: usize,
}

/// An overloaded hook.
struct Busy {
    name: &'static str,
    /// What differs from the other hooks.
    title: &'static str,
    hook_file: &'static str,
}

const BUSY: [Busy; 3] = [
    Busy {
        name: "computes",
        title: "computes",
        hook_file: "mode = \"sync\"\ncomponent = \"busy.wasm\"\nconcurrency = 1000\n",
    },
    Busy {
        name: "narrow",
        title: "computes, concurrency = 4",
        hook_file: "mode = \"sync\"\ncomponent = \"busy.wasm\"\nconcurrency = 4\n",
    },
    Busy {
        name: "echoes",
        title: "answers at once",
        hook_file: "mode = \"sync\"\ncomponent = \"bench.wasm\"\nconcurrency = 1000\n",
    },
];

struct Row {
    busy: &'static Busy,
    alone: Measured,
    beside: Measured,
    /// What the callers of the overloaded hook report.
    callers: Value,
}

pub(crate) async fn measure(flags: &RunFlags, own: &NeighboursFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let component = match &own.busy {
        Some(path) => path.clone(),
        None => handlers::build_busy(env.landfall(), env.path())?,
    };
    env.add_component("busy", &component)?;
    let mut requests = vec![env.request()];
    for busy in &BUSY {
        env.add_open_hook(busy.name, busy.hook_file)?;
        requests.push(busy.request());
    }
    let (node, _) = env.start_node_with_admin_that_answers(&requests).await?;
    load::run(node.address, &env.request(), flags.connections, WARM_UP).await?;

    let mut rows = Vec::new();
    for busy in &BUSY {
        rows.push(measure_beside(flags, own, &env, &node, busy).await?);
    }
    node.stop().await?;

    if flags.json {
        let rows: Vec<Value> = rows.iter().map(Row::as_json).collect();
        println!("{}", json!({ "callers": own.callers, "hooks": rows }));
        return Ok(());
    }

    println!(
        "{:<28} {:>15} {:>17} {:>7} {:>10} {:>10}",
        "beside a hook that",
        "alone p50, p99",
        "beside p50, p99",
        "times",
        "its 200s/s",
        "others/s"
    );
    rows.iter().for_each(Row::print);
    Ok(())
}

/// Calls a hook until the time of the run is over, and prints the number of answers.
pub(crate) async fn call(flags: &RunFlags, to: SocketAddr, request: &Path) -> anyhow::Result<()> {
    let request = std::fs::read(request)?;
    let time = Duration::from_secs(flags.seconds) + LEAD * 2;
    let answers = load::run_any_status(to, &request, flags.connections, time).await;
    let report = json!({
        "ok_per_second": per_second(answers.ok, time),
        "others_per_second": per_second(answers.all - answers.ok, time),
    });
    println!("{report}");
    Ok(())
}

fn per_second(count: u64, time: Duration) -> f64 {
    (count as f64 / time.as_secs_f64()).round()
}

async fn measure_beside(
    flags: &RunFlags,
    own: &NeighboursFlags,
    env: &BenchEnv,
    node: &Server,
    busy: &'static Busy,
) -> anyhow::Result<Row> {
    let (quiet, time) = (env.request(), Duration::from_secs(flags.seconds));
    let alone = load::run(node.address, &quiet, flags.connections, time).await?;

    let file = env.path().join("busy-request");
    std::fs::write(&file, busy.request())?;
    let callers = Command::new(std::env::current_exe()?)
        .arg("callers")
        .arg(node.address.to_string())
        .arg(&file)
        .args(["--connections", &own.callers.to_string()])
        .args(["--seconds", &flags.seconds.to_string()])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the callers do not start")?;
    tokio::time::sleep(LEAD).await;
    let beside = load::run(node.address, &quiet, flags.connections, time).await?;

    let output = callers.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "the callers of {} failed",
        busy.name
    );
    Ok(Row {
        busy,
        alone,
        beside,
        callers: serde_json::from_slice(&output.stdout)?,
    })
}

// === impl Busy ===

impl Busy {
    fn request(&self) -> Vec<u8> {
        request::post(&format!("/{}", self.name), &[], "{}")
    }
}

// === impl Row ===

impl Row {
    fn ratio(&self) -> f64 {
        let (alone, beside) = (self.alone.p99, self.beside.p99);
        round(beside.as_secs_f64() / alone.as_secs_f64(), 2)
    }

    fn print(&self) {
        println!(
            "{:<28} {:>6.2}, {:>4.2} ms {:>7.2}, {:>5.2} ms {:>7.2} {:>10} {:>10}",
            self.busy.title,
            ms(self.alone.p50),
            ms(self.alone.p99),
            ms(self.beside.p50),
            ms(self.beside.p99),
            self.ratio(),
            self.callers["ok_per_second"],
            self.callers["others_per_second"],
        );
    }

    fn as_json(&self) -> Value {
        json!({
            "hook": self.busy.title,
            "alone": measured_as_json(&self.alone),
            "beside": measured_as_json(&self.beside),
            "p99_ratio": self.ratio(),
            "overloaded": self.callers,
        })
    }
}
