//! `landfall candidate`: how the candidate of a hook stands, and the commands that promote it or roll
//! it back.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::listing::{printable, query, text};
use super::output::say;
use super::target::AdminFlags;

/// What about a candidate.
#[derive(Debug, Args)]
pub(super) struct CandidateFlags {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    admin: AdminFlags,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print how the candidate stands, what was counted of both versions, and the last decisions.
    Status {
        /// The hook's name.
        hook: String,
    },
    /// Make the candidate the serving version, also if it was rolled back.
    Promote {
        /// The hook's name.
        hook: String,
    },
    /// End the trial of the candidate; if none is tried, return to the version before the promoted
    /// one.
    Rollback {
        /// The hook's name.
        hook: String,
    },
}

/// Runs `landfall candidate …`.
pub(super) async fn candidate(flags: &CandidateFlags) -> anyhow::Result<ExitCode> {
    let (hook, word) = match &flags.what {
        What::Status { hook } => (hook, None),
        What::Promote { hook } => (hook, Some("promote")),
        What::Rollback { hook } => (hook, Some("rollback")),
    };
    let path = format!(
        "/api/v1/hooks/{}/{}",
        query(hook),
        word.unwrap_or("candidate")
    );
    let order = word.map(|_| json!({}));
    let report = flags.admin.ask(&path, order.as_ref()).await?;
    if flags.json {
        say!("{report}");
    } else {
        print(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Value) {
    say!("{}  {}", text(&report["hook"]), text(&report["phase"]));
    for (key, name) in [
        ("detail", "detail"),
        ("component", "file"),
        ("digest", "candidate"),
        ("serving", "serving"),
        ("previous", "previous"),
        ("since", "since"),
    ] {
        if let Some(value) = report[key].as_str() {
            say!("  {name:<10} {}", printable(value));
        }
    }

    if let Some(share) = report["share"].as_f64() {
        say!("  {:<10} {share} % of the events", "share");
    }
    if report["phase"] == "canary" {
        say!("  {:<10} {}", "candidate", runs(&report["candidate_runs"]));
        say!("  {:<10} {}", "serving", runs(&report["serving_runs"]));
    }
    print_shadow(&report["shadow"]);
    for decision in report["decisions"].as_array().into_iter().flatten() {
        let field = |key: &str| printable(decision[key].as_str().unwrap_or("-"));
        say!(
            "  {}  {} {} by {}: {}",
            field("at"),
            field("decision"),
            field("digest").chars().take(12).collect::<String>(),
            field("by"),
            field("reason")
        );
    }
}

fn runs(counted: &Value) -> String {
    let p99 = counted["p99_ms"].as_f64();
    let p99 = p99.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1} ms"));
    format!(
        "{} attempts, {} failed, p99 {p99}",
        counted["runs"], counted["failed"]
    )
}

fn print_shadow(shadow: &Value) {
    if shadow.is_null() {
        return;
    }

    say!(
        "  {:<10} {} runs, {} different, {} unanswered, {} too large, {} dropped",
        "shadow",
        shadow["runs"],
        shadow["different"],
        shadow["unanswered"],
        shadow["truncated"],
        shadow["dropped"]
    );
    for sample in shadow["samples"].as_array().into_iter().flatten() {
        let field = |key: &str| printable(sample[key].as_str().unwrap_or("-"));
        say!(
            "  {} {}: serving {}, candidate {} (event {})",
            field("kind"),
            field("place"),
            field("serving"),
            field("candidate"),
            field("event")
        );
    }
}
