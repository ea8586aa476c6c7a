//! `landfall events replay`, `discard`, `retry-now` and `purge`: page by page, with the count so
//! far on a terminal.

use std::io::{IsTerminal, Write, stderr, stdin};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Map, Value, json};

use super::listing::lines;
use super::output::say;
use super::target::LedgerFlags;

/// Events or deliveries of one request to the node.
const PAGE: usize = 500;

/// Events by id, or those of a hook.
#[derive(Debug, Args)]
struct Which {
    /// Ids of events, or the beginnings of ids.
    events: Vec<String>,
    /// All matching events of this hook instead, oldest first.
    #[arg(long, conflicts_with = "events")]
    hook: Option<String>,
    /// With `--hook`: only events received at this time or later: 2026-01-31T08:15:30Z, or 1h for
    /// an hour ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// With `--hook`: only events received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// With `--hook`: only this many, the oldest first.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Change nothing. Print the first deliveries and the count.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayFlags {
    #[command(flatten)]
    which: Which,
    /// With `--hook`: only deliveries in this state.
    #[arg(long, value_name = "STATE", default_value = "dead")]
    state: String,
    /// With `--hook`: only dead deliveries. The default.
    #[arg(long, conflicts_with = "state")]
    dead: bool,
    /// Also replay events that a later replay has handled, and discarded ones.
    #[arg(long)]
    again: bool,
    /// How many replays start in a second.
    #[arg(long, value_name = "COUNT", default_value_t = 100.0)]
    per_second: f64,
}

#[derive(Debug, Args)]
pub(super) struct DiscardFlags {
    #[command(flatten)]
    which: Which,
    /// Why they are discarded. The reason is stored with the deliveries.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// With `--hook`: only deliveries in this state: `dead` or `pending`.
    #[arg(long, value_name = "STATE", default_value = "dead")]
    state: String,
}

