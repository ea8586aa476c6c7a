//! The promise behind a 2xx, against a disk that fails: power cuts, failed syncs and writes, full
//! disks, flipped bits. `LANDFALL_LONG=1` runs many more rounds of each.

mod backup;
mod disks;
mod files;
mod syncs;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use landfall_tests::{Node, event_id, landfall};
use serde_json::{Value, json};

const OPEN: &str = "\n[verify]\nscheme = \"none\"\n";

fn store(mode: &str) -> String {
    format!(
        "mode = \"{mode}\"\n{OPEN}[settings]\ntable = \"t\"\nfields = {{ n = \"/n\" }}\n[allow]\n\
         table = [\"t\"]\n[dedup]\nid = {{ header = \"Id\" }}\n"
    )
}

fn run(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(landfall());
    command
        .args(arguments)
        .arg("--data")
        .arg(data)
        .env("LANDFALL_LEDGER_RESERVE", "0B")
        .env_remove("RUST_BACKTRACE");
    command.output().expect("the binary starts")
}

/// Every event that the ledger in this directory knows; an error in words where it refuses.
fn listed(data: &Path) -> Result<Vec<Value>, String> {
    let output = run(&["events", "list", "--json", "--limit", "1000"], data);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The rows of table `t`: how often each `n` was stored.
async fn numbers(node: &Node) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for row in node.rows("store", "t").await {
        assert_eq!(row.get("damaged"), None, "{row}");
        *counts
            .entry(row["row"]["n"].as_u64().expect("a number"))
            .or_default() += 1;
    }
    counts
}

/// Posts numbers from `range` by several callers at once; those that were answered 2xx, with the id
/// of their event.
async fn load(
    node: &Arc<Node>,
    range: std::ops::Range<usize>,
    callers: usize,
) -> BTreeMap<usize, String> {
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (node, range) = (node.clone(), range.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in range.filter(|n| n % callers == caller) {
                    let body = json!({ "n": n, "filler": "x".repeat(n % 7 * 300) }).to_string();
                    if let Some(answer) = node
                        .try_post("/store", &[("id", &n.to_string())], body)
                        .await
                        && (200..300).contains(&answer.0)
                    {
                        acknowledged.push((n, event_id(&answer)));
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for task in tasks {
        all.extend(task.await.expect("a caller does not panic"));
    }
    all
}

async fn load_one(node: &Node, n: usize) -> u16 {
    node.post(
        "/store",
        &[("id", &n.to_string())],
        json!({ "n": n }).to_string(),
    )
    .await
    .0
}

/// As `numbers`, of more than one page.
async fn numbers_of_all(node: &Node) -> BTreeMap<u64, usize> {
    let (mut counts, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = node
            .ask(&format!("/api/v1/rows/store/t?limit=1000&after={after}"))
            .await;
        let rows = page.as_array().expect("a list");
        for row in rows {
            *counts
                .entry(row["row"]["n"].as_u64().expect("a number"))
                .or_default() += 1;
        }
        match rows.last() {
            Some(last) if rows.len() == 1000 => after = last["id"].as_i64().expect("an id"),
            _ => return counts,
        }
    }
}
