//! A ledger in one SQLite file in the data directory, with one thread that writes: for one node, and it needs nothing.
//!
//! Accepting an event is on stable storage before it is answered; everything else is in the log before it counts, so that a
//! process that dies loses nothing and a machine that dies repeats some attempts. Every step is one transaction: the outcome
//! of an attempt and what it leaves behind (its `Effects`) are kept together or not at all.

mod arrivals;
mod backup;
mod bound;
mod clock;
mod deliveries;
mod events;
mod files;
mod integrity;
mod kv;
mod operator;
mod place;
mod read;
mod reserve;
mod retention;
mod rows;
mod schema;
mod traits;
mod usage;
mod wal;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::error::{LedgerError, OpenError};
use bound::SizeBound;
use files::OpenFiles;
use landfall_model::{LedgerClock, LedgerTime, Retention};
use read::Readers;
use reserve::Reserve;
use usage::SpaceReports;
use writer::Writer;

pub use backup::{BackedUp, take as backup};
pub use integrity::OnFatal;

/// Events or deliveries that one write of an operator changes: events that are received at the same time wait for it.
const OPERATOR_STEP: usize = 50;

/// Older ones have faults in their log that lose commits.
const SQLITE_OLDEST: i32 = 3_051_003;

/// An open ledger.
pub struct Sqlite {
    writer: Writer,
    readers: Arc<Readers>,
    clock: LedgerClock,
    /// This start of this node.
    owner: [u8; 16],
    dir: PathBuf,
    /// Free space below which nothing is accepted.
    min_free_space: u64,
    space_reports: SpaceReports,
    retention: Retention,
    bound: Arc<SizeBound>,
    _lock: place::DirLock,
}

/// How a ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Free bytes below which nothing more is accepted.
    pub min_free_space: u64,
    /// Bytes that are given up when the disk is full; 0 = none.
    pub reserve: u64,
    /// What is let go of.
    pub retention: Retention,
    /// Start although what was acknowledged has been lost.
    pub recover_with_data_loss: bool,
}

/// What was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that an earlier process had not finished.
    pub freed: usize,
    /// Those among them that took the process with them once too often.
    pub given_up: usize,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens the ledger of a data directory, or makes it. `on_fatal` is told when only a new start can help.
    pub fn open(
        dir: &Path,
        settings: SqliteSettings,
        time_of_day: SystemTime,
        on_fatal: OnFatal,
    ) -> Result<(Sqlite, Recovered), OpenError> {
        match Sqlite::try_open(dir, settings, time_of_day, on_fatal.clone()) {
            // What is there must be ended and let go of, whatever else there is no room for.
            Err(OpenError::Full(why)) if reserve::give_up(dir) => {
                tracing::error!(
                    why,
                    "the disk is full: the reserve is used, and nothing new is accepted"
                );
                Sqlite::try_open(dir, settings, time_of_day, on_fatal)
            }
            opened => opened,
        }
    }

    fn try_open(
        dir: &Path,
        settings: SqliteSettings,
        time_of_day: SystemTime,
        on_fatal: OnFatal,
    ) -> Result<(Sqlite, Recovered), OpenError> {
        if rusqlite::version_number() < SQLITE_OLDEST {
            return Err(OpenError::Other(format!(
                "SQLite {} is too old to keep a ledger",
                rusqlite::version()
            )));
        }
        place::check_file_system(dir)?;
        let lock = place::lock(dir)?;
        place::make_private(dir);
        let path = dir.join("ledger.db");
        let failed = |error: rusqlite::Error| match LedgerError::from(error) {
            error @ LedgerError::Corrupt(_) => {
                OpenError::Other(format!("{}: {error}", path.display()))
            }
            error @ LedgerError::Full => {
                OpenError::Full(format!("{} cannot be opened: {error}", path.display()))
            }
            error => OpenError::Other(format!("{} cannot be opened: {error}", path.display())),
        };
        files::make_if_new(&path, settings.recover_with_data_loss)?;
        wal::check(&path, settings.recover_with_data_loss)?;
        // Without CREATE: a file that goes away meanwhile must not become an empty ledger.
        let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, access).map_err(failed)?;
        set_up(&connection).map_err(failed)?;
        schema::migrate(&mut connection)?;
        integrity::check(&connection, &path, on_fatal.clone())?;
        if let Some(taken) = backup::restored(&connection).map_err(failed)? {
            let age = time_of_day
                .duration_since(taken)
                .unwrap_or_default()
                .as_secs();
            let taken = humantime::format_rfc3339_seconds(taken);
            let what = "this ledger is a backup: what came later is not in it, and what was open then is run again";
            tracing::warn!(%taken, age_s = age, what);
        }
        let clock = clock::resume(&connection, time_of_day).map_err(failed)?;
        let owner = *Uuid::new_v4().as_bytes();
        let (freed, given_up) = recover(&mut connection, &owner, clock.now()).map_err(failed)?;
        let noted = |error| {
            OpenError::Other(format!(
                "{} cannot be written beside: {error}",
                path.display()
            ))
        };
        let note = wal::Note::open(&path).map_err(noted)?;
        let files = OpenFiles::new(&path)
            .map_err(|error| OpenError::from_io(&path, "be looked at", &error))?;
        let SqliteSettings {
            min_free_space,
            retention,
            ..
        } = settings;
        let reserve = Reserve::new(dir, settings.reserve, min_free_space);
        let bound = Arc::new(SizeBound::new(retention.max_size));
        let writer = Writer::start(connection, note, reserve, files, bound.clone(), on_fatal)
            .map_err(|error| {
                OpenError::Other(format!("the thread of the ledger does not start: {error}"))
            })?;
        let readers = Arc::new(Readers::new(&path));
        let ledger = Sqlite {
            writer,
            readers,
            clock,
            owner,
            dir: dir.into(),
            min_free_space,
            space_reports: SpaceReports::default(),
            retention,
            bound,
            _lock: lock,
        };
        Ok((ledger, Recovered { freed, given_up }))
    }

    fn refuses(&self) -> Option<LedgerError> {
        let refusal = || match place::free_bytes(&self.dir) {
            Ok(free) if free > self.min_free_space => None,
            Ok(_) => Some(LedgerError::Full),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(LedgerError::Gone(
                format!("{} was removed", self.dir.display()),
            )),
            Err(error) => Some(LedgerError::Disk(format!(
                "{}: {error}",
                self.dir.display()
            ))),
        };
        let refuses = self.writer.refuses().or_else(refusal);
        if let Some(LedgerError::Full) = refuses {
            self.space_reports.report(&self.dir, self.min_free_space);
        }
        refuses
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let readers = self.readers.clone();
        tokio::task::spawn_blocking(move || readers.ask(question))
            .await
            .map_err(|_| LedgerError::Stopped)?
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Before the first table: room that is let go of goes back to the file system.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    for (name, value) in [
        ("foreign_keys", 1),
        ("recursive_triggers", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
    ] {
        connection.pragma_update(None, name, value)?;
    }
    for (name, value) in [
        ("wal_autocheckpoint", 0),
        ("journal_size_limit", 64 << 20),
        ("cache_size", -65_536),
    ] {
        connection.pragma_update(None, name, value)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(Duration::from_secs(5))
}

fn recover(
    connection: &mut Connection,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<(usize, usize)> {
    let transaction = connection.transaction()?;
    let recovered = deliveries::recover(&transaction, owner, now)?;
    clock::write_down(&transaction, now)?;
    landfall_model::kill_point!("recovering");
    transaction.commit()?;
    Ok(recovered)
}

#[cfg(test)]
mod tests;
