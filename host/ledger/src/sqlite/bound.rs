//! `ledger.max_size`: which history is removed when the file has reached its size limit. The hook
//! with the most data, rows and values included, loses its oldest ended deliveries first, so that a
//! busy hook does not displace the history of a quiet one. To store more, a hook gives its own
//! history, or takes that of a larger hook. Pending and running deliveries, rows and values are
//! never removed: if nothing else is left, the largest hook can store no more.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::files::beside;
use super::retention;
use crate::error::{LedgerError, OverBound};
use crate::state_column::{DONE, LAST, StateColumn};
use landfall_model::{DeliveryState, lock};

/// Deliveries that are removed in one step.
const STEP: i64 = 64;
/// Space of an event in tables and indexes, in addition to its head and body.
const OVERHEAD_BYTES: u64 = 512;
/// Counted for each addition between two looks at the size of the file: more than its share of
/// tables and indexes, also if it splits some of their pages.
const GROWTH_BYTES: u64 = 256 << 10;

/// With more free bytes than this, the size need not be looked at after each commit.
const AMPLE_BYTES: u64 = 256 << 20;

/// The size limit of the file, and how many deliveries were removed because of it since the last
/// report.
pub(super) struct SizeBound {
    max_bytes: u64,
    /// The free bytes at the last look at the size, less what was added since. Only the thread that
    /// writes uses it.
    free: AtomicU64,
    removed: AtomicUsize,
    dead: AtomicUsize,
    /// Since the start.
    total: AtomicUsize,
    /// Why room was refused last.
    refused: Mutex<Option<Box<OverBound>>>,
    /// While the file is full and no delivery of any hook can be removed.
    stuck: Mutex<Option<Box<OverBound>>>,
}

/// The bytes that a hook uses.
struct HookUse {
    hook: String,
    /// Rows and values.
    kept: u64,
    /// Events, bodies and attempts.
    events: u64,
}

// === impl SizeBound ===

impl SizeBound {
    pub(super) fn new(max_bytes: u64) -> SizeBound {
        SizeBound {
            max_bytes,
            free: AtomicU64::new(0),
            removed: AtomicUsize::new(0),
            dead: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            refused: Mutex::default(),
            stuck: Mutex::default(),
        }
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Whether the file is far from its limit, as far as the bytes of events tell. The records of
    /// attempts do not count, so that the size must still be looked at now and then.
    pub(super) fn has_ample_room(&self) -> bool {
        self.free.load(Relaxed) > AMPLE_BYTES
    }

    /// Whether the file is larger than it may be.
    pub(super) fn is_exceeded(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let used = used_bytes(connection)?;
        self.free
            .store(self.max_bytes.saturating_sub(used), Relaxed);
        Ok(used > self.max_bytes)
    }

    /// One removal step: the hook with the most data loses its oldest ended deliveries. False: the
    /// file is small enough, or that hook has no ended delivery.
    pub(super) fn shrink(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let excess = used_bytes(connection)?.saturating_sub(self.max_bytes);
        if excess == 0 {
            return Ok(false);
        }

        match by_size(connection)?.first() {
            Some(largest) => self.remove_oldest(connection, &largest.hook, excess),
            None => Ok(false),
        }
    }

    /// Makes room for what a hook stores. If the ledger has reached its size limit, the hook's own
    /// oldest ended deliveries are removed. If it has none, those of the largest hook that uses
    /// more than this one. False: there are none, and `last_refusal` says why.
    pub(super) fn make_room(
        &self,
        connection: &Connection,
        hook: &str,
        bytes: usize,
    ) -> rusqlite::Result<bool> {
        if self.take_free(bytes) {
            return Ok(true);
        }
        if !self.is_exceeded(connection)? {
            self.take_free(bytes);
            return Ok(true);
        }

        let bytes = bytes as u64 + OVERHEAD_BYTES;
        if self.remove_oldest(connection, hook, bytes)? {
            return Ok(true);
        }
        let hooks = by_size(connection)?;
        let own = hooks.iter().find(|one| one.hook == hook);
        let own = own.map_or(0, HookUse::total) + bytes;
        for larger in hooks.iter().take_while(|one| one.total() > own) {
            if self.remove_oldest(connection, &larger.hook, bytes)? {
                return Ok(true);
            }
        }
        *lock(&self.refused) = Some(Box::new(self.describe(&hooks)));
        Ok(false)
    }

    /// Counts bytes as added. Returns whether they were certainly free. If so, nobody has to look at
    /// the size, which takes three statements.
    fn take_free(&self, bytes: usize) -> bool {
        let added = (bytes as u64).saturating_add(GROWTH_BYTES);
        let free = self.free.load(Relaxed);
        self.free.store(free.saturating_sub(added), Relaxed);
        added <= free
    }

    /// Why `make_room` has refused last.
    pub(super) fn last_refusal(&self) -> LedgerError {
        let refused = lock(&self.refused).clone();
        LedgerError::OverBound(refused.unwrap_or_else(|| Box::new(self.describe(&[]))))
    }

    /// Finds out whether the file is full and no delivery of any hook can be removed.
    pub(super) fn observe(&self, connection: &Connection) -> rusqlite::Result<()> {
        let may_be_full = self.free.load(Relaxed) == 0;
        let is_stuck = may_be_full && self.is_exceeded(connection)? && !has_ended(connection)?;
        let now = if is_stuck {
            Some(Box::new(self.describe(&by_size(connection)?)))
        } else {
            None
        };
        let mut before = lock(&self.stuck);
        match (&*before, &now) {
            (None, Some(why)) => tracing::error!(%why, "the ledger is full: the node is not ready"),
            (Some(_), None) => tracing::info!("the ledger has room again"),
            _ => {}
        }
        *before = now;
        Ok(())
    }

    /// Why no hook can store more, while that is so.
    pub(super) fn stuck(&self) -> Option<LedgerError> {
        lock(&self.stuck).clone().map(LedgerError::OverBound)
    }

    fn describe(&self, hooks: &[HookUse]) -> OverBound {
        let largest = hooks.first();
        OverBound {
            max_size: self.max_bytes,
            largest: largest.map_or_else(String::new, |one| one.hook.clone()),
            kept: largest.map_or(0, |one| one.kept),
            events: largest.map_or(0, |one| one.events),
        }
    }

    /// How many ended deliveries were removed since it was asked last, and how many of them were
    /// dead letters.
    pub(super) fn take_removed(&self) -> (usize, usize) {
        (self.removed.swap(0, Relaxed), self.dead.swap(0, Relaxed))
    }

    /// How many ended deliveries were removed since the start.
    pub(super) fn total_removed(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// Removes ended deliveries until about so many bytes are free. False: there was nothing to
    /// remove. A delivery with a damaged state may not have ended, and stays.
    fn remove_oldest(
        &self,
        connection: &Connection,
        hook: &str,
        bytes: u64,
    ) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT d.id, d.event, d.state, d.pruned, e.body_bytes, octet_length(e.head)
             FROM deliveries d JOIN events e ON e.seq = d.event
             WHERE d.hook = ? AND d.state >= {DONE} AND d.state <= {LAST} ORDER BY d.ended LIMIT ?"
        );
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query(params![hook, STEP])?;
        let (mut oldest, mut freed) = (Vec::new(), 0);
        while let Some(row) = rows.next()?
            && freed < bytes
        {
            let (delivery, event): (i64, i64) = (row.get(0)?, row.get(1)?);
            let StateColumn(state) = row.get(2)?;
            let body: u64 = if row.get(3)? {
                0
            } else {
                row.get::<_, i64>(4)?.max(0) as u64
            };
            freed += body + row.get::<_, i64>(5)?.max(0) as u64 + OVERHEAD_BYTES;
            oldest.push((delivery, event, state));
        }
        drop(rows);

        for (delivery, event, state) in &oldest {
            retention::remove(connection, *delivery, *event)?;
            self.removed.fetch_add(1, Relaxed);
            self.total.fetch_add(1, Relaxed);
            self.dead
                .fetch_add(usize::from(*state == DeliveryState::Dead), Relaxed);
        }
        Ok(!oldest.is_empty())
    }
}

