//! Writes that need no read first. All queued jobs go to the server in one pipelined transaction, and each caller is answered after its
//! commit. If one job fails, each is committed alone. SQLite: `writer.rs`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, Transaction};
use futures_util::future::{join_all, try_join_all};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::Row;
use uuid::Uuid;

use super::connect;
use super::query::{Cached, millis, plain, received, within};
use crate::error::LedgerError;
use crate::state_column::StateColumn;
use crate::steps::{
    Accepted, AttemptRecord, Committed, Disposition, Fence, NewEvent, OpenState, Results,
    SHARED_LEASE,
};
use landfall_model::stored_event::Stored;
use landfall_model::{DedupKey, DeliveryState, EventId, lock};

/// Jobs in a queue. Further callers wait until there is space, up to `QUEUE_TIMEOUT`.
const WAITING_MAX: usize = 4096;
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Jobs in one transaction.
const BATCH_MAX: usize = 128;
/// Workers that end attempts.
const FINISH_WORKERS: usize = 2;
/// The least time between two notifications of other nodes about a hook.
const HINT_EVERY: Duration = Duration::from_millis(100);
/// Longer keys are stored as their digest.
const KEY_BYTES_MAX: usize = 512;

/// Sends jobs to the workers.
pub struct Writer {
    /// `None` once closed.
    queues: std::sync::Mutex<Option<Queues>>,
    workers: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

/// The queues of the workers.
#[derive(Clone)]
struct Queues {
    /// Has one worker, so that events stay in their order.
    accept: mpsc::Sender<Job>,
    finish: mpsc::Sender<Job>,
}

/// One write.
pub struct Job {
    step: JobStep,
    answer: oneshot::Sender<Result<Written, LedgerError>>,
}

enum JobStep {
    Accept {
        new: Box<NewEvent>,
        owner: Option<Uuid>,
        cancelled: Arc<AtomicBool>,
    },
    Finish {
        fence: Fence,
        attempt: AttemptRecord,
        disposition: Disposition,
    },
    Record {
        stored: Box<Stored>,
        attempt: AttemptRecord,
        disposition: Disposition,
    },
}

/// The result of a job.
#[derive(Debug, Clone)]
enum Written {
    Accepted(Accepted),
    Committed(Committed),
}

/// When other nodes were last notified about a hook.
type Notified = Arc<std::sync::Mutex<HashMap<String, Instant>>>;

// === impl Writer ===

impl Writer {
    pub fn start(pool: Pool) -> Writer {
        let (accept, accept_jobs) = mpsc::channel(WAITING_MAX);
        let (finish, finish_jobs) = mpsc::channel(WAITING_MAX);
        let accept_jobs = Arc::new(Mutex::new(accept_jobs));
        let finish_jobs = Arc::new(Mutex::new(finish_jobs));
        let notified = Notified::default();

        let queued =
            std::iter::once(accept_jobs).chain(std::iter::repeat_n(finish_jobs, FINISH_WORKERS));
        let workers = queued
            .map(|jobs| tokio::spawn(work(pool.clone(), jobs, notified.clone())))
            .collect();
        Writer {
            queues: std::sync::Mutex::new(Some(Queues { accept, finish })),
            workers: Mutex::new(workers),
        }
    }

    pub async fn accept(
        &self,
        new: Box<NewEvent>,
        owner: Option<Uuid>,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        match self
            .write(JobStep::Accept {
                new,
                owner,
                cancelled,
            })
            .await?
        {
            Written::Accepted(accepted) => Ok(accepted),
            Written::Committed(_) => Err(LedgerError::Stopped),
        }
    }

    pub async fn finish(
        &self,
        fence: Fence,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        match self
            .write(JobStep::Finish {
                fence,
                attempt,
                disposition,
            })
            .await?
        {
            Written::Committed(finished) => Ok(finished),
            Written::Accepted(_) => Err(LedgerError::Stopped),
        }
    }

    /// Queues a job without waiting for its result. `None` if the queue is full.
    pub fn try_queue(&self, job: Job) -> Option<()> {
        self.queues()?.finish.try_send(job).ok()
    }

