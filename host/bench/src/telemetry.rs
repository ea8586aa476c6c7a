//! `telemetry`: what log lines cost of the processor time of a request. Three nodes run the same
//! component in mode `sync`, alternating: one without lines, one with the lines of attempts, one
//! with the defaults. All count their metrics. The lines go to a file.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::env::{BenchEnv, LogSettings};
use crate::flags::RunFlags;
use crate::load;
use crate::report::round;
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);

/// The nodes. The first is what the others are compared with.
const NODES: [LogSettings; 3] = [
    LogSettings {
        name: "no lines",
        level: "error",
        requests: "none",
        lines: 0,
    },
    LogSettings {
        name: "attempts",
        level: "info",
        requests: "none",
        lines: 1,
    },
    LogSettings {
        name: "defaults",
        level: "info",
        requests: "all",
        lines: 2,
    },
];

struct Side {
    node: Server,
    /// Microseconds of processor time for each request, by round.
    micros: Vec<f64>,
    per_second: Vec<f64>,
}

pub(crate) async fn measure(flags: &RunFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let request = env.request();
    let mut sides = Vec::new();
    for settings in &NODES {
        let node = env.start_node_that_logs(settings).await?;
        load::run(node.address, &request, flags.connections, WARM_UP).await?;
        sides.push(Side {
            node,
            micros: Vec::new(),
            per_second: Vec::new(),
        });
    }

    // The servers take turns within each round, so that a ratio compares neighbours.
    for _ in 0..flags.rounds.max(1) {
        for (side, settings) in sides.iter_mut().zip(&NODES) {
            side.run(&env, settings, &request, flags).await?;
        }
    }

    let without = sides[0].micros.clone();
    let rows: Vec<Row> = sides
        .iter()
        .zip(&NODES)
        .map(|(side, settings)| Row {
            name: settings.name,
            micros: median(side.micros.iter().copied()),
            per_second: median(side.per_second.iter().copied()),
            ratio: median(
                side.micros
                    .iter()
                    .zip(&without)
                    .map(|(one, none)| one / none),
            ),
        })
        .collect();
    for side in sides {
        side.node.stop().await?;
    }

    if flags.json {
        let nodes: Vec<_> = rows.iter().map(Row::as_json).collect();
        let report = json!({
            "nodes": nodes,
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        });
        println!("{report}");
        return Ok(());
    }

    println!(
        "{:<10} {:>10} {:>14} {:>8}",
        "log", "requests/s", "CPU us/request", "ratio"
    );
    for row in rows {
        println!(
            "{:<10} {:>10.0} {:>14.2} {:>8.3}",
            row.name, row.per_second, row.micros, row.ratio
        );
    }
    Ok(())
}

/// The medians of one node.
struct Row {
    name: &'static str,
    micros: f64,
    per_second: f64,
    /// Its processor time by that of the node without lines.
    ratio: f64,
}

// === impl Row ===

impl Row {
    fn as_json(&self) -> serde_json::Value {
        json!({
            "log": self.name,
            "requests_per_second": self.per_second.round(),
            "processor_us": round(self.micros, 2),
            "ratio": round(self.ratio, 4),
        })
    }
}

// === impl Side ===

impl Side {
    async fn run(
        &mut self,
        env: &BenchEnv,
        settings: &LogSettings,
        request: &[u8],
        flags: &RunFlags,
    ) -> anyhow::Result<()> {
        let time = Duration::from_secs(flags.seconds);
        let (used, lines) = (self.node.processor_time(), env.logged_lines(settings)?);
        let measured = load::run(self.node.address, request, flags.connections, time).await?;
        let used = self.node.processor_time() - used;
        let lines = env.logged_lines(settings)? - lines;

        // An answer may arrive before its line, and a connection may end before its answer.
        let expected = measured.count() * settings.lines;
        let slack = 4 * flags.connections as u64;
        ensure!(
            lines.abs_diff(expected) <= slack,
            "the node wrote {lines} lines instead of {expected}"
        );
        self.micros
            .push(used.as_secs_f64() * 1e6 / measured.count() as f64);
        self.per_second.push(measured.per_second);
        Ok(())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
