//! `landfall events` and `landfall rows`: what a running node has kept, from its admin listener.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::erase::{self, EraseFlags};
use super::listing::{Columns, printable, query, text};
use super::operator::{self, DiscardFlags, PurgeFlags, ReplayFlags, RetryFlags};
use super::output::say;
use super::save::{self, SaveFlags};
use super::show::{self, ShowFlags};
use super::tail::{self, TailFlags};
use super::target::LedgerFlags;

/// Deliveries of one response.
const PAGE_MAX: usize = 1000;

/// What about events.
#[derive(Debug, Args)]
pub(super) struct EventsFlags {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    admin: LedgerFlags,
    /// Print JSON, one object in each line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List deliveries, newest first.
    List(ListFlags),
    /// Show one event: request, verification, attempts with outbound calls and log, effects, parent
    /// and children.
    Show(ShowFlags),
    /// Write an event as a test case: the request, the answers that its calls received, and what
    /// its last attempt did.
    Save(SaveFlags),
    /// Run events again: the given ones, or all dead ones of a hook that no later replay has
    /// handled.
    Replay(ReplayFlags),
    /// Give up dead or pending deliveries: they never run, and no longer count as dead. The reason
    /// is stored.
    Discard(DiscardFlags),
    /// Run pending deliveries now, without waiting for their next retry.
    RetryNow(RetryFlags),
    /// Remove everything of a hook that no longer exists: events, deliveries, rows and values.
    Purge(PurgeFlags),
    /// Remove what events contain: heads, bodies, calls, log lines, replies, and the rows and values
    /// that their handlers stored. The fact of each event stays.
    Erase(EraseFlags),
    /// Print a line for each change of a delivery until stopped: accepted, retry, deferred, done,
    /// dead, discarded. Follows the stream of a running node, and needs its admin listener.
    Tail(TailFlags),
    /// Count the deliveries of each hook in each state.
    Stats,
}

/// Filters and a page.
#[derive(Debug, Args)]
struct ListFlags {
    /// Only deliveries of this hook.
    #[arg(long)]
    hook: Option<String>,
    /// Only deliveries in this state: `waiting`, `pending`, `running`, `done`, `dead`, `resolved` (dead,
    /// and replayed since), `discarded`, `filtered` or `superseded`.
    #[arg(long)]
    state: Option<String>,
    /// Only events received at this time or later: 2026-01-31T08:15:30Z, or 1h for an hour ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only the delivery with this id of the provider.
    #[arg(long, value_name = "ID")]
    delivery_id: Option<String>,
    /// Only events of this type of the provider.
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// Only requests with this header, such as `X-GitHub-Event: push`.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Option<String>,
    /// Only events with this value in the JSON body, such as `/repository/name=landfall`.
    #[arg(long, value_name = "/POINTER=VALUE")]
    value: Option<String>,
    /// Only events with this text in the body.
    #[arg(long)]
    text: Option<String>,
    /// Only deliveries with this text in the reason of a retry or death.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only deliveries with an attempt of this outcome: done, retry, defer, reject, trap, timeout,
    /// out-of-memory, over-limit, bad-reply, host-fault, unread or unfinished.
    #[arg(long)]
    outcome: Option<String>,
    /// Only deliveries with an attempt that took at least this long, such as 2s.
    #[arg(long, value_name = "DURATION")]
    slower: Option<String>,
    /// The largest number of lines.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Continue after an earlier list, with the cursor from its last line.
    #[arg(long, value_name = "CURSOR")]
    after: Option<i64>,
}

/// What about hooks.
#[derive(Debug, Args)]
pub(super) struct HooksFlags {
    #[command(subcommand)]
    what: Option<WhatHooks>,
    #[command(flatten)]
    admin: LedgerFlags,
    /// Print JSON, one object in each line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum WhatHooks {
    /// Print the status of each hook. The default.
    List,
    /// Stop running a hook's events. In modes async and auto they are still accepted, and wait.
    Pause {
        /// The hook's name.
        hook: String,
    },
    /// Run the events of a paused hook again.
    Resume {
        /// The hook's name.
        hook: String,
    },
    /// Read the plugins directory and all secrets again, as SIGHUP does.
    Reload,
}

