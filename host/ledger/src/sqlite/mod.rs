//! A ledger in one SQLite file in the data directory, for one node. One thread writes, and needs no
//! other service.

mod accept;
mod activity;
mod arrivals;
mod audit;
mod backup;
mod bound;
mod candidates;
mod clock;
mod deliveries;
mod erase;
mod events;
mod files;
mod finish;
mod free_space;
mod held;
mod held_batch;
mod held_damage;
mod held_debounce;
mod held_groups;
mod held_members;
mod held_repair;
mod integrity;
mod kv;
mod leases;
mod missing;
mod open_files;
mod operator;
mod place;
mod raw;
mod read;
mod readers;
mod recordings;
mod refusal;
mod reserve;
mod retention;
mod rows;
mod schema;
mod traits;
mod tries;
mod usage;
mod wal;
mod work;
mod writer;
mod writer_thread;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::commit_times::CommitTimes;
use super::error::{LedgerError, OpenError};
use super::flow_counts::FlowCounts;
use bound::SizeBound;
use free_space::FreeSpace;
use landfall_model::{LedgerClock, LedgerTime, Retention};
use open_files::OpenFiles;
use readers::Readers;
use reserve::Reserve;
use usage::SpaceReports;
use writer::Writer;

pub use backup::{BackedUp, take as backup};
pub use bound::describe_size;
pub use integrity::OnFatal;

/// Events or deliveries that one write of an operator changes. Other writes wait for it.
const OPERATOR_STEP: usize = 50;

/// Older versions of SQLite can lose commits from their log.
const SQLITE_OLDEST: i32 = 3_051_003;

/// An open ledger.
pub(crate) struct Sqlite {
    writer: Writer,
    readers: Arc<Readers>,
    clock: LedgerClock,
    /// Identifies this start of the node.
    owner: [u8; 16],
    dir: PathBuf,
    /// With less free space, no event is accepted.
    min_free_space: u64,
    free_space: FreeSpace,
    space_reports: SpaceReports,
    retention: Retention,
    bound: Arc<SizeBound>,
    commit_times: CommitTimes,
    flow_counts: FlowCounts,
    _lock: place::DirLock,
}

/// The settings of a SQLite ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteSettings {
    /// With fewer free bytes, no event is accepted.
    pub min_free_space: u64,
    /// Size of the reserve file, which is removed when the disk is full. 0: no reserve.
    pub reserve: u64,
    /// How long data is kept.
    pub retention: Retention,
    /// Start although acknowledged events have been lost.
    pub recover_with_data_loss: bool,
}

