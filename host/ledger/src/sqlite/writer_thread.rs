//! The thread that writes. It collects queued work, commits it in one transaction with one sync,
//! and answers each caller after that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, Error, TransactionBehavior};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::bound::SizeBound;
use super::integrity::OnFatal;
use super::open_files::OpenFiles;
use super::place;
use super::refusal::Refusal;
use super::reserve::Reserve;
use super::retention;
use super::wal::Note;
use super::work::{Asked, Sync, Work, WriteKind};
use crate::commit_times::CommitTimes;
use crate::erase::Scrubbed;
use crate::error::{DATA_DIRECTORY, LedgerError};

/// Work in the queue. Further callers wait until there is space.
const WAITING_MAX: usize = 4096;
/// Work in one transaction.
const BATCH_MAX: usize = 512;
/// A log with more frames than this is written back to the database.
const CHECKPOINT_FRAMES: u32 = 2000;
/// Removal steps after one batch, if the file is above its size limit. They remove more than the
/// largest batch adds.
const SHRINK_STEPS_MAX: usize = 16;
/// The time between two looks at the size of the file while it is far from its limit.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The time between two reports of deliveries that were removed because of `ledger.max_size`.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How often an idle ledger checks that its files still exist.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Steps that return free pages in one scrub, and the pages of each.
const VACUUM_STEPS_MAX: usize = 1000;
const VACUUM_PAGES: i64 = 1000;
/// How long a scrub waits for readers of an old state, and how long other steps do.
const SCRUB_TIMEOUT: Duration = Duration::from_millis(300);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two test writes while the ledger refuses events.
const PROBE_EVERY: Duration = Duration::from_millis(500);

pub(super) struct WriterThread {
    connection: Connection,
    note: Note,
    reserve: Reserve,
    files: OpenFiles,
    bound: Arc<SizeBound>,
    next_look: Instant,
    next_report: Instant,
    asked: mpsc::Receiver<Asked>,
    /// Limits the wait for work to the next check or probe.
    timer: Runtime,
    sync: Option<Sync>,
    /// The length of the log at the last check of the files.
    log_frames: u32,
    refusal: Refusal,
    next_probe: Instant,
    on_fatal: OnFatal,
    times: CommitTimes,
}

// === impl WriterThread ===