/// Runs `landfall hooks …`.
pub(super) async fn hooks(flags: &HooksFlags) -> anyhow::Result<ExitCode> {
    if let Some(WhatHooks::Reload) = &flags.what {
        let answer = flags.admin.ask("/api/v1/reload", Some(json!({}))).await?;
        if flags.json {
            say!("{answer}");
        } else {
            say!("the node reads its files and secrets again");
        }
        return Ok(ExitCode::SUCCESS);
    }

    let shown = match &flags.what {
        None | Some(WhatHooks::List | WhatHooks::Reload) => {
            flags.admin.ask("/api/v1/hooks", None).await?
        }
        Some(WhatHooks::Pause { hook }) => json!([flags
            .admin
            .ask(&order(hook, "pause"), Some(json!({})))
            .await?]),
        Some(WhatHooks::Resume { hook }) => json!([flags
            .admin
            .ask(&order(hook, "resume"), Some(json!({})))
            .await?]),
    };

    print(&shown, flags.json, |hook| {
        let waits = [
            ("paused", " paused"),
            ("failing", " failing: its events wait"),
        ];
        let waits: String = waits
            .iter()
            .filter(|(key, _)| hook[key] == true)
            .map(|(_, word)| *word)
            .collect();
        let problem = hook["problem"]
            .as_str()
            .map(|why| format!("  {}", printable(why)))
            .unwrap_or_default();
        let search = hook["reconcile"]["error"]
            .as_str()
            .map(|why| {
                format!(
                    "  the last search for missed deliveries: {}",
                    printable(why)
                )
            })
            .unwrap_or_default();
        let candidate = candidate(&hook["candidate"]);
        format!(
            "{:<24} {:<12} {}{waits}{candidate}{problem}{search}",
            text(&hook["name"]),
            text(&hook["state"]),
            text(&hook["path"])
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// How the candidate of a hook stands, if it has one.
fn candidate(summary: &Value) -> String {
    match summary["phase"].as_str() {
        None => String::new(),
        Some("none") => "  a promoted version serves".to_owned(),
        Some(phase) => format!("  candidate: {}", printable(phase)),
    }
}

fn order(hook: &str, word: &str) -> String {
    format!("/api/v1/hooks/{}/{word}", query(hook))
}

/// Runs `landfall events …`.
pub(super) async fn events(flags: &EventsFlags) -> anyhow::Result<ExitCode> {
    match &flags.what {
        What::List(which) => list(flags, which).await?,
        What::Show(which) => show::show(&flags.admin, which, flags.json).await?,
        What::Save(which) => save::save(&flags.admin, which, flags.json).await?,
        What::Replay(which) => operator::replay(&flags.admin, which, flags.json).await?,
        What::Discard(which) => operator::discard(&flags.admin, which, flags.json).await?,
        What::RetryNow(which) => operator::retry_now(&flags.admin, which, flags.json).await?,
        What::Purge(which) => operator::purge(&flags.admin, which, flags.json).await?,
        What::Erase(which) => erase::erase(&flags.admin, which, flags.json).await?,
        What::Tail(which) => tail::tail(&flags.admin, which, flags.json).await?,
        What::Stats => {
            let counts = flags.admin.ask("/api/v1/stats", None).await?;
            print(&counts, flags.json, |one| {
                let orphaned = if one["orphaned"] == true {
                    "  (no such hook)"
                } else {
                    ""
                };

                format!(
                    "{:<24} {:<8} {:>10}{orphaned}",
                    text(&one["hook"]),
                    text(&one["state"]),
                    one["deliveries"].to_string()
                )
            });
        }
    }

    Ok(ExitCode::SUCCESS)
}

async fn list(flags: &EventsFlags, which: &ListFlags) -> anyhow::Result<()> {
    let mut filters = String::new();
    let ListFlags {
        hook,
        state,
        since,
        until,
        delivery_id,
        r#type,
        header,
        value,
        text,
        reason,
        outcome,
        slower,
        ..
    } = which;
    for (name, wanted) in [
        ("hook", hook),
        ("state", state),
        ("since", since),
        ("until", until),
        ("delivery_id", delivery_id),
        ("type", r#type),
        ("header", header),
        ("value", value),
        ("text", text),
        ("reason", reason),
        ("outcome", outcome),
        ("slower", slower),
    ] {
        if let Some(wanted) = wanted {
            filters += &format!("&{name}={}", query(wanted));
        }
    }

    // A response may have fewer deliveries than were asked for, and a cursor.
    let (mut left, mut next, mut looked_at) = (which.limit, which.after, 0);
    let mut columns: Option<Columns> = None;
    loop {
        let before = next.map(|next| format!("&before={next}"));
        let before = before.unwrap_or_default();
        let limit = left.min(PAGE_MAX);
        let path = format!("/api/v1/events?limit={limit}{before}{filters}");
        let page = flags.admin.ask(&path, None).await?;
        let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
        progress("");
        if flags.json {
            events.iter().for_each(|one| say!("{one}"));
        } else {
            // The columns of later pages are at least as wide as those of the first.
            let is_first = columns.is_none();
            let widths = columns.unwrap_or_default().widened(events);
            if is_first {
                say!("{}", widths.header());
            }
            for one in events {
                say!("{}", widths.line(one));
            }
            columns = Some(widths);
        }

        left = left.saturating_sub(events.len());
        looked_at += page["scanned"].as_u64().unwrap_or(0);
        next = page["next"].as_i64();
        if left == 0 || next.is_none() {
            break;
        }

        let back_to = page["back_to"]
            .as_str()
            .map(|at| format!(", back to {}", printable(at)));
        progress(&format!(
            "{looked_at} deliveries looked at{}",
            back_to.unwrap_or_default()
        ));
    }

    if let Some(next) = next {
        let more = format!("more with --after {next}");
        if flags.json {
            eprintln!("{more}");
        } else {
            say!("{more}");
        }
    }

    Ok(())
}

/// Replaces the last line of a terminal.
fn progress(text: &str) {
    if stderr().is_terminal() {
        write!(stderr(), "\r{text}\x1b[K").ok();
    }
}

fn print(all: &Value, as_json: bool, line: impl Fn(&Value) -> String) {
    for one in all.as_array().into_iter().flatten() {
        say!("{}", if as_json { one.to_string() } else { line(one) });
    }
}
