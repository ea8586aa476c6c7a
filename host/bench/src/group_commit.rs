//! Group commit in SQLite alone: what `durable` compares the ledger with. One thread writes. It
//! commits what waits in one transaction, with the ledger's settings of durability.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::body::Bytes;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::load::Measured;

/// As the ledger.
const WAITING_MAX: usize = 4096;
const BATCH_MAX: usize = 512;
const SETTINGS: [(&str, i64); 3] = [
    ("wal_autocheckpoint", 2000),
    ("journal_size_limit", 64 << 20),
    ("cache_size", -65_536),
];
const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (\
                     seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL)";
const INSERT: &str = "INSERT INTO events (id, body) VALUES (?1, ?2)";

/// The way to the thread that writes, which ends with the last of its clones.
#[derive(Clone)]
pub(crate) struct GroupCommit {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    id: Uuid,
    body: Bytes,
    /// Dropped without an answer if the commit failed.
    done: oneshot::Sender<()>,
}

// === impl GroupCommit ===

impl GroupCommit {
    pub(crate) fn open(path: &Path) -> anyhow::Result<GroupCommit> {
        let connection = Connection::open(path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        for (name, value) in SETTINGS {
            connection.pragma_update(None, name, value)?;
        }
        connection.execute_batch(TABLE)?;

        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("group-commit".into())
            .spawn(move || write_all(connection, waiting))?;
        Ok(GroupCommit { queue })
    }

    /// Returns when the body is on stable storage.
    pub(crate) async fn store(&self, body: Bytes) -> anyhow::Result<()> {
        let (done, stored) = oneshot::channel();
        let waiting = Waiting {
            id: Uuid::now_v7(),
            body,
            done,
        };
        self.queue.send(waiting).await.ok();
        stored.await.context("the body was not stored")
    }
}

fn write_all(mut connection: Connection, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        match commit(&mut connection, &batch) {
            Ok(()) => {
                for one in batch.drain(..) {
                    one.done.send(()).ok();
                }
            }
            Err(error) => {
                eprintln!("landfall-bench: SQLite: {error}");
                batch.clear();
            }
        }
    }
}

fn commit(connection: &mut Connection, batch: &[Waiting]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for one in batch {
        transaction
            .prepare_cached(INSERT)?
            .execute((&one.id.as_bytes()[..], &one.body[..]))?;
    }
    transaction.commit()
}

/// Stores `body` again and again in this many tasks, without HTTP.
pub(crate) async fn run_alone(
    writer: &GroupCommit,
    body: &str,
    tasks: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let body: Arc<str> = body.into();
    let started = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| tokio::spawn(store_until(writer.clone(), body.clone(), started + time)))
        .collect();

    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.context("a task panicked")??);
    }

    let elapsed = started.elapsed();
    anyhow::ensure!(!latencies.is_empty(), "SQLite stored nothing");
    Ok(Measured::of(latencies, elapsed))
}

async fn store_until(
    writer: GroupCommit,
    body: Arc<str>,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let sent = Instant::now();
        writer
            .store(Bytes::copy_from_slice(body.as_bytes()))
            .await?;
        latencies.push(sent.elapsed());
    }

    Ok(latencies)
}
