//! `landfall events tail`: a line for each change of state. It polls for new deliveries and for the
//! state of those that have not ended.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::Value;

use super::listing::{Columns, query};
use super::output::{reader_gone, say};
use super::target::LedgerFlags;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The most deliveries that are followed until they end, and that one request asks for.
const OPEN_MAX: usize = 10_000;
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(super) struct TailFlags {
    /// Only deliveries of this hook.
    #[arg(long)]
    hook: Option<String>,
    /// Only changes to this state: `pending`, `done`, `dead`, `discarded`.
    #[arg(long)]
    state: Option<String>,
}

/// State and attempt of the deliveries that have not ended, by delivery number.
#[derive(Default)]
struct Open(BTreeMap<i64, Seen>);

/// What the last poll saw of an open delivery.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: String,
    attempt: u64,
    deferrals: u64,
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
    ensure!(
        node.is_running(),
        "a stopped node has no new events: leave out --data, or use `list`"
    );
    let of_hook = flags
        .hook
        .as_ref()
        .map(|hook| format!("&hook={}", query(hook)))
        .unwrap_or_default();
    let newest = node.ask("/api/v1/events?limit=1", None).await?;
    let mut last = newest["events"][0]["delivery"].as_i64().unwrap_or(0);
    let mut open = Open::default();
    for state in ["pending", "running"] {
        let before = last + 1;
        let waiting = node
            .ask(
                &format!("/api/v1/events?state={state}&before={before}&limit=1000{of_hook}"),
                None,
            )
            .await?;
        each(&waiting, |one| {
            open.change(one);
        });
    }

    let print = |one: &Value, change: &str| {
        if flags
            .state
            .as_ref()
            .is_some_and(|state| one["state"] != state.as_str())
        {
            return;
        }
        let mut one = one.clone();
        one["change"] = change.into();
        if as_json {
            say!("{one}");
        } else {
            say!("{change:<9} {}", Columns::whole().line(&one));
        }
    };
    loop {
        let new = node
            .ask(
                &format!("/api/v1/events?after={last}&limit=1000{of_hook}"),
                None,
            )
            .await?;
        each(&new, |one| {
            last = one["delivery"].as_i64().unwrap_or(last);
            print(one, "accepted");
            if let Some(change) = open.change(one) {
                print(one, change);
            }
        });
        let numbers: Vec<i64> = open.0.keys().copied().collect();
        for page in numbers.chunks(PAGE) {
            let list = page
                .iter()
                .map(i64::to_string)
                .collect::<Vec<_>>()
                .join(",");
            let found = node
                .ask(
                    &format!("/api/v1/events?deliveries={list}&limit={PAGE}"),
                    None,
                )
                .await?;
            let mut gone: Vec<i64> = page.to_vec();
            each(&found, |one| {
                gone.retain(|number| one["delivery"] != *number);
                if let Some(change) = open.change(one) {
                    print(one, change);
                }
            });
            // A purge removed it, or it was handed to a broker.
            open.0.retain(|number, _| !gone.contains(number));
        }

        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Each delivery of a page.
fn each(page: &Value, act: impl FnMut(&Value)) {
    let events = page["events"].as_array();
    events.into_iter().flatten().for_each(act);
}

// === impl Open ===

impl Open {
    /// The change since the last poll, if it is one that is printed.
    fn change(&mut self, one: &Value) -> Option<&'static str> {
        let number = one["delivery"].as_i64()?;
        let seen = Seen {
            state: one["state"].as_str()?.to_owned(),
            attempt: one["attempt"].as_u64().unwrap_or(0),
            deferrals: one["deferrals"].as_u64().unwrap_or(0),
        };
        let before = match seen.state.as_str() {
            "pending" | "running" if self.0.len() < OPEN_MAX || self.0.contains_key(&number) => {
                self.0.insert(number, seen.clone())
            }
            _ => self.0.remove(&number),
        };

        let deferred_before = before.as_ref().map_or(0, |before| before.deferrals);
        match seen.state.as_str() {
            "pending" if seen.attempt == 0 || before.as_ref() == Some(&seen) => None,
            "pending" if seen.deferrals > deferred_before => Some("deferred"),
            "pending" => Some("retry"),
            "done" => Some("done"),
            "dead" => Some("dead"),
            "discarded" => Some("discarded"),
            "resolved" => Some("resolved"),
            _ => None,
        }
    }
}
