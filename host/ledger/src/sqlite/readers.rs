//! Connections that only read: for the admin API and the command line, with a time limit.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, ffi};

use super::integrity::OnFatal;
use crate::error::LedgerError;
use landfall_model::lock;

/// The time limit of one query.
const TIME_MAX: Duration = Duration::from_secs(5);
/// SQLite instructions between two checks of the time limit.
const STEPS: i32 = 10_000;
const IDLE_MAX: usize = 4;

/// Connections that only read.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    on_fatal: OnFatal,
}

// === impl Readers ===

impl Readers {
    pub(super) fn new(path: &Path, on_fatal: OnFatal) -> Readers {
        Readers {
            path: path.into(),
            idle: Mutex::default(),
            on_fatal,
        }
    }

    /// Runs a query on this thread. Damage that it finds is fatal.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let idle = lock(&self.idle).pop();
        let answer = idle
            .map_or_else(|| self.open(), Ok)
            .and_then(|connection| self.ask_one(connection, question));
        answer.map_err(|error| {
            let shows_damage = shows_damage(&error);
            let error = LedgerError::from(error);
            if shows_damage {
                (self.on_fatal)(&error);
            }
            error
        })
    }

    /// Closes idle connections.
    pub(super) fn close(&self) {
        lock(&self.idle).clear();
    }

    fn ask_one<T>(
        &self,
        mut connection: Connection,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let until = Instant::now() + TIME_MAX;
        connection.progress_handler(STEPS, Some(move || Instant::now() > until))?;
        let answer = question(&connection);

        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        answer
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(TIME_MAX)?;
        Ok(connection)
    }
}

/// Whether the files of the ledger are damaged or cannot be read. Other errors of a reader say
/// nothing about them: too many open files, or a temporary file that cannot be written.
fn shows_damage(error: &rusqlite::Error) -> bool {
    let Some(code) = error.sqlite_error().map(|error| error.extended_code) else {
        return false;
    };
    matches!(code & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
        || matches!(
            code,
            ffi::SQLITE_IOERR_READ
                | ffi::SQLITE_IOERR_SHORT_READ
                | ffi::SQLITE_IOERR_DATA
                | ffi::SQLITE_IOERR_CORRUPTFS
        )
}
