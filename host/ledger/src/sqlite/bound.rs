//! `ledger.max_size`: which history is removed when the file has reached its size limit. The hook with the most data loses its oldest ended
//! deliveries first, so that a busy hook does not displace the history of a quiet one. Pending and running deliveries are never removed:
//! if nothing else is left, new events are refused.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rusqlite::{Connection, OptionalExtension, params};

use super::retention;
use crate::state_column::{DISCARDED, DONE, StateColumn};
use landfall_model::DeliveryState;

/// Deliveries that are removed in one step.
const STEP: i64 = 64;
/// Space of an event in tables and indexes, in addition to its head and body.
const OVERHEAD_BYTES: u64 = 512;

/// The size limit of the file, and how many deliveries were removed because of it since the last report.
pub(super) struct SizeBound {
    max_bytes: u64,
    removed: AtomicUsize,
    dead: AtomicUsize,
    /// Since the start.
    total: AtomicUsize,
}

// === impl SizeBound ===

impl SizeBound {
    pub(super) fn new(max_bytes: u64) -> SizeBound {
        SizeBound {
            max_bytes,
            removed: AtomicUsize::new(0),
            dead: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
        }
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Whether the file is larger than it may be.
    pub(super) fn is_exceeded(&self, connection: &Connection) -> rusqlite::Result<bool> {
        Ok(used_bytes(connection)? > self.max_bytes)
    }

    /// One removal step: the hook with the most data loses its oldest ended deliveries. False: the file is small enough, or that hook has
    /// no ended delivery.
    pub(super) fn shrink(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let excess = used_bytes(connection)?.saturating_sub(self.max_bytes);
        if excess == 0 {
            return Ok(false);
        }

        let largest = "SELECT hook FROM used ORDER BY history_bytes DESC LIMIT 1";
        let largest = connection
            .prepare_cached(largest)?
            .query_row([], |row| row.get::<_, String>(0))
            .optional()?;
        largest.map_or(Ok(false), |hook| {
            self.remove_oldest(connection, &hook, excess)
        })
    }

    /// Makes room for an event of a hook. If the ledger has reached its size limit, the hook's own oldest ended deliveries are removed.
    /// False: the hook has none, and the event must be refused.
    pub(super) fn make_room(
        &self,
        connection: &Connection,
        hook: &str,
        bytes: usize,
    ) -> rusqlite::Result<bool> {
        if used_bytes(connection)? <= self.max_bytes {
            return Ok(true);
        }
        self.remove_oldest(connection, hook, bytes as u64 + OVERHEAD_BYTES)
    }

    /// How many ended deliveries were removed since it was asked last, and how many of them were dead letters.
    pub(super) fn take_removed(&self) -> (usize, usize) {
        (self.removed.swap(0, Relaxed), self.dead.swap(0, Relaxed))
    }

    /// How many ended deliveries were removed since the start.
    pub(super) fn total_removed(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// Removes ended deliveries until about so many bytes are free. False: there was nothing to remove. A delivery with a damaged state
    /// may not have ended, and stays.
    fn remove_oldest(
        &self,
        connection: &Connection,
        hook: &str,
        bytes: u64,
    ) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT d.id, d.event, d.state, d.pruned, e.body_bytes, octet_length(e.head)
             FROM deliveries d JOIN events e ON e.seq = d.event
             WHERE d.hook = ? AND d.state >= {DONE} AND d.state <= {DISCARDED} ORDER BY d.ended LIMIT ?"
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
