//! `search`: how long the admin API takes to list and to search the deliveries of a large ledger.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::env::{Admin, BenchEnv, GithubSender};
use crate::flags::RunFlags;
use crate::load::{self, ANSWER_BYTES_MAX};
use crate::page;
use crate::report::ms;
use crate::server::Server;

const HOOK_FILE: &str = "component = \"bench.wasm\"\nmode = \"async\"\naccepted.status = 200\n";
const HOOK: &str = "busy";
/// The hook of the first events. No other event has its type and its text.
const QUIET_HOOK: &str = "quiet";
const QUIET_EVENTS: u64 = 10;
/// Events of probes, which are in the ledger before the others.
const PROBES_MAX: u64 = 100;
/// The endpoint whose filters are measured.
const LIST: &str = "/api/v1/events?";
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);
const DRAIN_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct SearchFlags {
    /// How many events the ledger has.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Keep the ledger in this directory. The next run adds only the events that are missing.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How often each query is sent, one after the other.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
}

/// One query, and its answers.
struct Row {
    query: String,
    p50: Duration,
    p99: Duration,
    max: Duration,
    /// Listed deliveries. `None`: the answer is no page of deliveries.
    found: Option<usize>,
    /// Examined deliveries.
    scanned: Option<u64>,
    /// Whether there may be more, on the next page.
    goes_on: bool,
}

pub(crate) async fn measure(flags: &RunFlags, search: &SearchFlags) -> anyhow::Result<()> {
    let mut env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    if let Some(data) = &search.data {
        env.keep_data_in(data)?;
    }
    env.add_github_hook(HOOK, HOOK_FILE)?;
    env.add_github_hook(QUIET_HOOK, HOOK_FILE)?;

    let (node, admin) = env.start_node_with_admin().await?;
    fill(flags, &env, &node, &admin, search.events).await?;
    let mut rows = Vec::new();
    for query in queries(&admin).await? {
        rows.push(Row::measure(&admin, query, search.repeats as usize).await?);
    }
    node.stop().await?;

    let table = table(&rows, search);
    page::publish(flags, "search", &table)?;
    if flags.json {
        let rows: Vec<Value> = rows.iter().map(Row::as_json).collect();
        println!("{}", json!({ "events": search.events, "queries": rows }));
    } else {
        print!("{table}");
    }
    Ok(())
}

/// Sends events until the ledger has this many, and waits until all are done.
async fn fill(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    admin: &Admin,
    events: u64,
) -> anyhow::Result<()> {
    for number in [0, QUIET_EVENTS] {
        load::wait_for_200(node.address, &event(&env.github_sender(), number)).await?;
    }

    let (present, _) = deliveries(admin).await?;
    let first = if present < PROBES_MAX { 0 } else { present };
    let next = Arc::new(AtomicU64::new(first));
    let senders: Vec<_> = (0..flags.connections)
        .map(|_| {
            let (sender, to) = (env.github_sender(), node.address);
            tokio::spawn(send_events(sender, to, next.clone(), events))
        })
        .collect();

    let reporter = tokio::spawn(report_progress(next, events));
    for sender in senders {
        sender.await.context("a connection panicked")??;
    }
    reporter.abort();
    wait_until_done(admin).await
}

async fn report_progress(next: Arc<AtomicU64>, events: u64) {
    loop {
        tokio::time::sleep(REPORT_INTERVAL).await;
        eprintln!("{} of {events} events", next.load(Ordering::Relaxed));
    }
}

async fn wait_until_done(admin: &Admin) -> anyhow::Result<()> {
    let until = Instant::now() + DRAIN_TIMEOUT;
    while deliveries(admin).await?.1 > 0 {
        ensure!(
            Instant::now() < until,
            "the node has not run all events after {} s",
            DRAIN_TIMEOUT.as_secs()
        );
        tokio::time::sleep(DRAIN_INTERVAL).await;
    }
    Ok(())
}

/// Takes the next number and sends its event, until all have been sent.
async fn send_events(
    sender: GithubSender,
    to: std::net::SocketAddr,
    next: Arc<AtomicU64>,
    end: u64,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return Ok(());
        }

        let request = event(&sender, number);
        let status = load::exchange(&mut stream, &request, &mut buffer).await?;
        ensure!(status == 200, "the node answered {status} instead of 200");
    }
}

/// The request of an event: about 1.1 kB. The same number is the same delivery.
fn event(sender: &GithubSender, number: u64) -> Vec<u8> {
    let is_quiet = number < QUIET_EVENTS;
    let (hook, event_type) = match number {
        _ if is_quiet => (QUIET_HOOK, "release"),
        _ if number.is_multiple_of(10) => (HOOK, "issues"),
        _ => (HOOK, "push"),
    };
    let text = if is_quiet { "needle" } else { "straw" };
    let body = json!({
        "number": number,
        "ref": format!("refs/heads/branch-{}", number % 100),
        "repository": { "id": 35129377, "full_name": "octo/site", "private": false },
        "head_commit": { "message": text, "author": { "name": "Mona" } },
        "padding": "x".repeat(400),
    });
    sender.request(hook, event_type, &delivery_id(number), &body.to_string())
}

