//! The retention that the nodes of a shared ledger agree on. Each node announces what its settings
//! and hook files say, and removes only what every announcement allows: the files of another node
//! may be newer, and what is removed does not come back. The key of an announcement is the process.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Object;
use serde::{Deserialize, Serialize};
use tokio_postgres::Error;

use super::Postgres;
use super::query::{Cached, millis};
use crate::error::LedgerError;
use crate::traits::Notes;
use landfall_model::{HookRetention, HookRetentions, Retention};

/// The name under which announcements are stored.
const OWNER: &str = "_retention";
/// How long an announcement holds after its last repetition, if the node is killed,
const HOLDS: Duration = Duration::from_secs(86_400);
/// and if it stops, so that it has time to start again.
const HOLDS_STOPPED: Duration = Duration::from_secs(600);
/// The most different announcements. If there are more, nothing is removed by age.
const ANNOUNCEMENTS_MAX: usize = 200;
/// The most nodes: a node that is killed and started again counts as another one.
const NODES_MAX: i64 = 10_000;

/// What one node says of every hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announcement {
    /// Of the hooks that have a file. `None`: nothing of the hook may be removed.
    hooks: BTreeMap<String, Option<Kept>>,
    /// Of all other hooks.
    others: Kept,
}

/// How long the node keeps the deliveries of a hook, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    bodies: u64,
    deliveries: u64,
}

// === impl Announcement ===

impl Announcement {
    /// That of a node with these settings and hook files.
    pub(super) fn of(node: &Retention, hooks: &HookRetentions) -> Announcement {
        let kept = |own: &HookRetention| node.of(own).map(Kept::of);
        let named = hooks.named.iter();
        Announcement {
            hooks: named
                .map(|(hook, own)| (hook.to_string(), kept(own)))
                .collect(),
            others: Kept::of((node.bodies, node.deliveries)),
        }
    }
}

// === impl Kept ===

impl Kept {
    fn of((bodies, deliveries): (Duration, Duration)) -> Kept {
        Kept {
            bodies: whole_millis(bodies),
            deliveries: whole_millis(deliveries),
        }
    }

    fn longest(self, other: Kept) -> Kept {
        Kept {
            bodies: self.bodies.max(other.bodies),
            deliveries: self.deliveries.max(other.deliveries),
        }
    }
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a node has a file of the hook.
pub(super) fn is_named(announced: &[Announcement], hook: &str) -> bool {
    announced.iter().any(|one| one.hooks.contains_key(hook))
}

/// How long bodies and deliveries of a hook are kept: the longest of the announcements that name
/// it, or of all if none does. `None`: nothing is removed.
pub(super) fn agreed(announced: &[Announcement], hook: &str) -> Option<(Duration, Duration)> {
    let named = announced.iter().filter_map(|one| one.hooks.get(hook));
    let mut kept: Vec<Option<Kept>> = named.copied().collect();
    if kept.is_empty() {
        kept = announced.iter().map(|one| Some(one.others)).collect();
    }

    let longest = kept
        .into_iter()
        .reduce(|one, other| Some(one?.longest(other?)))??;
    let time = Duration::from_millis;
    Some((time(longest.bodies), time(longest.deliveries)))
}

/// What nodes have announced: each text, and how many nodes have announced it.
async fn announcements(client: &Object) -> Result<Vec<(Vec<u8>, i64)>, Error> {
    let sql = "SELECT value, count(*) FROM (
                   SELECT value FROM kv WHERE hook = $1 AND (until IS NULL OR until > now_ms()) LIMIT $2) AS announced
               GROUP BY value LIMIT $3";
    let (nodes, texts) = (NODES_MAX + 1, ANNOUNCEMENTS_MAX as i64 + 1);
    let rows = client.query_cached(sql, &[&OWNER, &nodes, &texts]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

// === impl Postgres ===

impl Postgres {
    /// Announces the retention of this node, in place of what it has announced before, and returns
    /// the announcements of all nodes. `None`: nothing may be removed by age now.
    pub(super) async fn agree(
        &self,
        own: Announcement,
    ) -> Result<Option<Vec<Announcement>>, LedgerError> {
        let json = serde_json::to_string(&own).expect("an announcement is JSON");
        let key = self.owner.to_string();
        self.note(OWNER, key, json, HOLDS).await?;
        // Nodes that start at the same time announce theirs before the next call.
        if !self.agreement.has_announced.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }

        let texts = self.ask(announcements).await?;
        if texts.len() > ANNOUNCEMENTS_MAX {
            let why = "the nodes of the last day have more than 200 different retentions";
            self.agreement.stop(why);
            return Ok(None);
        }
        if texts.iter().map(|(_, nodes)| nodes).sum::<i64>() > NODES_MAX {
            let why = "more than 10,000 processes have announced a retention within a day";
            self.agreement.stop(why);
            return Ok(None);
        }
        let mut announced = vec![own];
        for (text, _) in texts {
            let Ok(one) = serde_json::from_slice(&text) else {
                let why = "this version cannot read the retention of another node";
                self.agreement.stop(why);
                return Ok(None);
            };
            announced.push(one);
        }
        self.agreement.go_on();
        Ok(Some(announced))
    }

    /// This node stops. What it has announced holds for a restart.
    pub(super) async fn leave_agreement(&self) {
        if !self.agreement.has_announced.load(Ordering::Relaxed) {
            return;
        }
        let sql = "UPDATE kv SET until = least(until, now_ms() + $3) WHERE hook = $1 AND key = $2";
        let (key, holds) = (self.owner.to_string().into_bytes(), millis(HOLDS_STOPPED));
        let left = self
            .ask(async |client| client.execute_cached(sql, &[&OWNER, &key, &holds]).await)
            .await;
        if let Err(error) = left {
            tracing::debug!(%error, "other nodes keep to the retention of this node for a day");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn announcement(named: &[(&str, HookRetention)]) -> Announcement {
        let node = Retention {
            deliveries: 30 * DAY,
            bodies: 7 * DAY,
            max_size: 0,
        };
        let named = named.iter().map(|(hook, own)| ((*hook).into(), *own));
        let hooks = HookRetentions {
            named: named.collect(),
            ..HookRetentions::default()
        };
        Announcement::of(&node, &hooks)
    }

    fn days(deliveries: u32) -> HookRetention {
        HookRetention {
            deliveries: Some(deliveries * DAY),
            ..HookRetention::default()
        }
    }

    #[test]
    fn longest_announced_retention_holds() {
        let own = announcement(&[("a", days(1)), ("b", days(1)), ("c", days(1))]);
        let other = announcement(&[("a", days(400)), ("b", HookRetention::UNKNOWN)]);
        let json = serde_json::to_string(&other).unwrap();
        let announced = [own, serde_json::from_str(&json).unwrap()];

        assert_eq!(agreed(&announced, "a"), Some((7 * DAY, 400 * DAY)));
        assert_eq!(agreed(&announced, "b"), None, "another node cannot read it");
        let alone = agreed(&announced, "c");
        assert_eq!(alone, Some((7 * DAY, DAY)), "only one node has the file");
        assert_eq!(agreed(&announced, "d"), Some((7 * DAY, 30 * DAY)));
        assert_eq!(agreed(&[], "d"), None);
        assert!(is_named(&announced, "b") && !is_named(&announced, "d"));
    }
}
