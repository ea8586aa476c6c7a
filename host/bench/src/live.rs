//! `drop`: the time from a new component in the plugins directory to its first 200, compilation
//! included, and what the compilation of a large component does to the latency of another hook.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::handlers::{self, Language};
use crate::load::{self, Measured};
use crate::page;
use crate::report::{ms, round};
use crate::server::Server;

/// Callers of the hook beside which a component is dropped.
const CONNECTIONS: usize = 16;
const HOOK_FILE: &str = "mode = \"sync\"\n";

#[derive(Debug, Args)]
pub(crate) struct DropFlags {
    /// Also drop this component while another hook is called, and compare the latency of that hook.
    #[arg(long, value_name = "FILE", conflicts_with = "python")]
    large: Option<PathBuf>,
    /// The same with a handler in Python, which is built.
    #[arg(long)]
    python: bool,
    /// Seconds of the load beside which it is dropped.
    #[arg(long, default_value_t = 12)]
    beside_seconds: u64,
}

/// A large component dropped under load.
struct Beside {
    component_bytes: u64,
    live: Duration,
    /// The other hook without it.
    alone: Measured,
    beside: Measured,
}

struct Report {
    component_bytes: u64,
    /// In rising order.
    times: Vec<Duration>,
    large: Option<Beside>,
}

pub(crate) async fn measure(flags: &RunFlags, drop: &DropFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", HOOK_FILE, "")?;
    let large = match &drop.large {
        Some(path) => Some(path.clone()),
        None if drop.python => Some(handlers::build(
            env.landfall(),
            Language::Python,
            env.path(),
            &env.path().join("built"),
        )?),
        None => None,
    };

    let node = env.start_node().await?;
    let mut times = Vec::new();
    for number in 0..flags.rounds.max(1) {
        let name = format!("dropped{number}");
        let number = u32::try_from(number)?;
        let component = env.another_component(&name, &env.bench_component(), number)?;
        times.push(time_to_live(&env, &node, &name, &component).await?);
    }
    times.sort_unstable();

    let large = match large {
        Some(component) => Some(drop_under_load(&env, &node, drop, &component).await?),
        None => None,
    };
    node.stop().await?;

    let report = Report {
        component_bytes: std::fs::metadata(env.bench_component())?.len(),
        times,
        large,
    };
    page::publish(flags, "drop", &report.table())?;
    if flags.json {
        println!("{}", report.as_json());
    } else {
        print!("{}", report.table());
    }

    Ok(())
}

/// Moves the component, which is in the same file system, into the plugins directory.
async fn time_to_live(
    env: &BenchEnv,
    node: &Server,
    name: &str,
    component: &Path,
) -> anyhow::Result<Duration> {
    env.add_signed_hook(name, HOOK_FILE, "")?;
    let request = env.request_to(name, "{\"ref\":\"refs/heads/main\"}");
    let to = env.plugins().join(format!("{name}.wasm"));
    let dropped = Instant::now();
    std::fs::rename(component, &to)
        .with_context(|| format!("{} cannot be moved", component.display()))?;
    load::wait_for_200(node.address, &request).await?;

    Ok(dropped.elapsed())
}

async fn drop_under_load(
    env: &BenchEnv,
    node: &Server,
    drop: &DropFlags,
    component: &Path,
) -> anyhow::Result<Beside> {
    let (to, time) = (node.address, Duration::from_secs(drop.beside_seconds));
    let request = env.request();
    let alone = load::run(to, &request, CONNECTIONS, time).await?;

    let moved = env.path().join("large.wasm");
    std::fs::copy(component, &moved)
        .with_context(|| format!("{} cannot be read", component.display()))?;
    let others = tokio::spawn(async move { load::run(to, &request, CONNECTIONS, time).await });
    let live = time_to_live(env, node, "large", &moved).await?;

    Ok(Beside {
        component_bytes: std::fs::metadata(component)?.len(),
        live,
        alone,
        beside: others.await??,
    })
}

// === impl Report ===

impl Report {
    fn median(&self) -> Duration {
        self.times[self.times.len() / 2]
    }

    fn max(&self) -> Duration {
        self.times[self.times.len() - 1]
    }

    fn table(&self) -> String {
        let mut text = format!(
            "| | time |\n|---|--:|\n\
             | from dropping a component of {} KiB to its first 200, median of {} | {:.0} ms |\n\
             | the slowest of them | {:.0} ms |\n",
            self.component_bytes / 1024,
            self.times.len(),
            ms(self.median()),
            ms(self.max())
        );
        if let Some(large) = &self.large {
            text.push_str(&format!(
                "| one of {} KiB, dropped while another hook is called over {CONNECTIONS} connections | {:.1} s |\n\
                 | p99 of the other hook without it | {:.2} ms |\n\
                 | p99 of the other hook beside it | {:.2} ms, {:.2} times as long |\n",
                large.component_bytes / 1024,
                large.live.as_secs_f64(),
                ms(large.alone.p99),
                ms(large.beside.p99),
                large.ratio()
            ));
        }
        text
    }

    fn as_json(&self) -> Value {
        json!({
            "component_bytes": self.component_bytes,
            "median_ms": ms(self.median()),
            "max_ms": ms(self.max()),
            "large": self.large.as_ref().map(Beside::as_json),
        })
    }
}

// === impl Beside ===

impl Beside {
    fn ratio(&self) -> f64 {
        let ratio = self.beside.p99.as_secs_f64() / self.alone.p99.as_secs_f64();
        round(ratio, 2)
    }

    fn as_json(&self) -> Value {
        json!({
            "component_bytes": self.component_bytes,
            "live_ms": ms(self.live),
            "alone_p99_ms": ms(self.alone.p99),
            "beside_p99_ms": ms(self.beside.p99),
            "ratio": self.ratio(),
        })
    }
}