fn delivery_id(number: u64) -> String {
    format!("72d3162e-cc78-11e3-81ab-{number:012x}")
}

/// The number of deliveries, and how many of them have not ended.
async fn deliveries(admin: &Admin) -> anyhow::Result<(u64, u64)> {
    let (status, text) = admin.get("/api/v1/stats").await?;
    ensure!(status == 200, "{status} {text}");
    let counts: Vec<Value> = serde_json::from_str(&text)?;
    let sum = |is_counted: &dyn Fn(&str) -> bool| {
        let counted = counts
            .iter()
            .filter(|count| count["state"].as_str().is_some_and(is_counted));
        counted
            .filter_map(|count| count["deliveries"].as_u64())
            .sum()
    };
    Ok((
        sum(&|_| true),
        sum(&|state| matches!(state, "pending" | "running")),
    ))
}

/// What is asked: first the columns of the ledger, then what is in events and attempts.
async fn queries(admin: &Admin) -> anyhow::Result<Vec<String>> {
    let (_, text) = admin.get("/api/v1/events?limit=1").await?;
    let newest: Value = serde_json::from_str(&text)?;
    let newest = &newest["events"][0];
    let event = newest["event"].as_str().context("no delivery is listed")?;
    let newest = newest["delivery"]
        .as_i64()
        .context("a delivery has no number")?;

    let mut queries: Vec<String> = [
        "",
        "hook=busy",
        "hook=quiet",
        "state=done",
        "state=dead",
        "state=pending",
        "hook=busy&state=dead",
        "since=1h",
        "since=30d&until=7d",
        "hook=quiet&since=30d",
        "type=push",
        "type=release",
        "hook=quiet&type=release",
        "type=absent",
        "text=straw",
        "text=needle",
        "header=X-GitHub-Event:issues",
        "header=X-GitHub-Event:release",
        "value=/number=5",
        "reason=absent",
        "outcome=trap",
        "slower=10s",
    ]
    .iter()
    .map(|filter| format!("{LIST}{filter}"))
    .collect();
    queries.push(format!("{LIST}before={}&limit=1000", newest / 2));
    queries.push(format!("{LIST}after={}&limit=1000", newest / 2));
    queries.push(format!("{LIST}deliveries={},{newest}", newest / 2));
    for number in [QUIET_EVENTS, newest.unsigned_abs() / 2] {
        queries.push(format!("{LIST}delivery_id={}", delivery_id(number)));
    }
    queries.push(format!("/api/v1/events/{event}"));
    queries.extend(
        [
            "/api/v1/hooks?queue=true",
            "/api/v1/stats",
            "/api/v1/stats/activity?since=1h",
        ]
        .map(str::to_owned),
    );
    Ok(queries)
}

fn table(rows: &[Row], search: &SearchFlags) -> String {
    let mut text =
        "| query | p50 | p99 | max | listed | examined | whole |\n|---|--:|--:|--:|--:|--:|---|\n"
            .to_owned();
    for row in rows {
        text.push_str(&row.row());
    }
    let (events, repeats) = (search.events, search.repeats);
    text.push_str(&format!(
        "\nThe ledger had {events} events. Each query was sent {repeats} times.\n"
    ));
    text
}

// === impl Row ===

impl Row {
    async fn measure(admin: &Admin, query: String, repeats: usize) -> anyhow::Result<Row> {
        let (mut times, mut last) = (Vec::new(), Value::Null);
        for _ in 0..repeats {
            let sent = Instant::now();
            let (status, text) = admin.get(&query).await?;
            times.push(sent.elapsed());
            ensure!(status == 200, "{query}: {status} {text}");
            last = serde_json::from_str(&text)?;
        }

        times.sort_unstable();
        Ok(Row {
            query,
            p50: times[repeats / 2],
            p99: times[(repeats * 99 / 100).min(repeats - 1)],
            max: times[repeats - 1],
            found: last["events"].as_array().map(Vec::len),
            scanned: last["scanned"].as_u64(),
            goes_on: !last["next"].is_null(),
        })
    }

    fn row(&self) -> String {
        let name = match self.query.strip_prefix(LIST) {
            Some("") => "no parameter".to_owned(),
            Some(filter) => format!("`{filter}`"),
            None => format!("`GET {}`", self.query),
        };
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let whole = match (self.found, self.goes_on) {
            (None, _) => "",
            (Some(_), true) => "no",
            (Some(_), false) => "yes",
        };
        format!(
            "| {name} | {:.2} ms | {:.2} ms | {:.2} ms | {} | {} | {whole} |\n",
            ms(self.p50),
            ms(self.p99),
            ms(self.max),
            number(self.found.map(|found| found as u64)),
            number(self.scanned),
        )
    }

    fn as_json(&self) -> Value {
        json!({
            "query": self.query,
            "p50_ms": ms(self.p50),
            "p99_ms": ms(self.p99),
            "max_ms": ms(self.max),
            "found": self.found,
            "examined": self.scanned,
            "goes_on": self.goes_on,
        })
    }
}
