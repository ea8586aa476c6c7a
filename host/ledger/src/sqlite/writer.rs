//! The way to the thread that writes. Callers send work and wait for its result.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::bound::SizeBound;
use super::integrity::OnFatal;
use super::open_files::OpenFiles;
use super::refusal::Refusal;
use super::reserve::Reserve;
use super::wal::Note;
use super::work::{Asked, Call, Sync, WriteOptions};
use super::writer_thread::WriterThread;
use crate::commit_times::CommitTimes;
use crate::erase::Scrubbed;
use crate::error::LedgerError;

/// Sends work to the thread.
#[derive(Clone)]
pub(super) struct Writer {
    waiting: mpsc::Sender<Asked>,
    refusal: Refusal,
}

// === impl Writer ===

impl Writer {
    /// Starts the thread, which ends when the last handle is dropped. `on_fatal` is called with an
    /// error that only a restart can resolve.
    pub(super) fn start(
        connection: Connection,
        note: Note,
        reserve: Reserve,
        files: OpenFiles,
        bound: Arc<SizeBound>,
        on_fatal: OnFatal,
        times: CommitTimes,
    ) -> std::io::Result<Writer> {
        let (waiting, refusal) =
            WriterThread::spawn(connection, note, reserve, files, bound, on_fatal, times)?;
        Ok(Writer { waiting, refusal })
    }

    /// Runs `act` in a transaction.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        options: WriteOptions,
        act: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(Call::new(act, answer, options));
        self.waiting
            .send(Asked::Work(work))
            .await
            .map_err(|_| LedgerError::Stopped)?;
        answered.await.map_err(|_| LedgerError::Busy)?
    }

    /// Overwrites what removed data has left in the files.
    pub(super) async fn scrub(&self) -> Result<Scrubbed, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.waiting
            .send(Asked::Scrub(answer))
            .await
            .map_err(|_| LedgerError::Stopped)?;
        answered.await.map_err(|_| LedgerError::Busy)?
    }

    /// Queues work without waiting for its result. `None` if the queue is full.
    pub(super) fn try_queue(
        &self,
        act: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Option<()> {
        let (answer, _) = oneshot::channel();
        let work = Call::new(act, answer, WriteOptions::insert(Sync::Relaxed));
        self.waiting.try_send(Asked::Work(Box::new(work))).ok()
    }

    /// Returns when all queued work is done and the file is closed. Nothing is written after it.
    pub(super) async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.waiting.send(Asked::Close(closed)).await.is_ok() {
            is_closed.await.ok();
        }
    }

    /// Why nothing new is accepted: a write did not fit, or only with the reserve, or the file
    /// system is read-only.
    pub(super) fn refuses(&self) -> Option<LedgerError> {
        self.refusal.get()
    }
}
