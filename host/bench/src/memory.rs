//! `memory`: the resident memory of a node without requests, by the number of hooks. Each hook has a
//! component of its own, which the node has compiled before it was started.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::page;
use crate::report::round;

/// From the last answer to the reading.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct MemoryFlags {
    /// How many hooks the node has, in rising order.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 60])]
    hooks: Vec<usize>,
}

struct Row {
    hooks: usize,
    resident: Resident,
}

/// The resident memory of a node.
struct Resident {
    kib: u64,
    /// Of it the memory that the node has written. The rest are pages of its files, which the
    /// system can drop.
    anonymous_kib: u64,
}

pub(crate) async fn measure(flags: &RunFlags, memory: &MemoryFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let (mut rows, mut present) = (Vec::new(), 1);
    let mut requests = vec![env.request()];
    for hooks in &memory.hooks {
        for number in present..*hooks {
            let name = format!("own{number}");
            let number = u32::try_from(number)?;
            let component = env.another_component(&name, &env.bench_component(), number)?;
            env.add_component(&name, &component)?;
            env.add_signed_hook(&name, "mode = \"sync\"\n", "")?;
            requests.push(env.request_to(&name, "{}"));
        }
        present = present.max(*hooks);
        rows.push(Row {
            hooks: present,
            resident: resident(&env, &requests).await?,
        });
    }

    let mut table = "| hooks | resident memory | without pages of files | each further hook |\n|--:|--:|--:|--:|\n"
        .to_owned();
    for (number, row) in rows.iter().enumerate() {
        table.push_str(&row.row(number.checked_sub(1).map(|before| &rows[before])));
    }
    page::publish(flags, "memory", &table)?;
    if flags.json {
        let rows: Vec<Value> = rows.iter().map(Row::as_json).collect();
        println!("{}", json!({ "rows": rows }));
    } else {
        print!("{table}");
    }

    Ok(())
}

/// Of a node that has compiled nothing itself, after each hook has answered once.
async fn resident(env: &BenchEnv, requests: &[Vec<u8>]) -> anyhow::Result<Resident> {
    let (compiles, _) = env.start_node_with_admin_that_answers(requests).await?;
    compiles.stop().await?;

    let (node, _) = env.start_node_with_admin_that_answers(requests).await?;
    tokio::time::sleep(SETTLE).await;
    let resident = Resident {
        kib: node.resident_kib(),
        anonymous_kib: node.anonymous_kib(),
    };
    node.stop().await?;
    Ok(resident)
}

// === impl Row ===

impl Row {
    fn row(&self, before: Option<&Row>) -> String {
        let each = before
            .filter(|before| before.hooks < self.hooks)
            .map(|before| {
                let added = self.resident.kib.saturating_sub(before.resident.kib);
                format!(
                    "{:.0} KiB",
                    added as f64 / (self.hooks - before.hooks) as f64
                )
            });
        format!(
            "| {} | {:.1} MiB | {:.1} MiB | {} |\n",
            self.hooks,
            mib(self.resident.kib),
            mib(self.resident.anonymous_kib),
            each.unwrap_or_default()
        )
    }

    fn as_json(&self) -> Value {
        json!({
            "hooks": self.hooks,
            "resident_mib": mib(self.resident.kib),
            "anonymous_mib": mib(self.resident.anonymous_kib),
        })
    }
}

fn mib(kib: u64) -> f64 {
    round(kib as f64 / 1024.0, 1)
}
