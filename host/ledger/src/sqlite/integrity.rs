//! Whether the file is what was written: its structure, its indexes. What an event, a value or a row says is under checksums
//! of their own. A small file is looked through before anything is built on it, a large one while the node works.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use crate::error::{LedgerError, OpenError};

/// The file is looked through at start up to this size: a second or so.
const AT_START_BYTES_MAX: u64 = 256 << 20;

/// Who is told of damage that only a new start, or an older file, can mend.
pub type OnFatal = Arc<dyn Fn(&LedgerError) + Send + Sync>;

/// Refuses a damaged file. A large one is looked through later.
pub fn check(connection: &Connection, path: &Path, on_fatal: OnFatal) -> Result<(), OpenError> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes > AT_START_BYTES_MAX {
        tracing::info!(
            bytes,
            "the ledger is large: it is looked through while the node works"
        );
        let path = path.to_owned();
        let look = move || {
            if let Some(damage) = look_through(&path) {
                on_fatal(&damage)
            }
        };
        let started = std::thread::Builder::new()
            .name("integrity".into())
            .spawn(look);
        return started.map(drop).map_err(|error| {
            OpenError::Other(format!("the thread of the check does not start: {error}"))
        });
    }
    match verdict(connection, "PRAGMA integrity_check(1)") {
        None => Ok(()),
        Some(damage) => Err(OpenError::Other(format!("{}: {damage}", path.display()))),
    }
}

/// Only what nothing else checks: an event that is not what was accepted is found when it is run. One table after the other, so
/// that none holds up the log for long.
fn look_through(path: &Path) -> Option<LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).ok()?;
    let started = std::time::Instant::now();
    let damage = ["deliveries", "dedup", "kv", "used"]
        .iter()
        .find_map(|table| verdict(&connection, &format!("PRAGMA integrity_check('{table}')")));
    tracing::info!(
        seconds = started.elapsed().as_secs_f32(),
        damaged = damage.is_some(),
        "the ledger was looked through"
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
