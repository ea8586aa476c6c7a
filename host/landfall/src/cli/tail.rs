//! `landfall events tail`: a line for each change of state, as the node's stream of server-sent
//! events reports it.

use std::io::{Write, stderr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::listing::{Columns, query};
use super::output::{reader_gone, say};
use super::server_sent::{ServerSentEvent, ServerSentEvents};
use super::target::LedgerFlags;

/// The node sends a comment every 5 s: after this time without one, it is gone.
const QUIET_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct TailFlags {
    /// Only deliveries of this hook.
    #[arg(long)]
    hook: Option<String>,
    /// Only changes to this state: `pending`, `done`, `dead`, `discarded`, `filtered`, `superseded`.
    #[arg(long)]
    state: Option<String>,
}

/// Runs `landfall events tail`: until it is stopped, or the reader of its output is gone.
pub(super) async fn tail(
    node: &LedgerFlags,
    flags: &TailFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    tokio::select! {
        followed = follow(node, flags, as_json) => followed,
        () = reader_gone() => Ok(()),
    }
}

async fn follow(node: &LedgerFlags, flags: &TailFlags, as_json: bool) -> anyhow::Result<()> {
    let mut stream = node.follow(&flags.path()).await?;
    let mut events = ServerSentEvents::default();
    loop {
        match tokio::time::timeout(QUIET_MAX, stream.next()).await {
            Ok(Some(piece)) => events.push(&piece.context("the stream of the node broke off")?)?,
            Ok(None) => bail!(
                "the node has ended the stream: it was stopped, or the token is not valid any more"
            ),
            Err(_) => bail!("the node has sent nothing for {} s", QUIET_MAX.as_secs()),
        }
        while let Some(event) = events.next() {
            print(&event, as_json)?;
        }
    }
}

fn print(event: &ServerSentEvent, as_json: bool) -> anyhow::Result<()> {
    let mut data: Value =
        serde_json::from_str(&event.data).context("the stream of the node is not JSON")?;
    match event.name.as_str() {
        "open" => {}
        "missed" => {
            let changes = &data["changes"];
            writeln!(
                stderr(),
                "landfall: {changes} changes are not printed: the reader of the output was too slow"
            )
            .ok();
        }
        change => {
            let mut one = data["delivery"].take();
            one["change"] = change.into();
            if as_json {
                say!("{one}");
            } else {
                say!("{change:<9} {}", Columns::whole().line(&one));
            }
        }
    }
    Ok(())
}

// === impl TailFlags ===

impl TailFlags {
    fn path(&self) -> String {
        let parameters = [("hook", &self.hook), ("state", &self.state)];
        let parameters = parameters.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name}={}", query(value)))
        });
        let parameters: Vec<String> = parameters.collect();
        format!("/api/v1/tail?{}", parameters.join("&"))
    }
}