// === impl HookUse ===

impl HookUse {
    fn total(&self) -> u64 {
        self.kept + self.events
    }
}

/// How much of `ledger.max_size` the ledger of a data directory uses, while a node uses it. `None`:
/// no node does, or it cannot be read. An error: it is full, and no delivery can be removed.
pub fn describe_size(dir: &Path, max_bytes: u64) -> Result<Option<String>, LedgerError> {
    // If no node runs, a reader would create these files, maybe as another user.
    let database = dir.join("ledger.db");
    if !beside(&database, "-wal").exists() || !beside(&database, "-shm").exists() {
        return Ok(None);
    }

    let read = || -> rusqlite::Result<(u64, Option<LedgerError>)> {
        let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&database, access)?;
        // Only the node writes the log back and removes it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let bound = SizeBound::new(max_bytes);
        bound.observe(&connection)?;
        Ok((used_bytes(&connection)?, bound.stuck()))
    };
    match read() {
        Ok((_, Some(full))) => Err(full),
        Ok((used, None)) => {
            let iec = |bytes| bytesize::ByteSize(bytes).display().iec();
            let (used, max) = (iec(used), iec(max_bytes));
            Ok(Some(format!(
                "uses {used} of at most {max} (ledger.max_size)"
            )))
        }
        Err(_) => Ok(None),
    }
}

/// All hooks with their bytes, the largest first.
fn by_size(connection: &Connection) -> rusqlite::Result<Vec<HookUse>> {
    let sql = "SELECT hook, kv_bytes + row_bytes, history_bytes FROM used
               ORDER BY kv_bytes + row_bytes + history_bytes DESC, hook";
    let mut select = connection.prepare_cached(sql)?;
    let hooks = select.query_map([], |row| {
        Ok(HookUse {
            hook: row.get(0)?,
            kept: row.get::<_, i64>(1)?.max(0) as u64,
            events: row.get::<_, i64>(2)?.max(0) as u64,
        })
    })?;
    hooks.collect()
}

fn has_ended(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE state >= {DONE} AND state <= {LAST})"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([], |row| row.get(0))
}

/// The size of the file without its free pages.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pages =
        pragma(connection, "PRAGMA page_count")? - pragma(connection, "PRAGMA freelist_count")?;
    let page_size = pragma(connection, "PRAGMA page_size")?;
    Ok((pages * page_size).max(0) as u64)
}

fn pragma(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
}
