//! `growth`: what an event costs a node with more hooks, with more pending events, and over more
//! connections. The cost is the processor time of the node for each event.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use crate::async_hook::{HOOK_FILE, ended_attempts, wait_for_ended};
use crate::durable::{self, add_backlog};
use crate::env::{Admin, BenchEnv};
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::page;
use crate::plot::Plot;
use crate::report::{measured_as_json, ms, round, us};
use crate::request;
use crate::server::Server;
use crate::sync::{ServerRun, median};

const WARM_UP: Duration = Duration::from_secs(1);
/// What an event may cost at each point, in times of the first one.
const BOUND: f64 = 1.2;

#[derive(Debug, Args)]
pub(crate) struct GrowthFlags {
    /// Numbers of hooks, in rising order. All run one component, and are called in turns.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1000, 2000])]
    hooks: Vec<usize>,
    /// Numbers of events that wait for another hook, in rising order.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 100_000, 1_000_000])]
    backlog: Vec<u64>,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1024, 2048])]
    callers: Vec<usize>,
    /// Also draw `growth-hooks.svg`, `growth-backlog.svg` and `growth-connections.svg` in this
    /// directory.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// One of the numbers that grow.
struct Axis {
    /// Of its plot and in JSON.
    word: &'static str,
    title: &'static str,
    points: Vec<Point>,
}

struct Point {
    at: u64,
    /// Of the node, for each event.
    processor: Duration,
    measured: Measured,
    /// From the start of the process until each hook has answered.
    loaded: Option<Duration>,
}

pub(crate) async fn measure(flags: &RunFlags, growth: &GrowthFlags) -> anyhow::Result<()> {
    let axes = [
        Axis {
            word: "hooks",
            title: "hooks",
            points: of_hooks(flags, &growth.hooks).await?,
        },
        Axis {
            word: "backlog",
            title: "pending events of another hook",
            points: of_backlog(flags, &growth.backlog).await?,
        },
        Axis {
            word: "connections",
            title: "connections",
            points: of_connections(flags, &growth.callers).await?,
        },
    ];

    if let Some(dir) = &growth.plots {
        for axis in axes.iter().filter(|axis| !axis.points.is_empty()) {
            axis.draw(dir)?;
        }
    }

    let tables = tables(flags, &axes, growth.plots.is_some());
    page::publish(flags, "growth", &tables)?;
    if flags.json {
        let axes: serde_json::Map<String, Value> = axes
            .iter()
            .map(|axis| (axis.word.to_owned(), axis.as_json()))
            .collect();
        println!("{}", Value::from(axes));
    } else {
        print!("{tables}");
    }

    Ok(())
}

async fn of_hooks(flags: &RunFlags, numbers: &[usize]) -> anyhow::Result<Vec<Point>> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    // Compiles the component.
    env.start_node().await?.stop().await?;

    let (mut points, mut present) = (Vec::new(), 1);
    for number in numbers {
        env.add_further_hooks(present, *number)?;
        present = present.max(*number);
        let requests = env.requests_to_hooks(present);

        let started = Instant::now();
        let (node, _) = env.start_node_with_admin_that_answers(&requests).await?;
        let loaded = started.elapsed();
        let run = median_run(flags, &node, &requests, flags.connections).await?;
        node.stop().await?;
        points.push(Point {
            at: present as u64,
            processor: run.processor,
            measured: run.measured,
            loaded: Some(loaded),
        });
    }

    Ok(points)
}

async fn of_connections(flags: &RunFlags, numbers: &[usize]) -> anyhow::Result<Vec<Point>> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let node = env.start_node().await?;
    let requests = [env.request()];
    let mut points = Vec::new();
    for number in numbers {
        let run = median_run(flags, &node, &requests, *number).await?;
        points.push(Point {
            at: *number as u64,
            processor: run.processor,
            measured: run.measured,
            loaded: None,
        });
    }

    node.stop().await?;
    Ok(points)
}

async fn median_run(
    flags: &RunFlags,
    node: &Server,
    requests: &[Vec<u8>],
    connections: usize,
) -> anyhow::Result<ServerRun> {
    load::run_each(node.address, requests, connections, WARM_UP).await?;
    let time = Duration::from_secs(flags.seconds);
    let mut runs = Vec::new();
    for _ in 0..flags.rounds.max(1) {
        runs.push(ServerRun::of(node, requests, connections, time).await?);
    }

    Ok(median(runs))
}

