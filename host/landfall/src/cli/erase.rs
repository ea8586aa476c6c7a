//! `landfall events erase`: counts, asks for a confirmation, and removes what events contain at a
//! rate.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::listing::query;
use super::output::say;
use super::target::LedgerFlags;

/// Deliveries of one page of a search.
const PAGE: usize = 500;
/// Events of one request.
const CHUNK_MAX: usize = 100;
/// The most events of one command.
const EVENTS_MAX: usize = 100_000;

#[derive(Debug, Args)]
pub(super) struct EraseFlags {
    /// Ids of events, or the beginnings of ids.
    events: Vec<String>,
    /// The events that this search finds instead, as on the events page of the dashboard:
    /// 'hook:github json.user.id:42 since:30d'.
    #[arg(
        long = "where",
        value_name = "SEARCH",
        conflicts_with = "events",
        required_unless_present = "events"
    )]
    search: Option<String>,
    /// Also erase the events that their handlers emitted.
    #[arg(long)]
    children: bool,
    /// Change nothing. Print what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Confirm the removal. Required, because it cannot be undone.
    #[arg(long)]
    yes: bool,
    /// How many events are erased in a second.
    #[arg(long, value_name = "COUNT", default_value_t = 100.0)]
    per_second: f64,
}

/// Runs `landfall events erase`.
pub(super) async fn erase(
    node: &LedgerFlags,
    flags: &EraseFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    ensure!(
        flags.per_second.is_finite() && (0.1..=10_000.0).contains(&flags.per_second),
        "--per-second is out of range: 0.1 to 10000"
    );
    let ids = match &flags.search {
        Some(search) => found(node, search).await?,
        None => flags.events.clone(),
    };

    let is_dry = flags.dry_run || !flags.yes;
    let sum = all(node, flags, &ids, is_dry).await?;
    ensure!(
        !is_dry || flags.dry_run || sum.count("events") == 0,
        "{}. This cannot be undone: add --yes to erase them",
        sum.sentence("would be erased")
    );

    let are = if is_dry { "would be erased" } else { "erased" };
    sum.print(as_json, are)
}

/// The ids of the events that a search finds, newest first.
async fn found(node: &LedgerFlags, search: &str) -> anyhow::Result<Vec<String>> {
    let parameters = match landfall_dashboard::search_parameters(search) {
        Ok(parameters) => parameters,
        Err(problem) => bail!("--where: {problem}"),
    };
    ensure!(
        !parameters.is_empty(),
        "--where finds every event: name at least a hook, such as 'hook:github'"
    );
    let filters: String = parameters
        .iter()
        .map(|(name, value)| format!("&{name}={}", query(value)))
        .collect();

    let (mut ids, mut seen, mut before) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let cursor: String = before.map_or_else(String::new, |at: i64| format!("&before={at}"));
        let path = format!("/api/v1/events?limit={PAGE}{cursor}{filters}");
        let page = node.ask(&path, None).await?;
        for one in page["events"].as_array().into_iter().flatten() {
            let id = one["event"].as_str().unwrap_or_default();
            if seen.insert(id.to_owned()) {
                ids.push(id.to_owned());
            }
        }
        ensure!(
            ids.len() <= EVENTS_MAX,
            "the search finds more than {EVENTS_MAX} events: narrow it with since: and until:"
        );
        before = page["next"].as_i64();
        if before.is_none() {
            return Ok(ids);
        }
    }
}

/// Sends the events in chunks, at the rate of the flags.
async fn all(
    node: &LedgerFlags,
    flags: &EraseFlags,
    ids: &[String],
    dry_run: bool,
) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    let chunk = if dry_run {
        CHUNK_MAX
    } else {
        (flags.per_second as usize).clamp(1, CHUNK_MAX)
    };
    for (place, ids) in ids.chunks(chunk).enumerate() {
        if place > 0 && !dry_run {
            let pause = Duration::from_secs_f64(chunk as f64 / flags.per_second);
            tokio::time::sleep(pause).await;
        }

        let order = json!({ "events": ids, "children": flags.children, "dry_run": dry_run });
        let page = node.ask("/api/v1/erase", Some(order)).await;
        sum.add(&page.with_context(|| sum.so_far())?);
        if stderr().is_terminal() {
            write!(stderr(), "\r{} events so far\x1b[K", sum.count("events")).ok();
        }
    }

    if stderr().is_terminal() {
        write!(stderr(), "\r\x1b[K").ok();
    }
    Ok(sum)
}

