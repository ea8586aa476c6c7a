//! The thread that writes. All waiting work goes into one transaction with one sync, and each caller is answered after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::bound::SizeBound;
use super::files::OpenFiles;
use super::integrity::OnFatal;
use super::place;
use super::reserve::Reserve;
use super::wal::Note;
use crate::error::{DATA_DIRECTORY, LedgerError};

/// Work in the queue; a further caller waits for room.
const WAITING_MAX: usize = 4096;
/// Work in one transaction.
const BATCH_MAX: usize = 512;
/// Frames of the log above which it is written back.
const CHECKPOINT_FRAMES: u32 = 2000;
/// Steps back below the size bound after one batch: a batch at its largest adds less than they remove.
const SHRINK_STEPS_MAX: usize = 16;
/// Between two reports of what was removed for lack of room.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// An idle ledger looks this often whether its files are where they were.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// While the ledger refuses writes, it tries one this often.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Sends work to the thread.
#[derive(Clone)]
pub struct Writer {
    waiting: mpsc::Sender<Asked>,
    refusal: Refusal,
}

/// Why the ledger accepts no events at the moment. Only a durable write that changed a page clears it.
#[derive(Clone)]
struct Refusal(Arc<Mutex<Option<LedgerError>>>);

/// How safe a write is when its caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// On stable storage.
    Durable,
    /// In the log: it survives the end of the process, but maybe not of the machine.
    Relaxed,
}

/// What a write does to the size of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// It adds data: refused on a full disk.
    Insert,
    /// It ends, extends or removes what is stored: it may use the reserve of a full disk.
    Reclaim,
}

/// How something is written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    sync: Sync,
    kind: WriteKind,
    /// Set when the caller no longer wants it: it does not begin. None: it cannot be cancelled.
    cancelled: Option<Arc<AtomicBool>>,
}

/// A message to the thread.
enum Asked {
    Work(Box<dyn Work>),
    /// The last message: the log is written back and the file closed.
    Close(oneshot::Sender<()>),
}

/// One piece of work. It is run again alone if another piece of its batch has failed.
trait Work: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn settle(self: Box<Self>, committed: Result<(), LedgerError>);
    fn options(&self) -> &WriteOptions;
}

struct Call<F, T> {
    act: F,
    done: Option<T>,
    answer: oneshot::Sender<Result<T, LedgerError>>,
    options: WriteOptions,
}

// === impl WriteOptions ===

impl WriteOptions {
    /// A write that adds data.
    pub fn insert(sync: Sync) -> WriteOptions {
        WriteOptions {
            sync,
            kind: WriteKind::Insert,
            cancelled: None,
        }
    }

    /// A write that ends, extends or removes what is stored.
    pub fn reclaim(sync: Sync) -> WriteOptions {
        WriteOptions {
            sync,
            kind: WriteKind::Reclaim,
            cancelled: None,
        }
    }

    /// The write does not begin once `cancelled` is set.
    pub fn unless(self, cancelled: Arc<AtomicBool>) -> WriteOptions {
        WriteOptions {
            cancelled: Some(cancelled),
            ..self
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled
            .as_ref()
            .is_some_and(|cancelled| cancelled.load(Ordering::Relaxed))
    }
}

impl<T: Send, F: FnMut(&Connection) -> rusqlite::Result<T> + Send> Work for Call<F, T> {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.done = Some((self.act)(connection)?);
        Ok(())
    }

    fn settle(self: Box<Self>, committed: Result<(), LedgerError>) {
        let Call { done, answer, .. } = *self;
        // A caller that is gone needs no answer.
        answer
            .send(committed.and(done.ok_or(LedgerError::Stopped)))
            .ok();
    }

    fn options(&self) -> &WriteOptions {
        &self.options
    }
}

// === impl Writer ===