#[derive(Debug, Args)]
pub(super) struct RetryFlags {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
pub(super) struct PurgeFlags {
    /// The hook. It must have no hook file and no component.
    #[arg(long)]
    hook: String,
    /// Change nothing. Print what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Confirm the removal. Required if standard input is a terminal.
    #[arg(long)]
    yes: bool,
}

/// Runs `landfall events replay`.
pub(super) async fn replay(
    node: &LedgerFlags,
    flags: &ReplayFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    let ReplayFlags {
        which,
        state,
        again,
        per_second,
        dead: _,
    } = flags;
    let order = if which.hook.is_some() {
        json!({ "state": state, "again": again, "per_second": per_second })
    } else {
        json!({ "again": again, "per_second": per_second })
    };

    let sum = which
        .pages(node, "/api/v1/replay", order, "events", Some(*per_second))
        .await?;
    sum.print(as_json, || replayed(&sum, which.dry_run));
    let undecodable = sum.count("undecodable");
    ensure!(
        undecodable == 0,
        "{} of the broker could not be decoded, and no hook runs what cannot be decoded: have the sender send again, then give them \
         up with `landfall events discard --hook _queue --reason TEXT`",
        counted(undecodable, "message")
    );
    sum.known()
}

fn replayed(sum: &Sum, is_dry: bool) -> String {
    let would = if is_dry { " would be" } else { "" };
    let mut said = format!("{}{would} replayed", counted(sum.count("events"), "event"));
    for (key, what) in [
        ("orphaned", "of them wait until their hook exists"),
        ("waiting", "wait or run already"),
        ("repeated", "were replayed by another command meanwhile"),
        ("discarded", "are discarded and need --again"),
        ("erased", "are erased: nothing is left to run"),
    ] {
        let count = sum.count(key);
        if count > 0 || (key == "waiting" && !is_dry) {
            said += &format!(", {count} {what}");
        }
    }
    said
}

/// Runs `landfall events discard`.
pub(super) async fn discard(
    node: &LedgerFlags,
    flags: &DiscardFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    let order = if flags.which.hook.is_some() {
        json!({ "reason": flags.reason, "state": flags.state })
    } else {
        json!({ "reason": flags.reason })
    };

    step(
        node,
        &flags.which,
        "/api/v1/discard",
        order,
        ("discarded", "dead or pending"),
        as_json,
    )
    .await
}

/// Runs `landfall events retry-now`.
pub(super) async fn retry_now(
    node: &LedgerFlags,
    flags: &RetryFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    step(
        node,
        &flags.which,
        "/api/v1/retry-now",
        json!({}),
        ("due now", "waiting for a later time"),
        as_json,
    )
    .await
}

/// Sends a discard or retry-now page by page and prints the result.
async fn step(
    node: &LedgerFlags,
    which: &Which,
    path: &str,
    order: Value,
    (done, wanted): (&str, &str),
    as_json: bool,
) -> anyhow::Result<()> {
    let sum = which.pages(node, path, order, "deliveries", None).await?;
    let (deliveries, skipped) = (sum.count("deliveries"), sum.count("skipped"));
    sum.print(as_json, || {
        let would = if which.dry_run { " would be" } else { "" };
        let rest = if skipped > 0 {
            format!("; {skipped} left alone: not {wanted}")
        } else {
            String::new()
        };

        format!("{}{would} {done}{rest}", counted(deliveries, "delivery"))
    });
    sum.known()?;
    ensure!(
        which.events.is_empty() || deliveries > 0,
        "no delivery of these events is {wanted}"
    );
    Ok(())
}

/// Runs `landfall events purge`.
pub(super) async fn purge(
    node: &LedgerFlags,
    flags: &PurgeFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    let PurgeFlags { hook, dry_run, yes } = flags;
    let dry = node
        .ask(
            "/api/v1/purge",
            Some(json!({ "hook": hook, "dry_run": true })),
        )
        .await?;
    let mut sum = Sum::default();
    if *dry_run {
        sum.add(&dry);
    } else {
        let found = purged(&Sum::from(&dry), "would be removed");
        ensure!(
            *yes || !stdin().is_terminal(),
            "{found}: add --yes to remove them"
        );
        loop {
            let page = node
                .ask("/api/v1/purge", Some(json!({ "hook": hook })))
                .await?;
            sum.add(&page);
            sum.progress(
                &["deliveries", "identities", "rows", "values"],
                "things removed",
            );
            if page["done"] != false {
                break;
            }
        }
    }

    let are = if *dry_run {
        "would be removed"
    } else {
        "removed"
    };

    sum.print(as_json, || purged(&sum, are));
    let running = sum.count("running");
    ensure!(
        *dry_run || running == 0,
        "{} still running: repeat the command when they have ended",
        match running {
            1 => "1 delivery is".to_owned(),
            _ => format!("{running} deliveries are"),
        }
    );
    Ok(())
}

/// `1 event`, `2 events`, `2 deliveries`.
fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

fn purged(sum: &Sum, are: &str) -> String {
    let [deliveries, identities, rows, values] =
        ["deliveries", "identities", "rows", "values"].map(|key| sum.count(key));
    format!(
        "{} with their events, {}, {} and {} {are}",
        counted(deliveries, "delivery"),
        counted(identities, "identity"),
        counted(rows, "row"),
        counted(values, "value")
    )
}

// === impl Which ===

impl Which {
    /// Sends the request for each page in turn. With a rate, the replays of later pages are due
    /// later.
    async fn pages(
        &self,
        node: &LedgerFlags,
        path: &str,
        order: Value,
        noun: &str,
        per_second: Option<f64>,
    ) -> anyhow::Result<Sum> {
        ensure!(
            self.hook.is_some() || !self.events.is_empty(),
            "which events? Name them (`landfall events list` shows their ids), or name a hook with --hook NAME"
        );
        let mut sum = Sum::default();
        let mut order = order.as_object().cloned().unwrap_or_default();
        order.insert("dry_run".into(), self.dry_run.into());
        if self.hook.is_none() {
            for ids in self.events.chunks(PAGE) {
                order.insert("events".into(), json!(ids));
                sum.page(node, path, &mut order, noun, per_second).await?;
            }

            return Ok(sum);
        }

        for (key, value) in [
            ("hook", &self.hook),
            ("since", &self.since),
            ("until", &self.until),
        ] {
            order.insert(key.into(), json!(value));
        }
        loop {
            let left = self
                .limit
                .map_or(PAGE, |limit| limit.saturating_sub(sum.looked_at()));
            if left == 0 {
                return Ok(sum);
            }

            order.insert("limit".into(), left.min(PAGE).into());
            let page = sum.page(node, path, &mut order, noun, per_second).await?;
            if page["next"].is_null() {
                return Ok(sum);
            }

            order.insert("after".into(), page["next"].clone());
            order.insert("before".into(), page["before"].clone());
        }
    }
}

/// The sum of the responses: counts are added, lists are joined.
#[derive(Default)]
struct Sum(Map<String, Value>);

// === impl Sum ===

impl Sum {
    fn from(answer: &Value) -> Sum {
        let mut sum = Sum::default();
        sum.add(answer);
        sum
    }