    /// Returns when all queued jobs are done.
    pub async fn close(&self) {
        lock(&self.queues).take();
        for worker in self.workers.lock().await.drain(..) {
            worker.await.ok();
        }
    }

    fn queues(&self) -> Option<Queues> {
        lock(&self.queues).clone()
    }

    async fn write(&self, step: JobStep) -> Result<Written, LedgerError> {
        let (answer, written) = oneshot::channel();
        let queues = self.queues().ok_or(LedgerError::Stopped)?;
        let queue = if matches!(step, JobStep::Accept { .. }) {
            queues.accept
        } else {
            queues.finish
        };

        queue
            .send_timeout(Job { step, answer }, QUEUE_TIMEOUT)
            .await
            .map_err(|_| LedgerError::Busy)?;
        written.await.map_err(|_| LedgerError::Stopped)?
    }
}

// === impl Job ===

impl Job {
    pub fn record(stored: Box<Stored>, attempt: AttemptRecord, disposition: Disposition) -> Job {
        Job {
            step: JobStep::Record {
                stored,
                attempt,
                disposition,
            },
            answer: oneshot::channel().0,
        }
    }

    /// Whether the caller has cancelled the job before it began.
    fn is_cancelled(&self) -> bool {
        matches!(&self.step, JobStep::Accept { cancelled, .. } if cancelled.load(Ordering::Relaxed))
    }

    /// The order of jobs in a batch. All nodes sort alike, so that few deadlocks occur. Events of one order key keep their order.
    fn rank(&self) -> (&str, &str, i64) {
        match &self.step {
            JobStep::Accept { new, .. } => (
                &new.stored.event().hook,
                new.order_key.as_deref().unwrap_or_default(),
                0,
            ),
            JobStep::Finish { fence, .. } => ("", "", fence.delivery),
            JobStep::Record { .. } => ("", "", 0),
        }
    }

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Written, tokio_postgres::Error> {
        Ok(match &self.step {
            JobStep::Accept { new, owner, .. } => {
                Written::Accepted(accept(transaction, new, *owner).await?)
            }
            JobStep::Finish {
                fence,
                attempt,
                disposition,
            } => Written::Committed(
                match finish(transaction, *fence, attempt, disposition).await? {
                    Ended::LeaseLost => Committed::LeaseLost,
                    Ended::Now | Ended::Before => Committed::Stored,
                },
            ),
            JobStep::Record {
                stored,
                attempt,
                disposition,
            } => {
                keep_answered(transaction, stored, attempt, disposition).await?;
                Written::Committed(Committed::Stored)
            }
        })
    }

    /// The hook of a new event that other nodes may run now.
    fn hook_to_notify(&self, written: &Written) -> Option<&str> {
        match (&self.step, written) {
            (JobStep::Accept { new, .. }, Written::Accepted(Accepted::NEW))
                if new.delay.is_zero() =>
            {
                Some(&new.stored.event().hook)
            }
            _ => None,
        }
    }
}

/// Commits queued jobs in batches until the queue is closed.
async fn work(pool: Pool, jobs: Arc<Mutex<mpsc::Receiver<Job>>>, notified: Notified) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        if jobs.lock().await.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }

        batch.retain(|job| !job.is_cancelled());
        batch.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let results = match commit(&pool, &batch).await {
            Err(_) if batch.len() > 1 => {
                join_all(batch.iter().map(|job| commit_alone(&pool, job))).await
            }
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
            Ok(written) => written.into_iter().map(Ok).collect(),
        };

        let hooks = hooks_to_notify(&notified, batch.iter().zip(&results));
        for (job, result) in batch.drain(..).zip(results) {
            job.answer.send(result).ok();
        }
        if !hooks.is_empty() {
            tokio::spawn(notify_nodes(pool.clone(), hooks));
        }
    }
}

async fn commit_alone(pool: &Pool, job: &Job) -> Result<Written, LedgerError> {
    commit(pool, std::slice::from_ref(job))
        .await
        .map(|mut written| written.remove(0))
}