impl Writer {
    /// Starts the thread; it ends when the last handle is gone. `on_fatal` is told when only a new start can help.
    pub fn start(
        connection: Connection,
        note: Note,
        reserve: Reserve,
        files: OpenFiles,
        bound: Arc<SizeBound>,
        on_fatal: OnFatal,
    ) -> std::io::Result<Writer> {
        let (waiting, asked) = mpsc::channel(WAITING_MAX);
        let refusal = Refusal(Arc::new(Mutex::new(
            (!reserve.is_there()).then_some(LedgerError::Full),
        )));
        let thread = Thread {
            connection,
            note,
            reserve,
            files,
            bound,
            next_report: Instant::now(),
            asked,
            timer: Builder::new_current_thread().enable_time().build()?,
            sync: None,
            refusal: refusal.clone(),
            next_probe: Instant::now(),
            on_fatal,
        };
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || thread.run())?;
        Ok(Writer { waiting, refusal })
    }

    /// Runs `act` in a transaction.
    pub async fn write<T: Send + 'static>(
        &self,
        options: WriteOptions,
        act: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(Call {
            act,
            done: None,
            answer,
            options,
        });
        self.waiting
            .send(Asked::Work(work))
            .await
            .map_err(|_| LedgerError::Stopped)?;
        answered.await.map_err(|_| LedgerError::Busy)?
    }

    /// Queues work without waiting for its result; none if the queue is full.
    pub fn leave(
        &self,
        act: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Option<()> {
        let (answer, _) = oneshot::channel();
        let work = Call {
            act,
            done: None,
            answer,
            options: WriteOptions::insert(Sync::Relaxed),
        };
        self.waiting.try_send(Asked::Work(Box::new(work))).ok()
    }

    /// Returns when all queued work is done and the file is closed. Nothing is written after it.
    pub async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.waiting.send(Asked::Close(closed)).await.is_ok() {
            is_closed.await.ok();
        }
    }

    /// Why nothing new is accepted: a write did not fit, or only with the reserve, or the file system is read-only.
    pub fn refuses(&self) -> Option<LedgerError> {
        self.refusal.get()
    }
}

// === impl Refusal ===

impl Refusal {
    fn get(&self) -> Option<LedgerError> {
        self.lock().clone()
    }

    fn set(&self, why: LedgerError) {
        let before = self.lock().replace(why.clone());
        if before.as_ref() != Some(&why) {
            tracing::error!(error = %why, "the ledger accepts no events until a write succeeds again");
        }
    }

