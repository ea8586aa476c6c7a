//! `recording`: what recorded attempts cost of the processor time of a request in mode `sync`. Three
//! nodes run the same component, alternating: one records nothing, one has the default (only
//! failures), one records every attempt.

use std::time::Duration;

use serde_json::json;

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::load;
use crate::report::round;
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);

/// Names and tables of the hook files. The first is what the others are compared with.
const HOOKS: [(&str, &str); 3] = [
    ("off", "[record]\nfailures = false\n"),
    ("failures", ""),
    ("all", "[record]\nrate = 1.0\n"),
];

struct Side {
    name: &'static str,
    // It has the directory of the node.
    env: BenchEnv,
    node: Server,
    /// Microseconds of processor time for each request, by round.
    micros: Vec<f64>,
    per_second: Vec<f64>,
}

pub(crate) async fn measure(flags: &RunFlags) -> anyhow::Result<()> {
    let mut sides = Vec::new();
    for (name, table) in HOOKS {
        let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", table)?;
        let node = env.start_node().await?;
        load::run(node.address, &env.request(), flags.connections, WARM_UP).await?;
        sides.push(Side {
            name,
            env,
            node,
            micros: Vec::new(),
            per_second: Vec::new(),
        });
    }

    // The servers take turns within each round, so that a ratio compares neighbours.
    for _ in 0..flags.rounds.max(1) {
        for side in &mut sides {
            side.run(flags).await?;
        }
    }

    let without = sides[0].micros.clone();
    let mut rows = Vec::new();
    for side in sides {
        let ratios = side.micros.iter().zip(&without);
        rows.push(json!({
            "recorded": side.name,
            "requests_per_second": median(&side.per_second).round(),
            "processor_us": round(median(&side.micros), 2),
            "ratio": round(median(&ratios.map(|(one, none)| one / none).collect::<Vec<_>>()), 4),
        }));
        side.node.stop().await?;
    }

    if flags.json {
        let report = json!({
            "nodes": rows,
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        });
        println!("{report}");
        return Ok(());
    }
    println!(
        "{:<10} {:>10} {:>14} {:>8}",
        "recorded", "requests/s", "CPU us/request", "ratio"
    );
    for row in rows {
        println!(
            "{:<10} {:>10.0} {:>14.2} {:>8.3}",
            row["recorded"].as_str().unwrap_or_default(),
            row["requests_per_second"].as_f64().unwrap_or_default(),
            row["processor_us"].as_f64().unwrap_or_default(),
            row["ratio"].as_f64().unwrap_or_default()
        );
    }
    Ok(())
}

// === impl Side ===

impl Side {
    async fn run(&mut self, flags: &RunFlags) -> anyhow::Result<()> {
        let time = Duration::from_secs(flags.seconds);
        let (used, request) = (self.node.processor_time(), self.env.request());
        let measured = load::run(self.node.address, &request, flags.connections, time).await?;
        let used = self.node.processor_time() - used;
        self.micros
            .push(used.as_secs_f64() * 1e6 / measured.count() as f64);
        self.per_second.push(measured.per_second);
        Ok(())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
