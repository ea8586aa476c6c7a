//! What the thread that writes is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::erase::Scrubbed;
use crate::error::LedgerError;

/// How safe a write is when its caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// On stable storage.
    Durable,
    /// In the log: it survives the end of the process, but maybe not of the machine.
    Relaxed,
}

/// What a write does to the size of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteKind {
    /// It adds data: refused on a full disk.
    Insert,
    /// It ends, extends or removes what is stored: it may use the reserve of a full disk.
    Reclaim,
}

/// How something is written.
#[derive(Debug, Clone)]
pub(super) struct WriteOptions {
    pub(super) sync: Sync,
    pub(super) kind: WriteKind,
    /// Set when the caller no longer wants it: it does not begin. None: it cannot be cancelled.
    cancelled: Option<Arc<AtomicBool>>,
}

/// A message to the thread.
pub(super) enum Asked {
    Work(Box<dyn Work>),
    /// Overwrites what removed data has left in the files.
    Scrub(oneshot::Sender<Result<Scrubbed, LedgerError>>),
    /// The last message: the log is written back and the file closed.
    Close(oneshot::Sender<()>),
}

/// One piece of work. It is run again alone if another piece of its batch has failed.
pub(super) trait Work: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn settle(self: Box<Self>, committed: Result<(), LedgerError>);
    fn options(&self) -> &WriteOptions;
}

/// Work that sends its result to its caller.
pub(super) struct Call<F, T> {
    act: F,
    done: Option<T>,
    answer: oneshot::Sender<Result<T, LedgerError>>,
    options: WriteOptions,
}

// === impl WriteOptions ===

impl WriteOptions {
    /// A write that adds data.
    pub(super) fn insert(sync: Sync) -> WriteOptions {
        WriteOptions {
            sync,
            kind: WriteKind::Insert,
            cancelled: None,
        }
    }

    /// A write that ends, extends or removes what is stored.
    pub(super) fn reclaim(sync: Sync) -> WriteOptions {
        WriteOptions {
            sync,
            kind: WriteKind::Reclaim,
            cancelled: None,
        }
    }

    /// The write does not begin once `cancelled` is set.
    pub(super) fn unless(self, cancelled: Arc<AtomicBool>) -> WriteOptions {
        WriteOptions {
            cancelled: Some(cancelled),
            ..self
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled
            .as_ref()
            .is_some_and(|cancelled| cancelled.load(Ordering::Relaxed))
    }
}

// === impl Call ===

impl<F, T> Call<F, T> {
    pub(super) fn new(
        act: F,
        answer: oneshot::Sender<Result<T, LedgerError>>,
        options: WriteOptions,
    ) -> Call<F, T> {
        Call {
            act,
            done: None,
            answer,
            options,
        }
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