    fn clear(&self) {
        if self.lock().take().is_some() {
            tracing::info!("a write to the ledger succeeded: events are accepted again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<LedgerError>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

struct Thread {
    connection: Connection,
    note: Note,
    reserve: Reserve,
    files: OpenFiles,
    bound: Arc<SizeBound>,
    next_report: Instant,
    asked: mpsc::Receiver<Asked>,
    /// Waits for work no longer than until the next probe.
    timer: Runtime,
    sync: Option<Sync>,
    refusal: Refusal,
    next_probe: Instant,
    on_fatal: OnFatal,
}

// === impl Thread ===

impl Thread {
    fn run(mut self) {
        let mut asked = Vec::with_capacity(BATCH_MAX);
        let mut closed = None;
        while closed.is_none() && self.receive(&mut asked) {
            let mut batch: Vec<Box<dyn Work>> = Vec::with_capacity(asked.len());
            for one in asked.drain(..) {
                match one {
                    Asked::Work(work) if closed.is_none() && !work.options().is_cancelled() => {
                        batch.push(work)
                    }
                    // Dropping the work tells its caller that there is no answer.
                    Asked::Work(_) => {}
                    Asked::Close(answer) => closed = Some(answer),
                }
            }

            let mut outcome = self.commit_unless_read_only(&mut batch);
            if outcome == Err(LedgerError::Full) && self.reserve.spend() {
                batch = reclaiming(batch);
                outcome = self.commit(&mut batch);
            }
            // A batch may commit without writing a page, so its success clears no refusal: `probe` does.
            match &outcome {
                Err(error @ (LedgerError::Full | LedgerError::ReadOnly(_))) => {
                    self.refusal.set(error.clone())
                }
                _ if !self.reserve.is_there() => self.refusal.set(LedgerError::Full),
                _ => {}
            }

            match outcome {
                // One of them is at fault: the others are tried alone.
                Err(LedgerError::Other(_)) if batch.len() > 1 => {
                    batch.drain(..).for_each(|work| self.alone(work))
                }
                outcome => {
                    if let Err(error) = &outcome {
                        self.tell(error);
                    }
                    batch
                        .drain(..)
                        .for_each(|work| work.settle(outcome.clone()));
                }
            }
            self.probe();
            self.shrink();
            self.checkpoint();
        }
        match self.files.check() {
            // The last connection to go writes the log back and removes it.
            Ok(()) => self.note.forget(),
            // What is left stays as it is: the next start compares the log with the note.
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

    /// Waits for work until the next check of the files or the next probe. False: no more work will come.
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
            && let Err(error) = self.files.check()
        {
            self.tell(&error);
        }
        received.map_or(true, |count| count > 0)
    }

    /// On a read-only file system nothing is tried but the probe.
    fn commit_unless_read_only(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), LedgerError> {
        match self.refusal.get() {
            Some(error @ LedgerError::ReadOnly(_)) if !batch.is_empty() => Err(error),
            _ => self.commit(batch),
        }
    }

    /// While the ledger refuses writes: writes one page and syncs it, at times. Events are accepted again once that succeeds.
    fn probe(&mut self) {
        if self.refusal.get().is_none() || Instant::now() < self.next_probe {
            return;
        }

        self.next_probe = Instant::now() + PROBE_EVERY;
        self.reserve.restore();
        // Without the reserve nothing is accepted, and the room that is left belongs to what ends.
        if !self.reserve.is_there() {
            return;
        }
        match self
            .write_probe()
            .map_err(|error| self.told_by_place(error))
        {
            Ok(()) => self.refusal.clear(),
            Err(error @ (LedgerError::Full | LedgerError::ReadOnly(_))) => self.refusal.set(error),
            Err(error) => self.tell(&error),
        }
    }

    /// Each value is new, because SQLite does not write a page whose bytes stay the same.
    fn write_probe(&mut self) -> Result<(), LedgerError> {
        self.set_sync(Sync::Durable)?;
        let value = Uuid::new_v4();
        self.connection.execute(
            "INSERT OR REPLACE INTO node (key, value) VALUES ('probe', ?)",
            [&value.as_bytes()[..]],
        )?;
        self.write_down();
        Ok(())
    }

    fn alone(&mut self, work: Box<dyn Work>) {
        let mut one = [work];
        let outcome = self.commit(&mut one);
        if let Err(error) = &outcome {
            self.tell(error);
        }
        let [work] = one;
        work.settle(outcome);
    }

    fn tell(&self, error: &LedgerError) {
        if error.is_fatal() {
            (self.on_fatal)(error);
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), LedgerError> {
        self.try_commit(batch)
            .map_err(|error| self.told_by_place(error))
    }

    /// SQLite reports a file system that has become read-only as a disk error, although no write is in doubt.
    fn told_by_place(&self, error: LedgerError) -> LedgerError {
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
        transaction.commit()?;
        // Before any of them is acknowledged.
        self.files.check()?;
        landfall_model::kill_point!("ledger-before-note");
        if durable {
            self.write_down();
        }
        landfall_model::kill_point!("ledger-after-commit");
        Ok(())
    }

    /// Notes how much of the log is on stable storage. If the note cannot be written, the next start checks less.
    fn write_down(&self) {
        if let Ok(frames) = self.frames() {
            self.note.write(frames).ok();
        }
    }

    fn frames(&self) -> rusqlite::Result<u32> {
        self.connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
            .query_row([], |row| row.get(1))
    }

    /// Brings the file below `ledger.max_size`, in steps, so that callers wait only for a short time. The rest follows after the next batch.
    fn shrink(&mut self) {
        for _ in 0..SHRINK_STEPS_MAX {
            match self.shrink_step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let error = self.told_by_place(error);
                    tracing::error!(%error, "the ledger cannot be brought below ledger.max_size");
                    self.tell(&error);
                    break;
                }
            }
        }
        if Instant::now() < self.next_report {
            return;
        }
        let (removed, dead) = self.bound.take_removed();
        if removed > 0 {
            self.next_report = Instant::now() + REPORT_EVERY;
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

    /// Writes the log back. Runs after the answers, so that no caller waits for it.
    fn checkpoint(&mut self) {
        if self.frames().is_ok_and(|frames| frames < CHECKPOINT_FRAMES) {
            return;
        }
        landfall_model::kill_point!("ledger-before-checkpoint");
        let done = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        landfall_model::kill_point!("ledger-after-checkpoint");
        if let Err(error) = done.map_err(LedgerError::from) {
            self.tell(&self.told_by_place(error));
        }
    }
}

/// The work that may use the reserve of a full disk; the rest is answered with `Full`.
fn reclaiming(batch: Vec<Box<dyn Work>>) -> Vec<Box<dyn Work>> {
    let (reclaim, insert): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|work| work.options().kind == WriteKind::Reclaim);
    insert
        .into_iter()
        .for_each(|work| work.settle(Err(LedgerError::Full)));
    reclaim
}
