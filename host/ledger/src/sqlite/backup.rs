//! Creates a consistent copy of the ledger, also while a node uses it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::files::{MODE, absent};
use super::{place, wal};
use crate::error::{LedgerError, OpenError};
use crate::state_column::DONE;
use landfall_model::clock::{from_ms, to_ms};

/// The key in table `node` for the time of the backup.
const TAKEN: &str = "backup_taken";

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// The size of the file.
    pub bytes: u64,
    /// The number of events.
    pub events: i64,
    /// Pending and running deliveries. A node that starts from the copy runs them.
    pub open: i64,
}

/// Copies the ledger of a data directory to a new file, completely or not at all.
pub fn take(dir: &Path, to: &Path, now: SystemTime) -> Result<BackedUp, OpenError> {
    let path = dir.join("ledger.db");
    if !path.exists() {
        return Err(OpenError::Other(format!(
            "{} has no ledger: name the data directory of a node (--data)",
            dir.display()
        )));
    }
    if to.exists() {
        return Err(OpenError::Other(format!(
            "{} is there already: a backup overwrites nothing",
            to.display()
        )));
    }
    let parent = to
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(OpenError::Other(format!(
            "{} is not a folder that a backup could be put into",
            parent.display()
        )));
    }
    let failed = |error: rusqlite::Error| {
        OpenError::Other(format!("{}: {}", path.display(), LedgerError::from(error)))
    };
    let unwritten = |error: std::io::Error| {
        OpenError::Other(format!("{} cannot be written: {error}", to.display()))
    };

    // If no node uses the directory, none may start in the meantime.
    let lock = place::lock(dir).ok();
    let access = match lock {
        Some(_) => {
            wal::check(&path, false)?;
            OpenFlags::SQLITE_OPEN_READ_WRITE
        }
        None => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let source = Connection::open_with_flags(&path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(failed)?;
    // Only the node writes the log back and removes it.
    source
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(failed)?;
    source
        .busy_timeout(Duration::from_secs(30))
        .map_err(failed)?;

    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    fs::remove_file(&part).or_else(absent).map_err(unwritten)?;
    // SQLite writes to an existing empty file, which has the right permissions.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&part)
        .map_err(unwritten)?;
    let name = part
        .to_str()
        .ok_or_else(|| OpenError::Other(format!("{} is not UTF-8", to.display())))?;

    let backed_up = source
        .execute("VACUUM INTO ?", [name])
        .map_err(failed)
        .and_then(|_| seal(Path::new(&part), now));
    if backed_up.is_err() {
        fs::remove_file(&part).ok();
    }
    let backed_up = backed_up?;
    fs::rename(&part, to).map_err(unwritten)?;
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(unwritten)?;
    Ok(backed_up)
}

/// Checks the copy, stores when it was taken, and syncs it.
fn seal(part: &Path, now: SystemTime) -> Result<BackedUp, OpenError> {
    let failed = |error: rusqlite::Error| {
        OpenError::Other(format!("{}: {}", part.display(), LedgerError::from(error)))
    };
    let copy = Connection::open(part).map_err(failed)?;
    let verdict: String = copy
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(OpenError::Other(format!(
            "the ledger is damaged: {verdict}; no backup was made"
        )));
    }
    copy.execute(
        "INSERT OR REPLACE INTO node (key, value) VALUES (?, ?)",
        params![TAKEN, to_ms(now)],
    )
    .map_err(failed)?;
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get(0)).map_err(failed);
    let (events, open) = (
        count("SELECT count(*) FROM events")?,
        count(&format!(
            "SELECT count(*) FROM deliveries WHERE state < {DONE}"
        ))?,
    );
    drop(copy);
    let unwritten = |error: std::io::Error| {
        OpenError::Other(format!("{} cannot be written: {error}", part.display()))
    };
    let file = File::open(part).map_err(unwritten)?;
    file.sync_all().map_err(unwritten)?;
    Ok(BackedUp {
        bytes: file.metadata().map_err(unwritten)?.len(),
        events,
        open,
    })
}

/// When this ledger was copied, if it is a backup that no node has started from. Returns it only
/// once.
pub(super) fn restored(connection: &Connection) -> rusqlite::Result<Option<SystemTime>> {
    let taken: Option<i64> = connection
        .query_row("SELECT value FROM node WHERE key = ?", [TAKEN], |row| {
            row.get(0)
        })
        .optional()?;
    connection.execute("DELETE FROM node WHERE key = ?", [TAKEN])?;
    Ok(taken.map(from_ms))
}
