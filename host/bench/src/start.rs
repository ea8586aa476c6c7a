//! `start`: the time from the start of the process to its first 200, by the number of hooks.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::page;
use crate::report::ms;

#[derive(Debug, Args)]
pub(crate) struct StartFlags {
    /// How many hooks the node has, in rising order. All run one component.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 500])]
    hooks: Vec<usize>,
}

struct Row {
    hooks: usize,
    first_200: Duration,
}

pub(crate) async fn measure(flags: &RunFlags, start: &StartFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let mut rows = Vec::new();
    let mut present = 1;
    for hooks in &start.hooks {
        env.add_further_hooks(present, *hooks)?;
        present = present.max(*hooks);
        // Compiles the component.
        env.start_node().await?.stop().await?;
        rows.push(Row {
            hooks: present,
            first_200: env.time_to_first_200().await?,
        });
    }

    let mut table =
        "| hooks | from the start of the process to the first 200 |\n|--:|--:|\n".to_owned();
    table.extend(rows.iter().map(Row::row));
    page::publish(flags, "start", &table)?;
    if flags.json {
        let rows: Vec<Value> = rows.iter().map(Row::as_json).collect();
        println!("{}", json!({ "rows": rows }));
    } else {
        print!("{table}");
    }

    Ok(())
}

// === impl Row ===

impl Row {
    fn row(&self) -> String {
        format!("| {} | {:.0} ms |\n", self.hooks, ms(self.first_200))
    }

    fn as_json(&self) -> Value {
        json!({ "hooks": self.hooks, "start_to_first_200_ms": ms(self.first_200) })
    }
}
