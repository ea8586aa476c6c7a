//! `landfall ready`: for health checks of containers that have no other program to ask with.

use std::process::ExitCode;

use clap::Args;

use super::output::say;
use super::target::AdminFlags;

/// Whom to ask.
#[derive(Debug, Args)]
pub struct ReadyFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// 0 if the node says that it is ready; else 1, and why on standard error.
pub async fn ready(flags: &ReadyFlags) -> anyhow::Result<ExitCode> {
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
