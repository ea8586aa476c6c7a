//! The deliveries that wait, run or are dead, by hook. A scrape of the metrics asks for them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state_column::{DEAD, DONE, PENDING, RUNNING, WAITING};
use landfall_model::LedgerTime;

/// What the ledger uses, and what waits in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerUse {
    /// The bytes of its files, or of its database.
    pub bytes: u64,
    /// The free bytes of its file system. `None` for Postgres.
    pub free_bytes: Option<u64>,
    /// The hooks with deliveries that wait, are pending, running or dead.
    pub hooks: Vec<HookBacklog>,
}

/// The deliveries of one hook that have not succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookBacklog {
    /// The hook, which may no longer exist.
    pub hook: String,
    /// Deliveries that wait: due, for a retry, or for an earlier one of their order key.
    pub pending: u64,
    /// Deliveries that are held for a debounced group or a batch.
    pub waiting: u64,
    /// Deliveries with a lease.
    pub running: u64,
    /// Dead letters. Failed events of mode `sync` are none: their callers know.
    pub dead: u64,
    /// For how long the delivery or group has been due that has waited longest; zero if none is due.
    /// The groups of a hook that is paused or gone are not closed.
    pub overdue: Duration,
}

/// One line of the query for backlogs: hook, state, number of deliveries, and the earliest time at
/// which one of them is due.
pub(crate) struct BacklogLine {
    pub(crate) hook: String,
    pub(crate) state: i16,
    pub(crate) deliveries: u64,
    pub(crate) due: Option<LedgerTime>,
}

/// The query for backlogs. Each part reads one partial index. `free` and `blocked` are the words of
/// the database for deliveries that do not wait, or wait, for an earlier one of their order key,
/// `running` is the table with the index of the running ones, `dead` the table and the condition of
/// dead letters.
pub(crate) fn query(free: &str, blocked: &str, running: &str, dead: &str) -> String {
    format!(
        "SELECT hook, {PENDING} AS state, count(*) AS deliveries, min(due) AS due
         FROM deliveries WHERE state = {PENDING} AND {free} GROUP BY hook
         UNION ALL SELECT hook, {PENDING}, count(*), NULL
         FROM deliveries WHERE state < {DONE} AND order_key IS NOT NULL AND state = {PENDING} AND {blocked} GROUP BY hook
         UNION ALL SELECT hook, {WAITING}, count(*), NULL FROM deliveries WHERE state = {WAITING} GROUP BY hook
         UNION ALL SELECT hook, {WAITING}, 0, min(due) FROM held GROUP BY hook
         UNION ALL SELECT hook, {RUNNING}, count(*), NULL FROM {running} WHERE state = {RUNNING} GROUP BY hook
         UNION ALL SELECT hook, {DEAD}, count(*), NULL FROM {dead} GROUP BY hook"
    )
}

/// Adds the lines up by hook.
pub(crate) fn add_up(lines: Vec<BacklogLine>, now: LedgerTime) -> Vec<HookBacklog> {
    let mut hooks: BTreeMap<String, HookBacklog> = BTreeMap::new();
    for line in lines {
        let backlog = hooks.entry(line.hook).or_default();
        match line.state {
            PENDING => backlog.pending += line.deliveries,
            WAITING => backlog.waiting += line.deliveries,
            RUNNING => backlog.running += line.deliveries,
            _ => backlog.dead += line.deliveries,
        }
        if let Some(due) = line.due {
            backlog.overdue = backlog.overdue.max(due.until(now));
        }
    }
    let named = hooks.into_iter();
    named
        .map(|(hook, backlog)| HookBacklog { hook, ..backlog })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(hook: &str, state: i16, deliveries: u64, due: Option<i64>) -> BacklogLine {
        BacklogLine {
            hook: hook.into(),
            state,
            deliveries,
            due: due.map(LedgerTime),
        }
    }

    #[test]
    fn lines_add_up_by_hook() {
        let lines = vec![
            line("b", PENDING, 2, Some(4_000)),
            line("b", PENDING, 1, None),
            line("b", DEAD, 3, None),
            line("a", PENDING, 1, Some(9_000)),
            line("a", RUNNING, 1, None),
            line("a", WAITING, 4, None),
            line("a", WAITING, 0, Some(5_000)),
        ];
        let found = add_up(lines, LedgerTime(6_000));
        assert_eq!(
            found,
            [
                HookBacklog {
                    hook: "a".into(),
                    pending: 1,
                    waiting: 4,
                    running: 1,
                    overdue: Duration::from_secs(1),
                    ..HookBacklog::default()
                },
                HookBacklog {
                    hook: "b".into(),
                    pending: 3,
                    dead: 3,
                    overdue: Duration::from_secs(2),
                    ..HookBacklog::default()
                },
            ]
        );
    }
}
