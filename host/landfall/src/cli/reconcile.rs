//! `landfall reconcile`: brings the deliveries that a hook has missed, and prints what it found.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::listing::printable;
use super::output::say;
use super::target::{AdminFlags, NO_ADMIN};

/// Which hook, and what of it.
#[derive(Debug, Args)]
pub(super) struct ReconcileFlags {
    /// The hook. Its file has a table `[reconcile]`.
    hook: String,
    /// Look at everything that was sent since this time ago, such as 3d, at most 30d. Default: what
    /// no scheduled search has seen.
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Change nothing. Print what was missed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    admin: AdminFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How often the node is asked how far the search is.
const POLL: Duration = Duration::from_millis(300);

/// Starts a search, waits for its end, and prints its report. Exits with 1 if it ended early.
pub(super) async fn reconcile(flags: &ReconcileFlags) -> anyhow::Result<ExitCode> {
    let path = path(&flags.hook);
    let order = json!({ "since": flags.since, "dry_run": flags.dry_run });
    loop {
        let answer = flags.admin.ask(&path, Some(&order)).await?;
        if answer["started"] == true {
            break;
        }
        // A scheduled search is under way.
        ended(flags, &path).await?;
    }

    let report = ended(flags, &path).await?;
    if flags.json {
        say!("{report}");
    } else {
        print(&report);
    }
    Ok(match report["error"].as_str() {
        None => ExitCode::SUCCESS,
        Some(why) => {
            eprintln!("landfall: {}", printable(why));
            ExitCode::FAILURE
        }
    })
}

fn path(hook: &str) -> String {
    let hook = percent_encoding::utf8_percent_encode(hook, percent_encoding::NON_ALPHANUMERIC);
    format!("/api/v1/hooks/{hook}/reconcile")
}

/// The report of the running search at its end.
async fn ended(flags: &ReconcileFlags, path: &str) -> anyhow::Result<Value> {
    loop {
        let mut answer = flags.admin.ask(path, None).await?;
        let report = answer["report"].take();
        let running = report["running"].as_bool().context(NO_ADMIN)?;
        progress(&report, running);
        if !running {
            return Ok(report);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The counts so far, on a terminal.
fn progress(report: &Value, running: bool) {
    if !stderr().is_terminal() {
        return;
    }

    let text = match report["waits_until"].as_str() {
        _ if !running => String::new(),
        Some(until) => format!("waits for the rate limit of the API until {until}"),
        None => format!(
            "{} listed, {} missed so far",
            report["listed"], report["missed"]
        ),
    };
    write!(stderr(), "\r{}\x1b[K", printable(&text)).ok();
}

fn print(report: &Value) {
    let missed = report["deliveries"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for one in missed {
        let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let line = format!(
            "{}  {}  {}  {}  {}",
            text("at"),
            text("result"),
            text("type"),
            text("id"),
            text("event")
        );
        say!("{}", printable(&line));
    }

    let count = |key: &str| report[key].as_u64().unwrap_or(0);
    if count("missed") > missed.len() as u64 {
        say!("… {} more", count("missed") - missed.len() as u64);
    }
    let (since, until) = (&report["since"], &report["until"]);
    let window = format!(
        "{} to {}",
        since.as_str().unwrap_or("-"),
        until.as_str().unwrap_or("-")
    );
    let end = if report["dry_run"] == true {
        format!("{} missed, nothing was changed", count("missed"))
    } else {
        format!(
            "{} missed: {} accepted, {} skipped",
            count("missed"),
            count("accepted"),
            count("skipped")
        )
    };
    say!(
        "{window}: {} listed, {} known, {end}",
        count("listed"),
        count("known")
    );
    if report["more"] == true {
        say!("the list is longer than one search: repeat the command to go on");
    }
}
