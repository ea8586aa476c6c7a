//! Hooks in mode `async`: their file, their pause, and how many of their events have ended.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::env::Admin;

/// The top of the file of a hook whose accepted events are answered with 200.
pub(crate) const HOOK_FILE: &str = "mode = \"async\"\naccepted.status = 200\n";
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// Lets the events of a hook wait.
pub(crate) async fn pause(admin: &Admin, hook: &str) -> anyhow::Result<()> {
    let (status, text) = admin.post(&format!("/api/v1/hooks/{hook}/pause")).await?;
    ensure!(status == 200, "the hook cannot be paused: {status} {text}");
    Ok(())
}

/// The number of successful attempts of a hook since the start of the node.
pub(crate) async fn ended_attempts(admin: &Admin, hook: &str) -> anyhow::Result<u64> {
    let (_, text) = admin.get("/metrics").await?;
    let name = format!("landfall_attempts_total{{hook=\"{hook}\",outcome=\"done\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&*name));
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// Returns when so many attempts of a hook have succeeded since the start of the node.
pub(crate) async fn wait_for_ended(admin: &Admin, hook: &str, count: u64) -> anyhow::Result<()> {
    let until = Instant::now() + DRAIN_TIMEOUT;
    while ended_attempts(admin, hook).await? < count {
        ensure!(
            Instant::now() < until,
            "the node has not run all events after {} s",
            DRAIN_TIMEOUT.as_secs()
        );
        tokio::time::sleep(DRAIN_INTERVAL).await;
    }

    Ok(())
}