/// `1 row`, `2 rows`.
fn noun(count: u64, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {one}{ending}")
}

/// The sum of the responses.
#[derive(Debug, Default)]
struct Sum {
    counts: [u64; COUNTS.len()],
    unknown: Vec<Value>,
    /// What the last response says of the files of the ledger.
    files: Value,
}

const COUNTS: [&str; 8] = [
    "events",
    "children",
    "children_left",
    "open",
    "before",
    "attempts",
    "rows",
    "values",
];

// === impl Sum ===

impl Sum {
    fn add(&mut self, page: &Value) {
        for (sum, name) in self.counts.iter_mut().zip(COUNTS) {
            *sum += page[name].as_u64().unwrap_or(0);
        }
        self.unknown
            .extend(page["unknown"].as_array().into_iter().flatten().cloned());
        self.files = page["files"].clone();
    }

    fn count(&self, name: &str) -> u64 {
        let place = COUNTS.iter().position(|known| *known == name);
        place.map_or(0, |place| self.counts[place])
    }

    /// What an operator must know when a later request fails.
    fn so_far(&self) -> String {
        format!(
            "stopped after {} events, and perhaps up to {CHUNK_MAX} more: repeat the command to go on",
            self.count("events")
        )
    }

    fn sentence(&self, are: &str) -> String {
        let mut said = format!(
            "{} with {}, {} and {} {are}",
            noun(self.count("events"), "event"),
            noun(self.count("attempts"), "attempt"),
            noun(self.count("rows"), "row"),
            noun(self.count("values"), "value")
        );
        for (name, what) in [
            ("children", "of them emitted by the others"),
            (
                "children_left",
                "emitted events stay (--children erases them too)",
            ),
            (
                "open",
                "left alone: pending or running (discard them first)",
            ),
            ("before", "erased before"),
        ] {
            let count = self.count(name);
            if count > 0 {
                said += &format!("; {count} {what}");
            }
        }
        said
    }

    fn print(&self, as_json: bool, are: &str) -> anyhow::Result<()> {
        if as_json {
            let counts = COUNTS.iter().zip(self.counts);
            let mut all: serde_json::Map<String, Value> = counts
                .map(|(name, count)| ((*name).to_owned(), count.into()))
                .collect();
            all.insert("unknown".to_owned(), self.unknown.clone().into());
            all.insert("files".to_owned(), self.files.clone());
            say!("{}", Value::Object(all));
        } else {
            say!("{}", self.sentence(are));
        }

        match self.files.as_str() {
            Some("busy") => eprintln!(
                "the log of the ledger still has what was removed, because a reader needs an old state: repeat the command"
            ),
            Some("database") => eprintln!(
                "PostgreSQL keeps removed rows until it vacuums: run VACUUM in the schema landfall, or wait for autovacuum"
            ),
            _ => {}
        }
        ensure!(
            self.unknown.is_empty(),
            "{} of the events: not known",
            self.unknown.len()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_said() {
        let mut sum = Sum::default();
        sum.add(&json!({ "events": 2, "rows": 1, "open": 3, "files": "busy" }));
        sum.add(&json!({ "events": 1, "children_left": 4, "unknown": ["a"], "files": "clean" }));
        assert_eq!(
            sum.sentence("erased"),
            "3 events with 0 attempts, 1 row and 0 values erased; 4 emitted events stay (--children erases them too); 3 left \
             alone: pending or running (discard them first)"
        );
        assert_eq!((sum.files.as_str(), sum.unknown.len()), (Some("clean"), 1));
    }
}
