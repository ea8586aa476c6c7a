//! Why a step of the ledger failed, sorted by what the caller or the operator can do.

use std::path::Path;
use std::{fmt, io};

use rusqlite::ffi;

use super::state_column::DamagedState;

/// What `LedgerError::ReadOnly` names if the ledger is a file.
pub(super) const DATA_DIRECTORY: &str = "data directory";

/// Why a step failed. Nothing of the step was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The queue is full, or a lock was not released in time. The caller can try again.
    #[error("the ledger is busy: no place in time")]
    Busy,
    /// The disk is full, or has less than `ledger.min_free_space` left.
    #[error("the disk is full: free some space, or give the data directory more")]
    Full,
    /// The ledger has reached its size limit, and nothing can be removed to make room.
    #[error("{0}")]
    OverBound(Box<OverBound>),
    /// The data directory or the database is read only.
    #[error("the {0} is read only: the node accepts again once it can write there")]
    ReadOnly(&'static str),
    /// The database cannot be reached, or does not answer in time.
    #[error("the ledger cannot be reached: {0}")]
    Unreachable(String),
    /// A sync or write failed. Only a restart can find out what is on the disk.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// A file of the ledger was removed, replaced, cut or overwritten while it was open.
    #[error(
        "{0} while the node was running, and what it writes now would be lost: put the same file back, or start with a backup in an empty \
         data directory; events that were acknowledged are in the files that were there"
    )]
    Gone(String),
    /// The database is damaged.
    #[error(
        "the ledger is corrupt: {0}; start with a backup in an empty data directory, or move the data directory aside"
    )]
    Corrupt(String),
    /// The writer ended before it answered.
    #[error("the ledger has stopped")]
    Stopped,
    /// An unexpected error of the database: a fault of Landfall.
    #[error("the ledger refused: {0}")]
    Other(String),
}

/// The size limit of a ledger, and the hook that uses most of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverBound {
    /// `ledger.max_size` in bytes.
    pub max_size: u64,
    /// The hook that uses most.
    pub largest: String,
    /// Bytes of its rows and values.
    pub kept: u64,
    /// Bytes of its events and attempts.
    pub events: u64,
}

// === impl OverBound ===

impl fmt::Display for OverBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iec = |bytes| bytesize::ByteSize(bytes).display().iec();
        let OverBound {
            max_size,
            largest,
            kept,
            events,
        } = self;
        write!(
            f,
            "the ledger has reached ledger.max_size = {}, and no finished delivery can be removed to make room: hook `{largest}` uses most \
             ({} of rows and values, {} of events); raise ledger.max_size, or ",
            iec(*max_size),
            iec(*kept),
            iec(*events)
        )?;
        if kept > events {
            write!(
                f,
                "remove all that the hook stored: move its hook file and component away, then run \
                 `landfall events purge --hook {largest}`"
            )
        } else {
            write!(
                f,
                "let its pending events run (is the hook paused?), or run \
                 `landfall events discard --hook {largest} --state pending`"
            )
        }
    }
}

// === impl LedgerError ===

impl LedgerError {
    /// Whether the process must end: only a restart can find out what is on the disk.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            LedgerError::Disk(_) | LedgerError::Corrupt(_) | LedgerError::Gone(_)
        )
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> LedgerError {
        if let rusqlite::Error::FromSqlConversionFailure(_, _, cause) = &error
            && cause.is::<DamagedState>()
        {
            return LedgerError::Other(cause.to_string());
        }
        let text = error.to_string();
        let Some(code) = error.sqlite_error().map(|error| error.extended_code) else {
            return LedgerError::Other(text);
        };
        match (code, code & 0xff) {
            // The shared-memory file cannot grow: the disk is full.
            (_, ffi::SQLITE_FULL) | (ffi::SQLITE_IOERR_SHMSIZE, _) => LedgerError::Full,
            (_, ffi::SQLITE_READONLY) => LedgerError::ReadOnly(DATA_DIRECTORY),
            (_, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => LedgerError::Corrupt(text),
            (_, ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN) => LedgerError::Disk(text),
            (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_INTERRUPT) => LedgerError::Busy,
            _ => LedgerError::Other(text),
        }
    }
}

/// Why a ledger cannot be opened: a sentence that says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The disk is too full even to open the ledger.
    Full(String),
    /// Another reason.
    Other(String),
}

// === impl OpenError ===

impl OpenError {
    /// `path` cannot `be_done` with.
    pub(super) fn from_io(path: &Path, be_done: &str, error: &io::Error) -> OpenError {
        let text = format!("{} cannot {be_done}: {error}", path.display());
        if error.kind() == io::ErrorKind::StorageFull {
            OpenError::Full(text)
        } else {
            OpenError::Other(text)
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (OpenError::Full(text) | OpenError::Other(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for OpenError {}