/// Events in mode `async`, from the request to the end of their attempt.
async fn of_backlog(flags: &RunFlags, numbers: &[u64]) -> anyhow::Result<Vec<Point>> {
    let env = BenchEnv::create(flags, "echo", HOOK_FILE, "")?;
    durable::add_paused_hook(&env)?;
    let (node, admin) = env.start_node_with_admin().await?;
    let (mut points, mut pending) = (Vec::new(), 0);
    for number in numbers {
        if *number > pending {
            pending = add_backlog(&node, &admin, pending, *number).await?;
        }

        let mut runs = Vec::new();
        for _ in 0..flags.rounds.max(1) {
            runs.push(whole_cycle(flags, &env, &node, &admin).await?);
        }
        let run = median(runs);
        points.push(Point {
            at: pending,
            processor: run.processor,
            measured: run.measured,
            loaded: None,
        });
    }

    node.stop().await?;
    Ok(points)
}

async fn whole_cycle(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    admin: &Admin,
) -> anyhow::Result<ServerRun> {
    let request = env.request_with(&request::padded_body());
    let time = Duration::from_secs(flags.seconds);
    let (ended, used) = (ended_attempts(admin, "bench").await?, node.processor_time());
    let measured = load::run(node.address, &request, flags.connections, time).await?;
    wait_for_ended(admin, "bench", ended + measured.count()).await?;
    let used = node.processor_time().saturating_sub(used);

    Ok(ServerRun {
        processor: used.div_f64(measured.count().max(1) as f64),
        measured,
    })
}

fn tables(flags: &RunFlags, axes: &[Axis], has_plots: bool) -> String {
    let mut text = String::new();
    for axis in axes.iter().filter(|axis| !axis.points.is_empty()) {
        text.push_str(&axis.table());
        if has_plots {
            let (title, word) = (axis.title, axis.word);
            text.push_str(&format!(
                "\n![Processor time of an event by the number of {title}](images/growth-{word}.svg)\n"
            ));
        }
        text.push('\n');
    }

    text.push_str(&format!(
        "Runs at each point: {}, of {} s each; the row is the run with the median rate. Connections of the first two tables: {}.\n",
        flags.rounds.max(1),
        flags.seconds,
        flags.connections
    ));
    text
}

// === impl Axis ===

impl Axis {
    fn table(&self) -> String {
        let loaded = if self.word == "hooks" {
            " all hooks answer after |"
        } else {
            ""
        };
        let column = if self.word == "hooks" { "--:|" } else { "" };
        let mut text = format!(
            "| {} | processor time | to the first row | p50 | p99 | events/s |{loaded}\n|--:|--:|--:|--:|--:|--:|{column}\n",
            self.title
        );
        for point in &self.points {
            text.push_str(&point.row(&self.points[0]));
        }
        text
    }

    fn draw(&self, dir: &Path) -> anyhow::Result<()> {
        let points = &self.points;
        let plot = Plot {
            title: "processor time of the node for each event, µs",
            x_title: self.title,
            points: points
                .iter()
                .map(|point| (point.at.to_string(), us(point.processor)))
                .collect(),
            bound: (us(points[0].processor) * BOUND, "1.2 times the first"),
        };
        let path = dir.join(format!("growth-{}.svg", self.word));
        std::fs::write(&path, plot.svg())
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    fn as_json(&self) -> Value {
        self.points.iter().map(Point::as_json).collect()
    }
}

// === impl Point ===

impl Point {
    fn row(&self, first: &Point) -> String {
        let loaded = self
            .loaded
            .map(|time| format!(" {:.2} s |", time.as_secs_f64()));
        format!(
            "| {} | {:.1} µs | {:.2} | {:.2} ms | {:.2} ms | {:.0} |{}\n",
            self.at,
            us(self.processor),
            round(
                self.processor.as_secs_f64() / first.processor.as_secs_f64(),
                2
            ),
            ms(self.measured.p50),
            ms(self.measured.p99),
            self.measured.per_second,
            loaded.unwrap_or_default()
        )
    }

    fn as_json(&self) -> Value {
        let mut point = measured_as_json(&self.measured);
        point["at"] = self.at.into();
        point["processor_us"] = us(self.processor).into();
        point["loaded_ms"] = self.loaded.map(ms).into();
        point
    }
}
