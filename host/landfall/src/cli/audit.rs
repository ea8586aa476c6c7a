//! `landfall audit`: the changes that operators made, as lines or as JSON lines.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::listing::{printable, query, text};
use super::output::say;
use super::target::LedgerFlags;

/// Entries of one response.
const PAGE_MAX: usize = 1000;

/// Which entries.
#[derive(Debug, Args)]
pub(super) struct AuditFlags {
    /// Only changes of this hook.
    #[arg(long)]
    hook: Option<String>,
    /// Only this kind of change: replay, discard, retry-now, purge, pause, resume, reload,
    /// reconcile; of the dashboard also send, start-job, cancel-job or form.
    #[arg(long, value_name = "WORD")]
    action: Option<String>,
    /// Only changes at this time or later: 2026-01-31T08:15:30Z, or 1h for an hour ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only changes before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The largest number of lines.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print all entries: for an export.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON, one object in each line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: LedgerFlags,
}

/// Runs `landfall audit`. Newest first.
pub(super) async fn audit(flags: &AuditFlags) -> anyhow::Result<ExitCode> {
    let filters: String = [
        ("hook", &flags.hook),
        ("action", &flags.action),
        ("since", &flags.since),
        ("until", &flags.until),
    ]
    .into_iter()
    .filter_map(|(name, wanted)| Some(format!("&{name}={}", query(wanted.as_deref()?))))
    .collect();

    let mut left = if flags.all { usize::MAX } else { flags.limit };
    let mut before = String::new();
    while left > 0 {
        let limit = left.min(PAGE_MAX);
        let path = format!("/api/v1/audit?limit={limit}{before}{filters}");
        let page = flags.admin.ask(&path, None).await?;
        let entries = page["entries"].as_array().map_or(&[][..], Vec::as_slice);
        for entry in entries {
            if flags.json {
                say!("{entry}");
            } else {
                say!("{}", line(entry));
            }
        }

        left = left.saturating_sub(entries.len());
        let Some(next) = page["next"].as_i64() else {
            break;
        };
        before = format!("&before={next}");
    }

    Ok(ExitCode::SUCCESS)
}

/// Time, who, what, and what came of it.
fn line(entry: &Value) -> String {
    let who = [&entry["role"], &entry["token"], &entry["address"]].map(text);
    let who: Vec<String> = who.into_iter().filter(|part| !part.is_empty()).collect();
    let result = match &entry["result"] {
        Value::Null => "no result is stored".to_owned(),
        result => match result["status"].as_u64() {
            Some(status) => match result["error"].as_str() {
                Some(why) if !why.is_empty() => {
                    format!("refused with {status}: {}", printable(why))
                }
                _ => format!("refused with {status}"),
            },
            None => printable(&result.to_string()),
        },
    };
    format!(
        "{}  {:<10} {:<20} {}  {}  {result}",
        text(&entry["at"]),
        text(&entry["action"]),
        entry["hook"]
            .as_str()
            .map_or_else(|| "-".to_owned(), printable),
        who.join(" "),
        printable(&entry["detail"].to_string()),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_say_who_and_what() {
        let entry = json!({
            "id": 1,
            "at": "2026-01-31T08:15:30.000Z",
            "role": "operate",
            "token": "0a1b2c3d",
            "address": "127.0.0.1",
            "action": "pause",
            "hook": "orders",
            "detail": { "paused": true },
            "result": { "status": 503 },
        });
        assert_eq!(
            line(&entry),
            "2026-01-31T08:15:30.000Z  pause      orders               operate 0a1b2c3d 127.0.0.1  {\"paused\":true}  refused with 503"
        );
        let mut with_reason = entry.clone();
        with_reason["result"]["error"] = json!("the ledger is full");
        assert!(line(&with_reason).ends_with("refused with 503: the ledger is full"));
        let local = json!({ "at": "t", "role": "local", "token": "", "address": null, "action": "replay", "detail": {} });
        assert!(line(&local).contains("local  {}  no result is stored"));
    }
}