    async fn page(
        &mut self,
        node: &LedgerFlags,
        path: &str,
        order: &mut Map<String, Value>,
        noun: &str,
        per_second: Option<f64>,
    ) -> anyhow::Result<Value> {
        if let Some(per_second) = per_second {
            let delay = self.count("events") as f64 / per_second * 1000.0;
            order.insert("delay_ms".into(), (delay as u64).into());
        }

        let asked = node.ask(path, Some(Value::Object(order.clone()))).await;
        let page = asked.with_context(|| self.so_far(noun))?;
        self.add(&page);
        self.progress(&[noun], noun);
        Ok(page)
    }

    fn add(&mut self, answer: &Value) {
        for (key, value) in answer.as_object().into_iter().flatten() {
            // The first page's list is enough.
            let is_shown = key == "shown" && self.0.contains_key("shown");
            if is_shown || ["next", "before", "done"].contains(&key.as_str()) {
                continue;
            }

            let sum = self.0.entry(key.clone()).or_insert(Value::Null);
            match (&mut *sum, value) {
                (Value::Number(before), Value::Number(more)) => {
                    *sum = (before.as_u64().unwrap_or(0) + more.as_u64().unwrap_or(0)).into();
                }
                (Value::Array(all), Value::Array(more)) => all.extend(more.iter().cloned()),
                (sum, value) => *sum = value.clone(),
            }
        }
    }

    /// What an operator must know when a later request fails.
    fn so_far(&self, noun: &str) -> String {
        let count = self.count(noun);
        format!(
            "stopped after {count} {noun}, and perhaps up to {PAGE} more: repeat the command to go on"
        )
    }

    fn count(&self, key: &str) -> u64 {
        self.0.get(key).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Number of events or deliveries that were examined, changed or not.
    fn looked_at(&self) -> usize {
        const KEYS: [&str; 8] = [
            "events",
            "deliveries",
            "waiting",
            "repeated",
            "discarded",
            "erased",
            "undecodable",
            "skipped",
        ];
        KEYS.iter().map(|key| self.count(key) as usize).sum()
    }

    /// The counts so far, on a terminal.
    fn progress(&self, keys: &[&str], noun: &str) {
        if stderr().is_terminal() {
            let count: u64 = keys.iter().map(|key| self.count(key)).sum();
            write!(stderr(), "\r{count} {noun} so far\x1b[K").ok();
        }
    }

    /// Prints one JSON object, or the deliveries of a dry run and a sentence.
    fn print(&self, as_json: bool, sentence: impl Fn() -> String) {
        if stderr().is_terminal() {
            write!(stderr(), "\r\x1b[K").ok();
        }

        if as_json {
            say!("{}", Value::Object(self.0.clone()));
            return;
        }

        let shown = self
            .0
            .get("shown")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        lines(shown).iter().for_each(|line| say!("{line}"));
        let count = self.count("events").max(self.count("deliveries")) as usize;
        if !shown.is_empty() && count > shown.len() {
            say!("… {} more", count - shown.len());
        }

        say!("{}", sentence());
    }

    fn known(&self) -> anyhow::Result<()> {
        let unknown = self
            .0
            .get("unknown")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        ensure!(
            unknown == 0,
            "{}: not known, or no body is kept",
            counted(unknown as u64, "event")
        );
        Ok(())
    }
}
