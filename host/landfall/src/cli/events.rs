//! `landfall events` and `landfall rows`: what a running node has kept, from its admin listener.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
    /// Run events again: these, or all dead ones of a hook.
    Replay {
        /// Their ids.
        events: Vec<String>,
        #[command(flatten)]
        which: ReplayFlags,
    },
    /// Follow deliveries as they come, in the state that they are in then, until stopped.
    Tail(Which),
    /// How many deliveries each hook has in each state.
    Stats,
}

#[derive(Debug, Args)]
struct ReplayFlags {
    /// All of this hook instead, up to 10,000.
    #[arg(long, conflicts_with = "events", required_unless_present = "events")]
    hook: Option<String>,
    /// With `--hook`: those in this state.
    #[arg(long, value_name = "STATE", default_value = "dead")]
    state: String,
    /// With `--hook`: received at this time or later, such as 2026-01-31T08:15:30Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// With `--hook`: received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// With `--hook`: the newest of those, so many at most.
    #[arg(long)]
    limit: Option<usize>,
    /// How many may begin in a second.
    #[arg(long, value_name = "COUNT", default_value_t = 100.0)]
    per_second: f64,
    /// Only say how many.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Args)]
struct Which {
    /// Only this hook.
    #[arg(long)]
    hook: Option<String>,
    /// Only `pending`, `running`, `done` or `dead`.
    #[arg(long)]
    state: Option<String>,
    /// Received at this time or later, such as 2026-01-31T08:15:30Z.
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
        What::Replay { events, which } => replay(flags, events, which).await?,
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

async fn replay(flags: &EventsFlags, events: &[String], which: &ReplayFlags) -> anyhow::Result<()> {
    let ReplayFlags { hook, state, since, until, limit, per_second, dry_run } = which;
    let order = match hook {
        Some(hook) => {
            json!({ "hook": hook, "state": state, "since": since, "until": until, "limit": limit,
                "per_second": per_second, "dry_run": dry_run })
        }
        None => json!({ "events": events, "per_second": per_second, "dry_run": dry_run }),
    };
    let answer = flags.admin.ask("/api/replay", Some(order)).await?;
    match (flags.json, dry_run) {
        (true, _) => say!("{answer}"),
        (_, true) => say!("{} events would be replayed", answer["events"]),
        _ => say!("{} events are replayed, {} wait or run already", answer["events"], answer["waiting"]),
    }
    let unknown = answer["unknown"].as_array().map_or(0, Vec::len);
    ensure!(unknown == 0, "{unknown} events are not known, or their bodies no longer kept");
    Ok(())
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

fn line(one: &Value) -> String {
    let reason = one["reason"].as_str().map(|why| format!("  {}", printable(why))).unwrap_or_default();
    let replayed = if one["replayed"] == true { " (replay)" } else { "" };
    let due = one["due_in_ms"].as_u64().filter(|due| *due > 0);
    let due = due.map(|due| format!(" in {}", humantime::format_duration(Duration::from_secs(due.div_ceil(1000)))));
    let count = |key: &str, noun: &str| match one[key].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("  {count} {noun}"),
    };
    let repeats = count("duplicates", "not run as duplicates") + &count("conflicts", "with this id and another body");
    format!(
        "{}  {}  {:<20} {}{} attempt {}{replayed}{repeats}{reason}",
        text(&one["received_at"]),
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