async fn commit(pool: &Pool, jobs: &[Job]) -> Result<Vec<Written>, LedgerError> {
    within(async {
        let mut client = pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::describe_error(&error)))?;
        let transaction = client.transaction().await?;
        landfall_model::kill_point!("ledger-in-batch");
        let written = try_join_all(jobs.iter().map(|job| job.run(&transaction))).await?;
        landfall_model::kill_point!("ledger-before-commit");
        transaction.commit().await?;
        landfall_model::kill_point!("ledger-after-commit");
        Ok(written)
    })
    .await
}

/// Hooks about which other nodes were not notified within `HINT_EVERY`.
fn hooks_to_notify<'a>(
    notified: &Notified,
    jobs: impl Iterator<Item = (&'a Job, &'a Result<Written, LedgerError>)>,
) -> Vec<String> {
    let now = Instant::now();
    let mut notified = lock(notified);
    notified.retain(|_, at| now - *at < HINT_EVERY);

    let hooks = jobs.filter_map(|(job, result)| job.hook_to_notify(result.as_ref().ok()?));
    hooks
        .filter(|hook| notified.insert((*hook).to_owned(), now).is_none())
        .map(str::to_owned)
        .collect()
}

/// Notifies other nodes about hooks with new events. A lost notification only delays them until they poll.
async fn notify_nodes(pool: Pool, hooks: Vec<String>) {
    let notified = within(async {
        let client = pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::describe_error(&error)))?;
        Ok(notify(client, hooks).await?)
    });
    if let Err(error) = notified.await {
        tracing::debug!(%error, "other nodes were not notified of new events: they find them when they poll");
    }
}

async fn notify(mut client: Object, hooks: Vec<String>) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute("SET LOCAL synchronous_commit = off")
        .await?;
    let sql = "SELECT pg_notify('landfall', hook) FROM unnest($1::text[]) AS hook";
    transaction.execute_cached(sql, &[&hooks]).await?;
    transaction.commit().await
}

/// A key that an index can hold: the digest of a long key.
pub fn indexed(key: &[u8]) -> Vec<u8> {
    if key.len() <= KEY_BYTES_MAX {
        key.to_vec()
    } else {
        [b"sha256\0", &Sha256::digest(key)[..]].concat()
    }
}

/// Stores a new event with its delivery, unless it repeats an earlier event. SQLite: `accept::accept`.
pub async fn accept(
    transaction: &Transaction<'_>,
    new: &NewEvent,
    owner: Option<Uuid>,
) -> Result<Accepted, tokio_postgres::Error> {
    let event = new.stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let Keys {
        key,
        body_key,
        window,
    } = Keys::of(new);
    let order_key = new.order_key.as_deref().map(|key| indexed(key.as_bytes()));
    let sql = "SELECT kind, other, delivery, state, wait, reply
               FROM accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, false)";
    let row = transaction
        .query_one_cached(
            sql,
            &[
                &id,
                &hook,
                &received(&new.stored),
                &new.stored.head(),
                &&event.body[..],
                &&new.stored.digest()[..],
                &&new.stored.checksum()[..],
                &key,
                &body_key,
                &window,
                &order_key,
                &millis(new.delay),
                &owner,
                &millis(SHARED_LEASE),
                &new.dead,
            ],
        )
        .await?;
    let fence = row.get::<_, Option<i64>>(2).map(|delivery| Fence {
        delivery,
        attempt: 1,
    });
    let other = row
        .get::<_, Option<Uuid>>(1)
        .map(|id| EventId::from_bytes(id.into_bytes()));
    Ok(match (row.get::<_, i32>(0), other) {
        (1, Some(of)) => Accepted::repeat(of, open_state(&row, 3), row.get(5)),
        (2, conflict) => Accepted::New { fence, conflict },
        _ => Accepted::New {
            fence,
            conflict: None,
        },
    })
}

/// The keys of an event's identity, as an index can hold them.
pub struct Keys {
    /// The key of the identity, if the event has one.
    pub key: Option<Vec<u8>>,
    /// The key of the body under that identity. `None` if the identity alone decides.
    pub body_key: Option<Vec<u8>>,
    /// How long the identity is stored, in ms.
    pub window: i64,
}

// === impl Keys ===

impl Keys {
    pub fn of(new: &NewEvent) -> Keys {
        match &new.dedup {
            Some(dedup) => Keys::from_dedup(dedup, new.stored.digest()),
            None => Keys {
                key: None,
                body_key: None,
                window: 0,
            },
        }
    }