/// What an earlier process left unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries whose attempts ended with the process.
    pub freed: usize,
    /// How many of them are dead letters now, after too many such attempts.
    pub dead: usize,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens or creates the ledger of a data directory. `on_fatal` is called with an error that
    /// only a restart can resolve.
    pub(crate) fn open(
        dir: &Path,
        settings: SqliteSettings,
        time_of_day: SystemTime,
        on_fatal: OnFatal,
    ) -> Result<(Sqlite, Recovered), OpenError> {
        match Sqlite::try_open(dir, settings, time_of_day, on_fatal.clone()) {
            // Running attempts must be able to end, and old data to be removed.
            Err(OpenError::Full(why)) if reserve::give_up(dir) => {
                tracing::error!(
                    why,
                    "the disk is full: the reserve is used, and no event is accepted"
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
        let failed = |error| open_error(&path, error);
        files::make_if_new(&path, settings.recover_with_data_loss)?;
        wal::check(&path, settings.recover_with_data_loss)?;

        // Without CREATE: a file that was removed in the meantime must not become an empty ledger.
        let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, access).map_err(failed)?;
        set_up(&connection).map_err(failed)?;
        schema::migrate(&mut connection)?;
        files::mark(&path)?;
        integrity::check(&connection, &path, on_fatal.clone())?;
        if let Some(taken) = backup::restored(&connection).map_err(failed)? {
            warn_of_backup(taken, time_of_day);
        }

        let clock = clock::resume(&connection, time_of_day).map_err(failed)?;
        let owner = *Uuid::new_v4().as_bytes();
        let (freed, dead) = recover(&mut connection, &owner, clock.now()).map_err(failed)?;
        let note = wal::Note::open(&path).map_err(|error| {
            OpenError::Other(format!(
                "the directory of {} cannot be written to: {error}",
                path.display()
            ))
        })?;
        let page_size = connection
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(failed)?;
        let files = OpenFiles::new(&path, page_size)
            .map_err(|error| OpenError::from_io(&path, "be examined", &error))?;

        let SqliteSettings {
            min_free_space,
            retention,
            ..
        } = settings;
        let reserve = Reserve::new(dir, settings.reserve, min_free_space);
        let bound = Arc::new(SizeBound::new(retention.max_size));
        let commit_times = CommitTimes::default();
        let writer = Writer::start(
            connection,
            note,
            reserve,
            files,
            bound.clone(),
            on_fatal.clone(),
            commit_times.clone(),
        )
        .map_err(|error| {
            OpenError::Other(format!(
                "the writer thread of the ledger cannot start: {error}"
            ))
        })?;

        let readers = Arc::new(Readers::new(&path, on_fatal));
        let ledger = Sqlite {
            writer,
            readers,
            clock,
            owner,
            dir: dir.into(),
            min_free_space,
            free_space: FreeSpace::default(),
            space_reports: SpaceReports::default(),
            retention,
            bound,
            commit_times,
            flow_counts: FlowCounts::default(),
            _lock: lock,
        };
        Ok((ledger, Recovered { freed, dead }))
    }

    /// Why no event is accepted, if so.
    fn refuses(&self) -> Option<LedgerError> {
        let refusal = self.writer.refuses().or_else(|| self.refuses_by_space());
        if let Some(LedgerError::Full) = refusal {
            self.space_reports.report(&self.dir, self.min_free_space);
        }
        refusal
    }

    /// As `refuses`, for one event of many.
    fn refuses_event(&self) -> Option<LedgerError> {
        let now = Instant::now();
        if self.free_space.was_enough(now) {
            return self.writer.refuses();
        }

        let refusal = self.refuses();
        if refusal.is_none() {
            self.free_space.set_enough(now);
        }
        refusal
    }

    fn refuses_by_space(&self) -> Option<LedgerError> {
        let dir = self.dir.display();
        match place::free_bytes(&self.dir) {
            Ok(free) if free > self.min_free_space => None,
            Ok(_) => Some(LedgerError::Full),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(LedgerError::Gone(format!("{dir} was removed")))
            }
            Err(error) => Some(LedgerError::Disk(format!("{dir}: {error}"))),
        }
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

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.display();
    match LedgerError::from(error) {
        error @ LedgerError::Corrupt(_) => OpenError::Other(format!("{path}: {error}")),
        error @ LedgerError::Full => OpenError::Full(format!("{path} cannot be opened: {error}")),
        error => OpenError::Other(format!("{path} cannot be opened: {error}")),
    }
}

fn warn_of_backup(taken: SystemTime, now: SystemTime) {
    let age_s = now.duration_since(taken).unwrap_or_default().as_secs();
    let taken = humantime::format_rfc3339_seconds(taken);
    tracing::warn!(
        %taken,
        age_s,
        "this ledger is a backup: later events are not in it, and events that were open then run again"
    );
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Takes effect only before the first table: free pages can be returned to the file system.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    for (name, value) in [
        ("foreign_keys", 1),
        ("recursive_triggers", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        // What is deleted is overwritten.
        ("secure_delete", 1),
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
    let recovered = leases::recover(&transaction, owner, now)?;
    clock::write_down(&transaction, now)?;
    landfall_model::kill_point!("recovering");
    transaction.commit()?;
    Ok(recovered)
}

#[cfg(test)]
mod tests;