impl WriterThread {
    /// Starts the thread, which ends when every sender is dropped. Returns the way to send it work,
    /// and why it accepts no events.
    pub(super) fn spawn(
        connection: Connection,
        note: Note,
        reserve: Reserve,
        files: OpenFiles,
        bound: Arc<SizeBound>,
        on_fatal: OnFatal,
        times: CommitTimes,
    ) -> std::io::Result<(mpsc::Sender<Asked>, Refusal)> {
        let (waiting, asked) = mpsc::channel(WAITING_MAX);
        let refusal = Refusal::new((!reserve.is_there()).then_some(LedgerError::Full));
        let thread = WriterThread {
            connection,
            note,
            reserve,
            files,
            bound,
            next_look: Instant::now(),
            next_report: Instant::now(),
            asked,
            timer: Builder::new_current_thread().enable_time().build()?,
            sync: None,
            log_frames: 0,
            refusal: refusal.clone(),
            next_probe: Instant::now(),
            on_fatal,
            times,
        };
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || thread.run())?;
        Ok((waiting, refusal))
    }

    fn run(mut self) {
        let mut asked = Vec::with_capacity(BATCH_MAX);
        let mut closed = None;
        while closed.is_none() && self.receive(&mut asked) {
            let mut batch: Vec<Box<dyn Work>> = Vec::with_capacity(asked.len());
            let mut scrubs = Vec::new();
            for one in asked.drain(..) {
                match one {
                    Asked::Work(work) if closed.is_none() && !work.options().is_cancelled() => {
                        batch.push(work)
                    }
                    // Dropping the work tells its caller that there is no answer.
                    Asked::Work(_) => {}
                    Asked::Scrub(answer) => scrubs.push(answer),
                    Asked::Close(answer) => closed = Some(answer),
                }
            }

            let mut outcome = self.commit_unless_read_only(&mut batch);
            if outcome == Err(LedgerError::Full) && self.reserve.spend() {
                batch = reclaiming(batch);
                outcome = self.commit(&mut batch);
            }

            // A batch may commit without writing a page, so only `probe` clears a refusal.
            match &outcome {
                Err(error @ (LedgerError::Full | LedgerError::ReadOnly(_))) => {
                    self.refusal.set(error.clone())
                }
                _ if !self.reserve.is_there() => self.refusal.set(LedgerError::Full),
                _ => {}
            }

            match outcome {
                // One piece of work is at fault: each is committed alone.
                Err(LedgerError::Other(_)) if batch.len() > 1 => {
                    batch.drain(..).for_each(|work| self.commit_alone(work))
                }
                outcome => {
                    if let Err(error) = &outcome {
                        self.report_if_fatal(error);
                    }
                    batch
                        .drain(..)
                        .for_each(|work| work.settle(outcome.clone()));
                }
            }

            self.probe();
            self.shrink();
            self.checkpoint();
            if !scrubs.is_empty() {
                let scrubbed = self.scrub().map_err(|error| self.classify_error(error));
                if let Err(error) = &scrubbed {
                    self.report_if_fatal(error);
                }
                // A caller that is gone needs no answer.
                for answer in scrubs {
                    answer.send(scrubbed.clone()).ok();
                }
            }
        }

        match self.check_files() {
            // Closing the last connection writes the log back and removes it.
            Ok(_) => self.note.forget(),
            // The log stays as it is: the next start compares it with the note.
            Err(error) => {
                self.connection
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
                    .ok();
                (self.on_fatal)(&error);
            }
        }
        drop(self.connection);
        if let Some(closed) = closed {
            closed.send(()).ok();
        }
    }

    /// Waits for work until the next check of the files or the next probe. False: all handles have
    /// been dropped.
    fn receive(&mut self, asked: &mut Vec<Asked>) -> bool {
        let until = match self.refusal.get() {
            None => Instant::now() + CHECK_EVERY,
            Some(_) => self.next_probe,
        };

        let until = until.into();
        let received = self.asked.recv_many(asked, BATCH_MAX);
        let received = self
            .timer
            .block_on(async { tokio::time::timeout_at(until, received).await });
        if received.is_err()
            && let Err(error) = self.check_files()
        {
            self.report_if_fatal(&error);
        }
        received.map_or(true, |count| count > 0)
    }

    /// On a read-only file system, only `probe` writes.
    fn commit_unless_read_only(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), LedgerError> {
        match self.refusal.get() {
            Some(error @ LedgerError::ReadOnly(_)) if !batch.is_empty() => Err(error),
            _ => self.commit(batch),
        }
    }

    /// While the ledger refuses events: writes one page and syncs it, at intervals. Events are
    /// accepted again once that succeeds.
    fn probe(&mut self) {
        if self.refusal.get().is_none() || Instant::now() < self.next_probe {
            return;
        }

        self.next_probe = Instant::now() + PROBE_EVERY;
        self.reserve.restore();
        // Without the reserve no event is accepted: the remaining space is for attempts that end.
        if !self.reserve.is_there() {
            return;
        }
        match self
            .write_probe()
            .map_err(|error| self.classify_error(error))
        {
            Ok(()) => self.refusal.clear(),
            Err(error @ (LedgerError::Full | LedgerError::ReadOnly(_))) => self.refusal.set(error),
            Err(error) => self.report_if_fatal(&error),
        }
    }

    /// Returns how many frames the log has, if SQLite can say.
    fn check_files(&mut self) -> Result<Option<u32>, LedgerError> {
        let frames = self.frames().ok();
        self.files.check(frames.unwrap_or(0))?;
        self.log_frames = frames.unwrap_or(self.log_frames);
        Ok(frames)
    }

    /// Writes a new value each time, because SQLite does not write a page whose bytes stay the
    /// same.
    fn write_probe(&mut self) -> Result<(), LedgerError> {
        self.set_sync(Sync::Durable)?;
        let value = Uuid::new_v4();
        self.connection.execute(
            "INSERT OR REPLACE INTO node (key, value) VALUES ('probe', ?)",
            [&value.as_bytes()[..]],
        )?;
        let frames = self.frames().ok();
        self.write_note(frames)
    }

    fn commit_alone(&mut self, work: Box<dyn Work>) {
        let mut one = [work];
        let outcome = self.commit(&mut one);
        if let Err(error) = &outcome {
            self.report_if_fatal(error);
        }
        let [work] = one;
        work.settle(outcome);
    }

    fn report_if_fatal(&self, error: &LedgerError) {
        if error.is_fatal() {
            (self.on_fatal)(error);
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), LedgerError> {
        self.try_commit(batch)
            .map_err(|error| self.classify_error(error))
    }

    /// SQLite reports a file system that has become read-only as a disk error, although no write is
    /// in doubt.
    fn classify_error(&self, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Disk(_) if place::is_read_only(self.reserve.dir()) => {
                LedgerError::ReadOnly(DATA_DIRECTORY)
            }
            error => error,
        }
    }

    fn try_commit(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), LedgerError> {
        if batch.is_empty() {
            return Ok(());
        }

        self.check_files()?;
        let durable = batch
            .iter()
            .any(|work| work.options().sync == Sync::Durable);
        self.set_sync(if durable {
            Sync::Durable
        } else {
            Sync::Relaxed
        })?;

        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for work in batch {
            work.run(&transaction)?;
            landfall_model::kill_point!("ledger-in-batch");
        }
        landfall_model::kill_point!("ledger-before-commit");
        let started = Instant::now();
        transaction.commit()?;
        if durable {
            self.times.report(started);
        }

        // Before any caller is answered.
        let frames = self.check_files()?;
        landfall_model::kill_point!("ledger-before-note");
        if durable {
            self.write_note(frames)?;
        }
        landfall_model::kill_point!("ledger-after-commit");
        Ok(())
    }

    /// Notes how many frames of the log are on stable storage. If the note cannot be written, the
    /// next start checks fewer frames.
    fn write_note(&mut self, frames: Option<u32>) -> Result<(), LedgerError> {
        if let Some(frames) = frames {
            let salts = self.files.check_log(frames)?;
            self.note.write(&salts, frames).ok();
        }
        Ok(())
    }

    /// How many frames the log has. SQLite compiles a pragma again for each run, even a cached one:
    /// this is called twice for each commit.
    fn frames(&self) -> rusqlite::Result<u32> {
        let (frames, _) = self
            .connection
            .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::NOOP)?;
        u32::try_from(frames).map_err(|_| Error::IntegralValueOutOfRange(1, frames.into()))
    }

    /// Brings the file below `ledger.max_size` in small steps, so that callers wait only for a
    /// short time. The remaining steps follow after the next batch.
    fn shrink(&mut self) {
        let now = Instant::now();
        if self.bound.has_ample_room() && now < self.next_look {
            return;
        }

        self.next_look = now + LOOK_EVERY;
        for _ in 0..SHRINK_STEPS_MAX {
            match self.shrink_step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let error = self.classify_error(error);
                    tracing::error!(%error, "the ledger cannot be brought below ledger.max_size");
                    self.report_if_fatal(&error);
                    break;
                }
            }
        }

        if let Err(error) = self.bound.observe(&self.connection) {
            self.report_if_fatal(&self.classify_error(error.into()));
        }
        if now < self.next_report {
            return;
        }

        let (removed, dead) = self.bound.take_removed();
        if removed > 0 {
            self.next_report = now + REPORT_EVERY;
            let max_size = bytesize::ByteSize(self.bound.max_bytes()).display().iec();
            tracing::warn!(removed, dead, %max_size, "ledger.max_size is reached: the oldest ended deliveries were removed");
        }
    }

    /// False: there is nothing to remove.
    fn shrink_step(&mut self) -> Result<bool, LedgerError> {
        let is_read_only = matches!(self.refusal.get(), Some(LedgerError::ReadOnly(_)));
        if is_read_only || !self.bound.is_exceeded(&self.connection)? {
            return Ok(false);
        }

        self.set_sync(Sync::Relaxed)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let has_removed = self.bound.shrink(&transaction)?;
        transaction.commit()?;
        Ok(has_removed)
    }

    fn set_sync(&mut self, sync: Sync) -> Result<(), LedgerError> {
        if self.sync != Some(sync) {
            let word = if sync == Sync::Durable {
                "FULL"
            } else {
                "NORMAL"
            };
            self.connection.pragma_update(None, "synchronous", word)?;
            self.sync = Some(sync);
        }
        Ok(())
    }

    /// Writes the log back to the database. Runs after the callers were answered, so that none
    /// waits for it.
    fn checkpoint(&mut self) {
        if self.log_frames < CHECKPOINT_FRAMES {
            return;
        }

        if let Err(error) = self.try_checkpoint() {
            self.report_if_fatal(&self.classify_error(error));
        }
    }

    /// Returns free pages to the file system, and empties the log.
    fn scrub(&mut self) -> Result<Scrubbed, LedgerError> {
        if let Some(error @ LedgerError::ReadOnly(_)) = self.refusal.get() {
            return Err(error);
        }
        self.set_sync(Sync::Durable)?;
        for _ in 0..VACUUM_STEPS_MAX {
            let free: i64 = self
                .connection
                .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
            if free == 0 {
                break;
            }
            retention::return_free_pages(&self.connection, VACUUM_PAGES)?;
        }

        self.try_checkpoint()?;
        // An empty log has none of the noted frames. They are in the database from here on.
        self.write_note_of(0)?;
        self.connection.busy_timeout(SCRUB_TIMEOUT)?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        self.files
            .written_back()
            .map_err(|error| LedgerError::Disk(error.to_string()))?;
        // The log gets a header again, which the checks of the files expect.
        self.write_probe()?;
        self.log_frames = self.frames().unwrap_or(self.log_frames);
        Ok(match busy? {
            0 => Scrubbed::Clean,
            _ => Scrubbed::Busy,
        })
    }

    fn write_note_of(&mut self, frames: u32) -> Result<(), LedgerError> {
        let salts = self.files.check_log(frames)?;
        self.note.write(&salts, frames).ok();
        Ok(())
    }

    fn try_checkpoint(&mut self) -> Result<(), LedgerError> {
        self.check_files()?;
        landfall_model::kill_point!("ledger-before-checkpoint");
        let done = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        landfall_model::kill_point!("ledger-after-checkpoint");
        // Also after an error: a part of the log may be in the database.
        self.files
            .written_back()
            .map_err(|error| LedgerError::Disk(error.to_string()))?;
        Ok(done?)
    }
}

/// Returns the work that may use the reserve of a full disk. Other work is answered with `Full`.
fn reclaiming(batch: Vec<Box<dyn Work>>) -> Vec<Box<dyn Work>> {
    let (reclaim, insert): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|work| work.options().kind == WriteKind::Reclaim);
    insert
        .into_iter()
        .for_each(|work| work.settle(Err(LedgerError::Full)));
    reclaim
}
