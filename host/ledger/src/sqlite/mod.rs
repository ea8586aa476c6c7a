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
mod usage;
mod wal;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::error::{LedgerError, OpenError};
use super::shown::{Content, Count, Filter, Listed, Parts, Purged, Shown, StoredRow};
use super::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent, Received,
    ReplayOrder, Replayed, Started, Step,
};
use bound::SizeBound;
use files::OpenFiles;
use landfall_model::DedupKey;
use landfall_model::stored_event::Stored;
use landfall_model::{Event, EventId, KvValue, LedgerClock, LedgerTime, Retention};
use read::Readers;
use reserve::Reserve;
use usage::SpaceReports;
use writer::{Sync, Terms, Writer};

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
    low_water: u64,
    space_reports: SpaceReports,
    retention: Retention,
    bound: Arc<SizeBound>,
    _lock: place::DirLock,
}

/// How a ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Free bytes below which nothing more is accepted.
    pub low_water: u64,
    /// Bytes that are given up when the disk is full; 0 = none.
    pub reserve: u64,
    /// What is let go of.
    pub retention: Retention,
    /// Start although what was acknowledged has been lost.
    pub accept_data_loss: bool,
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
        files::make_if_new(&path, settings.accept_data_loss)?;
        wal::check(&path, settings.accept_data_loss)?;
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
            low_water,
            retention,
            ..
        } = settings;
        let reserve = Reserve::new(dir, settings.reserve, low_water);
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
            low_water,
            space_reports: SpaceReports::default(),
            retention,
            bound,
            _lock: lock,
        };
        Ok((ledger, Recovered { freed, given_up }))
    }

    /// Returns when everything is on stable storage and the file is closed. Nothing can be kept after it.
    pub async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }

    /// Ledger time.
    pub fn now(&self) -> LedgerTime {
        self.clock.now()
    }

    /// Whether events can be accepted: the disk has room and takes writes.
    pub fn can_accept(&self) -> bool {
        self.refuses().is_none()
    }

    fn refuses(&self) -> Option<LedgerError> {
        let refusal = || match place::free_bytes(&self.dir) {
            Ok(free) if free > self.low_water => None,
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
            self.space_reports.report(&self.dir, self.low_water);
        }
        refuses
    }

    /// Keeps an event on stable storage, unless `given_up` has become true before that was begun. Whoever calls this must not
    /// stop waiting: what was kept has to be run.
    pub async fn accept(
        &self,
        new: NewEvent,
        given_up: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        if let Some(why) = self.refuses() {
            return Err(why);
        }
        let (owner, clock) = (self.owner, self.clock);
        let bound = self.bound.clone();
        let act =
            move |tx: &Connection| deliveries::accept(tx, &new, &owner, clock.now(), Some(&bound));
        let accepted = self
            .writer
            .write(Terms::more(Sync::Durable).unless(given_up), act)
            .await?;
        accepted.ok_or(LedgerError::OverBound(self.bound.max_bytes()))
    }

    /// As `Ledger::start`. The broker has it: a machine that dies need not remember.
    pub async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        if let Some(why) = self.refuses() {
            return Err(why);
        }
        let (owner, clock) = (self.owner, self.clock);
        let bound = self.bound.clone();
        let act =
            move |tx: &Connection| arrivals::start(tx, &received, &owner, clock.now(), &bound);
        let started = self.writer.write(Terms::more(Sync::Relaxed), act).await?;
        started.ok_or(LedgerError::OverBound(self.bound.max_bytes()))
    }

    /// As `Ledger::find_duplicate`.
    pub async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError> {
        let clock = self.clock;
        let find = move |tx: &Connection| {
            deliveries::find_duplicate(tx, &hook, &dedup, &digest, &duplicate, clock.now())
        };
        self.writer.write(Terms::relief(Sync::Relaxed), find).await
    }

    /// As `Ledger::hand_over`.
    pub async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError> {
        let due = self.now().plus(pause);
        let write = move |tx: &Connection| {
            arrivals::hand_over(tx, &handed)?;
            arrivals::keep_on(tx, &kept, due)
        };
        self.writer.write(Terms::relief(Sync::Relaxed), write).await
    }

    /// Takes due deliveries: of each hook up to its number; none on a full disk. Told with each: when its next one is due.
    pub async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError> {
        if self.writer.refuses().is_some() {
            let later = Some(self.now().plus(Duration::from_secs(1)));
            return Ok(hooks
                .into_iter()
                .map(|(hook, _)| (hook, Vec::new(), later))
                .collect());
        }
        let (owner, clock) = (self.owner, self.clock);
        let act = move |connection: &Connection| {
            let now = clock.now();
            let claims = hooks.iter().map(|(hook, max)| {
                let (claimed, next) = deliveries::claim(connection, hook, *max, &owner, now)?;
                Ok((hook.clone(), claimed, next))
            });
            claims.collect()
        };
        self.writer.write(Terms::relief(Sync::Relaxed), act).await
    }

    /// As `Ledger::removed_by_size`.
    pub fn removed_by_size(&self) -> usize {
        self.bound.total_removed()
    }

    /// Ends a lease.
    pub async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        let clock = self.clock;
        let act = move |connection: &Connection| {
            deliveries::finish(
                connection,
                fence,
                rows::of(&event),
                &attempt,
                &ending,
                clock.now(),
            )
        };
        self.writer.write(Terms::relief(Sync::Relaxed), act).await
    }

    /// Ends the lease of an event that cannot be read back.
    pub async fn bury_unread(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        let clock = self.clock;
        self.writer
            .write(Terms::relief(Sync::Relaxed), move |tx| {
                deliveries::bury_unread(tx, fence, &why, clock.now())
            })
            .await
    }

    /// Gives leases back as if their attempts had not begun; they are due after the pause.
    pub async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError> {
        let clock = self.clock;
        self.writer
            .write(Terms::relief(Sync::Durable), move |tx| {
                deliveries::release(tx, &fences, clock.now().plus(pause))
            })
            .await
    }

    /// Holds on to leases, frees those that have run out, and writes down the time.
    pub async fn beat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError> {
        let (owner, clock) = (self.owner, self.clock);
        let act = move |connection: &Connection| {
            let now = clock.now();
            deliveries::hold(connection, &fences, now)?;
            clock::write_down(connection, now)?;
            Ok(deliveries::recover(connection, &owner, now)?.0)
        };
        self.writer.write(Terms::relief(Sync::Relaxed), act).await
    }

    /// Keeps an event whose handler has answered already; with effects, before that answer is sent.
    pub async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        let (clock, bound) = (self.clock, self.bound.clone());
        let act = move |tx: &Connection| {
            deliveries::record(tx, &stored, &attempt, &ending, clock.now(), &bound)
        };
        self.writer.write(Terms::more(Sync::Durable), act).await
    }

    /// The same after the answer, where there is room; none where there is not.
    pub fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Option<()> {
        let (clock, bound) = (self.clock, self.bound.clone());
        self.writer.leave(move |tx| {
            deliveries::record(tx, &stored, &attempt, &ending, clock.now(), &bound).map(drop)
        })
    }

    /// Removes what is old enough.
    pub async fn prune(&self) -> Result<usize, LedgerError> {
        let (retention, clock) = (self.retention, self.clock);
        let mut all = 0;
        loop {
            let act = move |tx: &Connection| retention::step(tx, &retention, clock.now());
            let count = self.writer.write(Terms::relief(Sync::Relaxed), act).await?;
            all += count;
            if !retention::is_whole_step(count) {
                return Ok(all);
            }
        }
    }

    /// As `Ledger::replay`.
    pub async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError> {
        let clock = self.clock;
        if order.dry_run {
            let now = clock.now();
            return self
                .ask(move |connection| operator::replay_all(connection, &order, now))
                .await;
        }

        let mut fates = Vec::with_capacity(order.events.len());
        let mut delay = order.delay;
        for events in order.events.chunks(OPERATOR_STEP) {
            let step = ReplayOrder {
                events: events.to_vec(),
                delay,
                ..order
            };
            let act = move |tx: &Connection| operator::replay_all(tx, &step, clock.now());
            let done = self.writer.write(Terms::more(Sync::Durable), act).await?;
            let queued = done
                .iter()
                .filter(|fate| matches!(fate, Replayed::Queued(_)));
            delay += order.apart * queued.count() as u32;
            fates.extend(done);
        }
        Ok(fates)
    }

    /// As `Ledger::operate`.
    pub async fn operate(&self, step: Step, ids: Vec<i64>) -> Result<Vec<i64>, LedgerError> {
        let clock = self.clock;
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(OPERATOR_STEP) {
            let (step, ids) = (step.clone(), ids.to_vec());
            let act = move |tx: &Connection| operator::operate(tx, &step, &ids, clock.now());
            done.extend(self.writer.write(Terms::relief(Sync::Durable), act).await?);
        }
        Ok(done)
    }

    /// As `Ledger::purge`.
    pub async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError> {
        let mut sum = Purged::default();
        for _ in 0..limit.div_ceil(OPERATOR_STEP) {
            let hook = hook.clone();
            let act = move |tx: &Connection| operator::purge(tx, &hook, OPERATOR_STEP as i64);
            let step = self.writer.write(Terms::relief(Sync::Durable), act).await?;
            if step == Purged::default() {
                break;
            }
            sum.deliveries += step.deliveries;
            sum.identities += step.identities;
            sum.rows += step.rows;
            sum.values += step.values;
        }
        Ok(sum)
    }

    /// As `Ledger::purgeable`.
    pub async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError> {
        self.ask(move |connection| operator::purgeable(connection, &hook))
            .await
    }

    /// Whether the events of a hook wait, at the operator's word.
    pub async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError> {
        self.writer
            .write(Terms::relief(Sync::Durable), move |tx| {
                schema::pause(tx, &hook, paused)
            })
            .await
    }

    /// The hooks whose events wait, at the operator's word.
    pub async fn paused(&self) -> Result<Vec<String>, LedgerError> {
        self.ask(schema::paused).await
    }

    /// Hooks with pending deliveries, and when the first of each is due.
    pub async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError> {
        self.ask(deliveries::hooks_with_work).await
    }

    /// A page of deliveries.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| read::list(connection, &filter, now))
            .await
    }

    /// As `Ledger::contents`.
    pub async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError> {
        self.ask(move |connection| read::contents(connection, &deliveries, parts))
            .await
    }

    /// As `Ledger::find_ids`.
    pub async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.ask(move |connection| read::find_ids(connection, &first, &last, limit))
            .await
    }

    /// One event.
    pub async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| read::show(connection, &id, now))
            .await
    }

    /// Deliveries by hook and state.
    pub async fn count(&self) -> Result<Vec<Count>, LedgerError> {
        self.ask(read::count).await
    }

    /// The value that a hook keeps under a key.
    pub async fn kv_get(
        &self,
        hook: Arc<str>,
        key: String,
    ) -> Result<Option<KvValue>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| kv::get(connection, &hook, &key, now))
            .await
    }

    /// Keys of a hook that begin with `prefix`, in byte order, after `after`.
    pub async fn kv_keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        let now = self.now();
        self.ask(move |connection| kv::keys(connection, &hook, &prefix, &after, limit, now))
            .await
    }

    /// A page of rows.
    pub async fn rows(
        &self,
        hook: String,
        table: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, LedgerError> {
        self.ask(move |connection| rows::list(connection, &hook, &table, after, limit))
            .await
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
