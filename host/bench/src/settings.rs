//! `settings`: what recorded attempts, shapes and encryption cost of the processor time of a
//! request in mode `sync`. Nodes with different settings run the same component, alternating; the
//! first has everything switched off.

use std::time::Duration;

use serde_json::{Value, json};

use crate::env::{BenchEnv, Variables};
use crate::flags::RunFlags;
use crate::load;
use crate::page;
use crate::report::round;
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);
/// 32 bytes in base64.
const KEY: (&str, &str) = (
    "BENCH_LEDGER_KEY",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
);
const ENCRYPTED: Variables = &[
    KEY,
    ("LANDFALL_LEDGER_ENCRYPTION_KEYS", "env:BENCH_LEDGER_KEY"),
];
/// The node looks more often than by default, so that each run has some looks.
const LEARNING: Variables = &[("LANDFALL_SHAPE_INTERVAL", "1s")];

const UNRECORDED: &str = "[record]\nfailures = false\n";
const UNLEARNED: &str = "[shape]\nlearn = false\n";
/// The shape is known after the first events, as that of a hook that has run for days.
const LEARNED: &str = "[shape]\nmin_events = 100\nmin_time = \"0s\"\n";

/// The nodes. The first is what the others are compared with.
const NODES: [Settings; 6] = [
    Settings {
        name: "nothing",
        tables: &[UNRECORDED, UNLEARNED],
        variables: &[],
    },
    Settings {
        name: "recordings of failures",
        tables: &[UNLEARNED],
        variables: &[],
    },
    Settings {
        name: "recordings of all",
        tables: &["[record]\nrate = 1.0\n", UNLEARNED],
        variables: &[],
    },
    Settings {
        name: "shapes",
        tables: &[UNRECORDED, LEARNED],
        variables: LEARNING,
    },
    Settings {
        name: "encryption",
        tables: &[UNRECORDED, UNLEARNED],
        variables: ENCRYPTED,
    },
    Settings {
        name: "defaults",
        tables: &[],
        variables: &[],
    },
];

/// What is different on one node.
struct Settings {
    /// What is switched on.
    name: &'static str,
    /// Tables of the hook file.
    tables: &'static [&'static str],
    /// Environment variables.
    variables: Variables,
}

struct Side {
    name: &'static str,
    // It has the directory of the node.
    env: BenchEnv,
    node: Server,
    /// Microseconds of processor time for each request, by round.
    micros: Vec<f64>,
    per_second: Vec<f64>,
}

/// The medians of one node.
struct Row {
    name: &'static str,
    per_second: f64,
    micros: f64,
    /// Its processor time by that of the first node.
    ratio: f64,
}

pub(crate) async fn measure(flags: &RunFlags) -> anyhow::Result<()> {
    let mut sides = Vec::new();
    for settings in NODES {
        let tables = settings.tables.concat();
        let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", &tables)?;
        let env = env.with_variables(settings.variables);
        let node = env.start_node().await?;
        load::run(node.address, &env.request(), flags.connections, WARM_UP).await?;
        sides.push(Side {
            name: settings.name,
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
    let rows: Vec<Row> = sides.iter().map(|side| side.row(&without)).collect();
    for side in sides {
        side.node.stop().await?;
    }

    let mut table =
        "| switched on | requests/s | processor time of a request | ratio |\n|---|--:|--:|--:|\n"
            .to_owned();
    for row in &rows {
        table.push_str(&row.row());
    }
    page::publish(flags, "settings", &table)?;
    if flags.json {
        let nodes: Vec<Value> = rows.iter().map(Row::as_json).collect();
        let report = json!({
            "nodes": nodes,
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        });
        println!("{report}");
    } else {
        print!("{table}");
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

    fn row(&self, without: &[f64]) -> Row {
        let ratios = self.micros.iter().zip(without);
        let ratios: Vec<f64> = ratios.map(|(one, none)| one / none).collect();
        Row {
            name: self.name,
            per_second: median(&self.per_second),
            micros: median(&self.micros),
            ratio: median(&ratios),
        }
    }
}

// === impl Row ===

impl Row {
    fn row(&self) -> String {
        format!(
            "| {} | {:.0} | {:.2} µs | {:.3} |\n",
            self.name, self.per_second, self.micros, self.ratio
        )
    }

    fn as_json(&self) -> Value {
        json!({
            "on": self.name,
            "requests_per_second": self.per_second.round(),
            "processor_us": round(self.micros, 2),
            "ratio": round(self.ratio, 4),
        })
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