    pub fn from_dedup(dedup: &DedupKey, digest: &[u8; 32]) -> Keys {
        Keys {
            key: Some(indexed(&dedup.key)),
            body_key: dedup.of_body(digest).map(|dedup| indexed(&dedup.key)),
            window: millis(dedup.window),
        }
    }
}

/// The state of an earlier event's delivery, and when it is due, from two columns.
pub fn open_state(row: &Row, at: usize) -> Option<OpenState> {
    let StateColumn(state) = row.get(at);
    let wait_ms = row.get::<_, Option<i64>>(at + 1).unwrap_or(0).max(0);
    match state {
        DeliveryState::Pending => Some(OpenState::Pending(Duration::from_millis(wait_ms as u64))),
        DeliveryState::Running => Some(OpenState::Running),
        DeliveryState::Dead => Some(OpenState::Replayed),
        DeliveryState::Done | DeliveryState::Resolved | DeliveryState::Discarded => None,
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Another owner has the lease. Nothing was stored.
    LeaseLost,
    /// This transaction ended it.
    Now,
    /// An earlier transaction ended it in the same way, and its answer was lost.
    Before,
}

/// Ends a lease and records its attempt. SQLite: `finish::finish`.
pub async fn finish(
    transaction: &Transaction<'_>,
    fence: Fence,
    attempt: &AttemptRecord,
    disposition: &Disposition,
) -> Result<Ended, tokio_postgres::Error> {
    let reason = plain(&attempt.reason);
    let (state, pause, why) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, 0, None),
        Disposition::Retry(pause) => (DeliveryState::Pending, millis(*pause), Some(reason.clone())),
        Disposition::Dead(why) => (DeliveryState::Dead, 0, Some(plain(why))),
    };
    let sql = "SELECT finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let row = transaction
        .query_one_cached(
            sql,
            &[
                &fence.delivery,
                &(fence.attempt as i32),
                &StateColumn(state),
                &pause,
                &why,
                &attempt.started_ms,
                &attempt.duration_us,
                &attempt.outcome,
                &reason,
                &attempt.status.map(i32::from),
                &plain(&attempt.record),
            ],
        )
        .await?;
    let ended = match row.get::<_, i32>(0) {
        0 => Ended::LeaseLost,
        1 => Ended::Now,
        _ => Ended::Before,
    };
    if ended == Ended::Now && matches!(disposition, Disposition::Done(_)) && attempt.refuses() {
        // The provider may retry a refused event: the retry is not a duplicate.
        let sql = "DELETE FROM dedup i USING deliveries d WHERE d.id = $1 AND i.event = d.event";
        transaction.execute_cached(sql, &[&fence.delivery]).await?;
    }
    if let (
        Ended::Now,
        Disposition::Done(Results {
            reply: Some(reply), ..
        }),
    ) = (ended, disposition)
    {
        let sql = "UPDATE deliveries SET reply = $1 WHERE id = $2";
        transaction
            .execute_cached(sql, &[reply, &fence.delivery])
            .await?;
    }
    Ok(ended)
}

/// Stores an event whose handler has answered already, with its attempt. SQLite: `finish::record`.
pub async fn keep_answered(
    transaction: &Transaction<'_>,
    stored: &Stored,
    attempt: &AttemptRecord,
    disposition: &Disposition,
) -> Result<(), tokio_postgres::Error> {
    let event = stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let (state, why) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, None),
        Disposition::Retry(_) => (DeliveryState::Dead, Some(attempt.outcome.to_owned())),
        Disposition::Dead(why) => (DeliveryState::Dead, Some(plain(why))),
    };
    let sql =
        "SELECT keep_answered($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    transaction
        .query_one_cached(
            sql,
            &[
                &id,
                &hook,
                &received(stored),
                &stored.head(),
                &&event.body[..],
                &&stored.digest()[..],
                &&stored.checksum()[..],
                &StateColumn(state),
                &why,
                &attempt.started_ms,
                &attempt.duration_us,
                &attempt.outcome,
                &plain(&attempt.reason),
                &attempt.status.map(i32::from),
                &plain(&attempt.record),
            ],
        )
        .await
        .map(drop)
}
