//! `/metrics` and docs/observability: values after known traffic, the table of metrics, and what promtool says of all of it.

mod files;
mod outbound;
mod scrape;
mod traffic;

use std::collections::BTreeMap;
use std::process::{Command, Output};

use landfall_tests::{require, root};

/// A metric of the table in docs/observability/README.md.
#[derive(Debug)]
struct Documented {
    kind: String,
    labels: Vec<String>,
}

/// The table of metrics, by name.
fn documented() -> BTreeMap<String, Documented> {
    let page = std::fs::read_to_string(root().join("docs/observability/README.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        let mut cells = rest.split('|').map(str::trim);
        let kind = cells.next()?.to_owned();
        let labels = cells.next()?.split(", ").map(|cell| cell.trim_matches('`'));
        let is_metric = ["counter", "gauge", "histogram"].contains(&kind.as_str());
        let labels = labels
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect();
        is_metric.then(|| (name.to_owned(), Documented { kind, labels }))
    })
    .collect()
}

/// `promtool …`; none where it is not installed.
fn promtool() -> Option<Command> {
    let is_there = Command::new("promtool").arg("--version").output().is_ok();
    if !is_there {
        require::missing("promtool (Debian: prometheus)");
    }
    is_there.then(|| Command::new("promtool"))
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}
