//! `landfall events` and `landfall rows`: what a running node has kept, from its admin listener.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::operator::{self, DiscardFlags, PurgeFlags, ReplayFlags, RetryFlags};
use super::output::say;
use super::target::LedgerFlags;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What about events.
#[derive(Debug, Args)]
pub struct EventsFlags {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    admin: LedgerFlags,
    /// JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Deliveries, newest first.
    List(Which),
    /// One event: request, deliveries, attempts with their log.
    Show {
        /// Its id.
        event: String,
    },
    /// Run events again: these, or all dead ones of a hook that no later replay has handled.
    Replay(ReplayFlags),
    /// Never run these dead or pending deliveries: their reason is kept, and they no longer count as dead.
    Discard(DiscardFlags),
    /// Let pending deliveries run now, and not when their pause is over.
    RetryNow(RetryFlags),
    /// Remove all that a hook has left whose hook file and component are gone: events, deliveries, rows and values.
    Purge(PurgeFlags),
    /// Follow deliveries as they come, in the state that they are in then, until stopped.
    Tail(Which),
    /// How many deliveries each hook has in each state.
    Stats,
}

#[derive(Debug, Clone, Args)]
struct Which {
    /// Only this hook.
    #[arg(long)]
    hook: Option<String>,
    /// Only `pending`, `running`, `done`, `dead`, `resolved` (dead, and handled since) or `discarded`.
    #[arg(long)]
    state: Option<String>,
    /// Received at this time or later, such as 2026-01-31T08:15:30Z, or 1h for an hour ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// What about hooks.
#[derive(Debug, Args)]
pub struct HooksFlags {
    #[command(subcommand)]
    what: Option<WhatHooks>,
    #[command(flatten)]
    admin: LedgerFlags,
    /// JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum WhatHooks {
    /// How each stands; the same as without a word.
    List,
    /// Accept the events of a hook in modes async and auto, and let them wait.
    Pause {
        /// Its name.
        hook: String,
    },
    /// Run them again.
    Resume {
        /// Its name.
        hook: String,
    },
}

/// Runs `landfall hooks …`.
pub async fn hooks(flags: &HooksFlags) -> anyhow::Result<ExitCode> {
    let shown = match &flags.what {
        None | Some(WhatHooks::List) => flags.admin.ask("/api/hooks", None).await?,
        Some(WhatHooks::Pause { hook }) => json!([flags.admin.ask(&order(hook, "pause"), Some(json!({}))).await?]),
        Some(WhatHooks::Resume { hook }) => json!([flags.admin.ask(&order(hook, "resume"), Some(json!({}))).await?]),
    };
    print(&shown, flags.json, |hook| {
        let waits = [("paused", " paused"), ("failing", " failing: its events wait")];
        let waits: String = waits.iter().filter(|(key, _)| hook[key] == true).map(|(_, word)| *word).collect();
        let problem = hook["problem"].as_str().map(|why| format!("  {}", printable(why))).unwrap_or_default();
        format!("{:<24} {:<12} {}{waits}{problem}", text(&hook["name"]), text(&hook["state"]), text(&hook["path"]))
    });
    Ok(ExitCode::SUCCESS)
}

fn order(hook: &str, word: &str) -> String {
    format!("/api/hooks/{}/{word}", query(hook))
}

/// Runs `landfall events …`.
pub async fn events(flags: &EventsFlags) -> anyhow::Result<ExitCode> {
    match &flags.what {
        What::List(which) => {
            let listed = flags.admin.ask(&path(which, None), None).await?;
            print(&listed, flags.json, line);
        }
        What::Show { event } => show(flags, event).await?,
        What::Replay(which) => operator::replay(&flags.admin, which, flags.json).await?,
        What::Discard(which) => operator::discard(&flags.admin, which, flags.json).await?,
        What::RetryNow(which) => operator::retry_now(&flags.admin, which, flags.json).await?,
        What::Purge(which) => operator::purge(&flags.admin, which, flags.json).await?,
        What::Tail(which) => tail(flags, which).await?,
        What::Stats => {
            let counts = flags.admin.ask("/api/stats", None).await?;
            print(&counts, flags.json, |one| {
                let orphaned = if one["orphaned"] == true { "  (no such hook)" } else { "" };
                format!("{:<24} {:<8} {:>10}{orphaned}", text(&one["hook"]), text(&one["state"]), one["deliveries"])
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(flags: &EventsFlags, event: &str) -> anyhow::Result<()> {
    let shown = flags.admin.ask(&format!("/api/events/{}", query(event)), None).await?;
    match flags.json {
        true => say!("{shown}"),
        false => say!("{shown:#}"),
    }
    Ok(())
}

async fn tail(flags: &EventsFlags, which: &Which) -> anyhow::Result<()> {
    ensure!(flags.admin.is_running(), "nothing comes to a node that is not running: leave out --data, or use `list`");
    let newest = Which { limit: 1, ..which.clone() };
    let first = flags.admin.ask(&path(&newest, None), None).await?;
    let mut after = first[0]["delivery"].as_i64().unwrap_or(0);
    loop {
        let listed = flags.admin.ask(&path(which, Some(after)), None).await?;
        print(&listed, flags.json, line);
        after = listed.as_array().and_then(|all| all.last()?["delivery"].as_i64()).unwrap_or(after);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn path(which: &Which, after: Option<i64>) -> String {
    let mut path = format!("/api/events?limit={}", which.limit);
    let Which { hook, state, since, until, .. } = which;
    for (name, value) in [("hook", hook), ("state", state), ("since", since), ("until", until)] {
        if let Some(value) = value {
            path += &format!("&{name}={}", query(value));
        }
    }
    after.map_or(path.clone(), |after| format!("{path}&after={after}"))
}

/// For a path or a query.
pub fn query(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn print(all: &Value, as_json: bool, line: impl Fn(&Value) -> String) {
    for one in all.as_array().into_iter().flatten() {
        say!("{}", if as_json { one.to_string() } else { line(one) });
    }
}

pub fn line(one: &Value) -> String {
    let reason = one["reason"].as_str().map(|why| format!("  {}", printable(why))).unwrap_or_default();
    let replayed = match one["replay_of"].as_i64() {
        Some(first) => format!(" (replay of {first})"),
        None if one["replayed"] == true => " (replay)".into(),
        None => String::new(),
    };
    let resolved = one["resolved_by"].as_i64().map(|by| format!(" by {by}")).unwrap_or_default();
    let discarded = one["discarded"].as_str().map(|why| format!("  discarded: {}", printable(why))).unwrap_or_default();
    let due = one["due_in_ms"].as_u64().filter(|due| *due > 0);
    let due = due.map(|due| format!(" in {}", humantime::format_duration(Duration::from_secs(due.div_ceil(1000)))));
    let count = |key: &str, noun: &str| match one[key].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("  {count} {noun}"),
    };
    let repeats = count("duplicates", "not run as duplicates") + &count("conflicts", "with this id and another body");
    format!(
        "{}  {:>6}  {}  {:<20} {}{resolved}{} attempt {}{replayed}{repeats}{reason}{discarded}",
        text(&one["received_at"]),
        one["delivery"],
        text(&one["event"]),
        text(&one["hook"]),
        text(&one["state"]),
        due.unwrap_or_default(),
        one["attempt"]
    )
}

fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

/// Without what could move a terminal's cursor. Quotes stay: people paste what they read.
fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_debug().collect() } else { String::from(c) };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_and_control_characters_go() {
        assert_eq!(
            printable("write public_url = \"https://é\"\u{1b}[2J"),
            "write public_url = \"https://é\"\\u{1b}[2J"
        );
    }
}
