//! Writes that need no read first. All queued jobs go to the server in one pipelined transaction,
//! and each caller is answered after its commit. If one job fails, each is committed alone. SQLite:
//! `writer.rs`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, Transaction};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::accept::accept;
use super::connect;
use super::finish::{Ended, finish, record};
use super::query::{Cached, within};
use crate::commit_times::CommitTimes;
use crate::error::LedgerError;
use crate::flow_counts::{FlowCounts, FlowNotes};
use crate::held::{BATCH, DEBOUNCE};
use crate::steps::{Accepted, AttemptRecord, Committed, Disposition, Fence, NewEvent};
use landfall_model::stored_event::Stored;
use landfall_model::{Admission, lock};

/// Jobs in a queue. Further callers wait until there is space, up to `QUEUE_TIMEOUT`.
const WAITING_MAX: usize = 4096;
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Jobs in one transaction.
const BATCH_MAX: usize = 128;
/// Workers that end attempts.
const FINISH_WORKERS: usize = 2;
/// The least time between two notifications of other nodes about a hook.
const HINT_EVERY: Duration = Duration::from_millis(100);

/// Sends jobs to the workers.
pub(super) struct Writer {
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
pub(super) struct Job {
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

/// What a worker reports of its commits.
#[derive(Clone)]
struct Observed {
    times: CommitTimes,
    flow: FlowCounts,
}

/// When other nodes were last notified about a hook.
type Notified = Arc<std::sync::Mutex<HashMap<String, Instant>>>;

/// The place of a job in its batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    /// The step of the group that the event joins.
    step: i64,
    hook: &'a str,
    /// The key of that group.
    key: &'a [u8],
    order_key: &'a str,
    delivery: i64,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(pool: Pool, times: &CommitTimes, flow: &FlowCounts) -> Writer {
        let (accept, accept_jobs) = mpsc::channel(WAITING_MAX);
        let (finish, finish_jobs) = mpsc::channel(WAITING_MAX);
        let accept_jobs = Arc::new(Mutex::new(accept_jobs));
        let finish_jobs = Arc::new(Mutex::new(finish_jobs));
        let notified = Notified::default();
        let observed = Observed {
            times: times.clone(),
            flow: flow.clone(),
        };

        let queued =
            std::iter::once(accept_jobs).chain(std::iter::repeat_n(finish_jobs, FINISH_WORKERS));
        let workers = queued
            .map(|jobs| tokio::spawn(work(pool.clone(), jobs, notified.clone(), observed.clone())))
            .collect();
        Writer {
            queues: std::sync::Mutex::new(Some(Queues { accept, finish })),
            workers: Mutex::new(workers),
        }
    }

    pub(super) async fn accept(
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

    pub(super) async fn finish(
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
    pub(super) fn try_queue(&self, job: Job) -> Option<()> {
        self.queues()?.finish.try_send(job).ok()
    }

    /// Returns when all queued jobs are done.
    pub(super) async fn close(&self) {
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
    pub(super) fn record(
        stored: Box<Stored>,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Job {
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

    /// The order of jobs in a batch. All nodes sort alike, so that few deadlocks occur. Events of
    /// one order key or one group keep their order.
    fn rank(&self) -> Rank<'_> {
        match &self.step {
            JobStep::Accept { new, .. } => {
                let (step, key) = group_of(&new.admission);
                Rank {
                    step,
                    hook: &new.stored.event().hook,
                    key,
                    order_key: new.order_key.as_deref().unwrap_or_default(),
                    delivery: 0,
                }
            }
            JobStep::Finish { fence, .. } => Rank {
                delivery: fence.delivery,
                ..Rank::default()
            },
            JobStep::Record { .. } => Rank::default(),
        }
    }

    /// Whether the event joins a group. Such jobs are first in their batch.
    fn joins_group(&self) -> bool {
        matches!(&self.step, JobStep::Accept { new, .. } if matches!(new.admission, Admission::Hold(_)))
    }

    async fn run(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(Written, FlowNotes), tokio_postgres::Error> {
        let mut notes = FlowNotes::default();
        let written = match &self.step {
            JobStep::Accept { new, owner, .. } => {
                Written::Accepted(accept(transaction, new, *owner, &mut notes).await?)
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
                record(transaction, stored, attempt, disposition).await?;
                Written::Committed(Committed::Stored)
            }
        };
        Ok((written, notes))
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

/// The group whose row the event locks: its step and its key. Debounced groups are first, then
/// batches, then order keys, as in the transaction that closes groups.
fn group_of(admission: &Admission) -> (i64, &[u8]) {
    const NONE: (i64, &[u8]) = (i64::MAX, &[]);
    match admission {
        Admission::Run | Admission::Filtered(_) => NONE,
        Admission::Hold(hold) => match (&hold.debounce, &hold.batch) {
            (Some(debounce), _) => (DEBOUNCE, &debounce.key[..]),
            (None, Some(batch)) => (BATCH, &batch.key[..]),
            (None, None) => NONE,
        },
    }
}

/// Commits queued jobs in batches until the queue is closed.
async fn work(
    pool: Pool,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    notified: Notified,
    observed: Observed,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        if jobs.lock().await.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }

        batch.retain(|job| !job.is_cancelled());
        batch.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let results = match commit(&pool, &batch, &observed).await {
            Err(_) if batch.len() > 1 => {
                join_all(batch.iter().map(|job| commit_alone(&pool, job, &observed))).await
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

async fn commit_alone(pool: &Pool, job: &Job, observed: &Observed) -> Result<Written, LedgerError> {
    commit(pool, std::slice::from_ref(job), observed)
        .await
        .map(|mut written| written.remove(0))
}

async fn commit(
    pool: &Pool,
    jobs: &[Job],
    observed: &Observed,
) -> Result<Vec<Written>, LedgerError> {
    within(async {
        let mut client = pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::describe_error(&error)))?;
        let transaction = client.transaction().await?;
        landfall_model::kill_point!("ledger-in-batch");
        // An event that runs locks its order key in the first of its statements, one that waits
        // locks its group in the second: all of those come first.
        let (joining, others) = jobs.split_at(jobs.partition_point(Job::joins_group));
        let mut written = try_join_all(joining.iter().map(|job| job.run(&transaction))).await?;
        written.extend(try_join_all(others.iter().map(|job| job.run(&transaction))).await?);
        landfall_model::kill_point!("ledger-before-commit");
        let started = Instant::now();
        transaction.commit().await?;
        observed.times.report(started);
        landfall_model::kill_point!("ledger-after-commit");
        let (written, notes): (Vec<Written>, Vec<FlowNotes>) = written.into_iter().unzip();
        notes.into_iter().for_each(|notes| observed.flow.add(notes));
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

/// Notifies other nodes about hooks with new events. A lost notification only delays them until
/// they poll.
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
