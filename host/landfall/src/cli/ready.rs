//! `landfall ready`: a health check for containers without another HTTP client.

use std::process::ExitCode;

use clap::Args;

use super::output::say;
use super::target::AdminFlags;

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct ReadyFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Exits with 0 if the node is ready. Otherwise exits with 1 and prints the reason on standard
/// error.
pub(super) async fn ready(flags: &ReadyFlags) -> anyhow::Result<ExitCode> {
    let (status, text) = flags.admin.probe("/readyz").await?;
    if flags.json {
        say!(
            "{}",
            serde_json::json!({ "ready": status == 200, "status": status, "text": text.trim() })
        );
    }

    if status == 200 {
        return Ok(ExitCode::SUCCESS);
    }

    eprintln!("landfall: the node answers {status}: {}", text.trim());
    Ok(ExitCode::FAILURE)
}
