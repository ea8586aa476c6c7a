//! Checks the structure and the indexes of the database file. Events, values and rows have
//! checksums of their own. A small file is checked before the node starts, a large file while the
//! node works.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use crate::error::{LedgerError, OpenError};

/// Files up to this size are checked at the start, which takes about a second.
const AT_START_BYTES_MAX: u64 = 256 << 20;

/// Called with an error that only a restart, or a backup, can resolve.
pub type OnFatal = Arc<dyn Fn(&LedgerError) + Send + Sync>;

/// Refuses a damaged file. A large file is checked in the background.
pub(super) fn check(
    connection: &Connection,
    path: &Path,
    on_fatal: OnFatal,
) -> Result<(), OpenError> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes > AT_START_BYTES_MAX {
        tracing::info!(
            bytes,
            "the ledger is large: it is checked while the node works"
        );
        let path = path.to_owned();
        let check = move || {
            if let Some(damage) = check_tables(&path) {
                on_fatal(&damage)
            }
        };
        let started = std::thread::Builder::new()
            .name("integrity".into())
            .spawn(check);
        return started.map(drop).map_err(|error| {
            OpenError::Other(format!("the thread of the check does not start: {error}"))
        });
    }
    match verdict(connection, "PRAGMA integrity_check(1)") {
        None => Ok(()),
        Some(damage) => Err(OpenError::Other(format!("{}: {damage}", path.display()))),
    }
}

/// Checks the tables that have no checksums of their own. Checks one table after the other, so that
/// no read transaction delays the checkpoints for long.
fn check_tables(path: &Path) -> Option<LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).ok()?;
    let started = std::time::Instant::now();
    let damage = ["deliveries", "dedup", "kv", "used"]
        .iter()
        .find_map(|table| verdict(&connection, &format!("PRAGMA integrity_check('{table}')")));
    tracing::info!(
        seconds = started.elapsed().as_secs_f32(),
        damaged = damage.is_some(),
        "the ledger was checked"
    );
    damage
}

fn verdict(connection: &Connection, question: &str) -> Option<LedgerError> {
    match connection.query_row(question, [], |row| row.get::<_, String>(0)) {
        Ok(verdict) if verdict == "ok" => None,
        Ok(problem) => Some(LedgerError::Corrupt(problem)),
        Err(error) => match LedgerError::from(error) {
            // Another connection held a lock: that says nothing about the file.
            LedgerError::Busy => None,
            error => Some(error),
        },
    }
}
