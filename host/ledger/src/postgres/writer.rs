//! What is kept without a look at anything else: whatever waits goes to the server in one transaction, pipelined, and each is
//! answered when that has been committed. If one of them fails, each is tried by itself.

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

use super::{Cached, connect, millis, plain, received, within};
use crate::error::LedgerError;
use crate::state_column::StateColumn;
use crate::steps::{
    Accepted, AttemptRecord, Committed, Disposition, Fence, NewEvent, OpenState, Results,
    SHARED_LEASE,
};
use landfall_model::stored_event::Stored;
use landfall_model::{DedupKey, DeliveryState, EventId};

/// Waiting to be written; who comes later waits for a place, and not for ever.
const WAITING_MAX: usize = 4096;
const PLACE_WITHIN: Duration = Duration::from_secs(2);
const BATCH_MAX: usize = 128;
/// Batches of ends at a time.
const WORKERS: usize = 2;
/// Another node is told of a hook so often at most.
const HINT_EVERY: Duration = Duration::from_millis(100);

/// Hands jobs to the workers.
pub struct Writer {
    /// What comes, by one worker, so that it stays in its order; and what ends, by others.
    jobs: std::sync::Mutex<Option<(mpsc::Sender<Job>, mpsc::Sender<Job>)>>,
    workers: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

/// One thing to keep.
pub struct Job {
    what: What,
    answer: oneshot::Sender<Result<Written, LedgerError>>,
}

enum What {
    Accept {
        new: Box<NewEvent>,
        owner: Option<Uuid>,
        given_up: Arc<AtomicBool>,
    },
    Finish {
        fence: Fence,
        attempt: AttemptRecord,
        ending: Disposition,
    },
    Record {
        stored: Box<Stored>,
        attempt: AttemptRecord,
        ending: Disposition,
    },
}

/// What became of it.
#[derive(Debug, Clone)]
enum Written {
    Accepted(Accepted),
    Committed(Committed),
}

type Hints = Arc<std::sync::Mutex<HashMap<String, Instant>>>;

// === impl Writer ===

impl Writer {
    pub fn start(pool: Pool) -> Writer {
        let (come, coming) = mpsc::channel(WAITING_MAX);
        let (end, ending) = mpsc::channel(WAITING_MAX);
        let (coming, ending, hints) = (
            Arc::new(Mutex::new(coming)),
            Arc::new(Mutex::new(ending)),
            Hints::default(),
        );
        let waiting = std::iter::once(coming).chain(std::iter::repeat_n(ending, WORKERS));
        let workers = waiting
            .map(|waiting| tokio::spawn(work(pool.clone(), waiting, hints.clone())))
            .collect();
        Writer {
            jobs: std::sync::Mutex::new(Some((come, end))),
            workers: Mutex::new(workers),
        }
    }

    pub async fn accept(
        &self,
        new: Box<NewEvent>,
        owner: Option<Uuid>,
        given_up: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        match self
            .write(What::Accept {
                new,
                owner,
                given_up,
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
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        match self
            .write(What::Finish {
                fence,
                attempt,
                ending,
            })
            .await?
        {
            Written::Committed(finished) => Ok(finished),
            Written::Accepted(_) => Err(LedgerError::Stopped),
        }
    }

    /// Where there is room; nobody waits for it.
    pub fn leave(&self, job: Job) -> Option<()> {
        self.jobs()?.1.try_send(job).ok()
    }

    /// Returns when everything that waited has been kept.
    pub async fn close(&self) {
        self.jobs
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        for worker in self.workers.lock().await.drain(..) {
            worker.await.ok();
        }
    }

    fn jobs(&self) -> Option<(mpsc::Sender<Job>, mpsc::Sender<Job>)> {
        self.jobs
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    async fn write(&self, what: What) -> Result<Written, LedgerError> {
        let (answer, kept) = oneshot::channel();
        let (come, end) = self.jobs().ok_or(LedgerError::Stopped)?;
        let jobs = if matches!(what, What::Accept { .. }) {
            come
        } else {
            end
        };
        jobs.send_timeout(Job { what, answer }, PLACE_WITHIN)
            .await
            .map_err(|_| LedgerError::Busy)?;
        kept.await.map_err(|_| LedgerError::Stopped)?
    }
}

// === impl Job ===

impl Job {
    pub fn record(stored: Box<Stored>, attempt: AttemptRecord, ending: Disposition) -> Job {
        Job {
            what: What::Record {
                stored,
                attempt,
                ending,
            },
            answer: oneshot::channel().0,
        }
    }

    /// None: nobody wants it any more, and it was not begun.
    fn is_wanted(&self) -> bool {
        !matches!(&self.what, What::Accept { given_up, .. } if given_up.load(Ordering::Relaxed))
    }

    /// In the same order everywhere, so that nodes wait for each other in few circles. Those of one order key stay as they came.
    fn rank(&self) -> (&str, &str, i64) {
        match &self.what {
            What::Accept { new, .. } => (
                &new.stored.event().hook,
                new.order_key.as_deref().unwrap_or_default(),
                0,
            ),
            What::Finish { fence, .. } => ("", "", fence.delivery),
            What::Record { .. } => ("", "", 0),
        }
    }

    async fn run(&self, transaction: &Transaction<'_>) -> Result<Written, tokio_postgres::Error> {
        Ok(match &self.what {
            What::Accept { new, owner, .. } => {
                Written::Accepted(accept(transaction, new, *owner).await?)
            }
            What::Finish {
                fence,
                attempt,
                ending,
            } => Written::Committed(match finish(transaction, *fence, attempt, ending).await? {
                End::Lost => Committed::LeaseLost,
                End::Now | End::Before => Committed::Stored,
            }),
            What::Record {
                stored,
                attempt,
                ending,
            } => {
                keep_answered(transaction, stored, attempt, ending).await?;
                Written::Committed(Committed::Stored)
            }
        })
    }

    /// A hook of which other nodes may run something now.
    fn hint(&self, kept: &Written) -> Option<&str> {
        match (&self.what, kept) {
            (What::Accept { new, .. }, Written::Accepted(Accepted::NEW)) if new.delay.is_zero() => {
                Some(&new.stored.event().hook)
            }
            _ => None,
        }
    }
}

async fn work(pool: Pool, waiting: Arc<Mutex<mpsc::Receiver<Job>>>, hints: Hints) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        if waiting.lock().await.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        batch.retain(Job::is_wanted);
        batch.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let kept = together(&pool, &batch).await;
        let kept = match kept {
            Err(_) if batch.len() > 1 => join_all(batch.iter().map(|one| alone(&pool, one))).await,
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
            Ok(kept) => kept.into_iter().map(Ok).collect(),
        };
        let hooks = told(&hints, batch.iter().zip(&kept));
        for (job, kept) in batch.drain(..).zip(kept) {
            job.answer.send(kept).ok();
        }
        if !hooks.is_empty() {
            tokio::spawn(tell(pool.clone(), hooks));
        }
    }
}

async fn alone(pool: &Pool, job: &Job) -> Result<Written, LedgerError> {
    together(pool, std::slice::from_ref(job))
        .await
        .map(|mut kept| kept.remove(0))
}

async fn together(pool: &Pool, jobs: &[Job]) -> Result<Vec<Written>, LedgerError> {
    within(async {
        let mut client = pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::told(&error)))?;
        let transaction = client.transaction().await?;
        landfall_model::kill_point!("ledger-in-batch");
        let kept = try_join_all(jobs.iter().map(|job| job.run(&transaction))).await?;
        landfall_model::kill_point!("ledger-before-commit");
        transaction.commit().await?;
        landfall_model::kill_point!("ledger-after-commit");
        Ok(kept)
    })
    .await
}

/// Hooks of which other nodes have not been told just now.
fn told<'a>(
    hints: &Hints,
    jobs: impl Iterator<Item = (&'a Job, &'a Result<Written, LedgerError>)>,
) -> Vec<String> {
    let now = Instant::now();
    let mut told = hints
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    told.retain(|_, at| now - *at < HINT_EVERY);
    let hooks = jobs.filter_map(|(job, kept)| job.hint(kept.as_ref().ok()?));
    hooks
        .filter(|hook| told.insert((*hook).to_owned(), now).is_none())
        .map(str::to_owned)
        .collect()
}

/// Best effort: nothing depends on it.
async fn tell(pool: Pool, hooks: Vec<String>) {
    let notified = within(async {
        let client = pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::told(&error)))?;
        Ok(notify(client, hooks).await?)
    });
    if let Err(error) = notified.await {
        tracing::debug!(%error, "other nodes are not told: they look by themselves");
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

/// A key that an index can hold: a long one by its digest.
pub fn indexed(key: &[u8]) -> Vec<u8> {
    const BYTES_MAX: usize = 512;
    match key.len() <= BYTES_MAX {
        true => key.to_vec(),
        false => [b"sha256\0", &Sha256::digest(key)[..]].concat(),
    }
}

/// Keeps a new event, unless it has come before.
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
    let other = || EventId::from_bytes(row.get::<_, Uuid>(1).into_bytes());
    Ok(match row.get::<_, i32>(0) {
        1 => Accepted::repeat(other(), open_state(&row, 3), row.get(5)),
        2 => Accepted::New {
            fence,
            conflict: Some(other()),
        },
        _ => Accepted::New {
            fence,
            conflict: None,
        },
    })
}

/// The keys that an event may be known by, as an index can hold them.
pub struct Keys {
    /// Of its identity; none where it has none.
    pub key: Option<Vec<u8>>,
    /// Of its body under that identity; none where the identity alone decides.
    pub body_key: Option<Vec<u8>>,
    /// How long they count, in ms.
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

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is somebody else's by now.
    Lost,
    /// In this transaction.
    Now,
    /// Just so, in an earlier one whose answer was lost.
    Before,
}

/// Ends a lease.
pub async fn finish(
    transaction: &Transaction<'_>,
    fence: Fence,
    attempt: &AttemptRecord,
    ending: &Disposition,
) -> Result<End, tokio_postgres::Error> {
    let reason = plain(&attempt.reason);
    let (state, pause, why) = match ending {
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
    let end = match row.get::<_, i32>(0) {
        0 => End::Lost,
        1 => End::Now,
        _ => End::Before,
    };
    if end == End::Now && matches!(ending, Disposition::Done(_)) && attempt.refuses() {
        // The provider may retry what the handler's reply refuses: that is no duplicate.
        let sql = "DELETE FROM dedup i USING deliveries d WHERE d.id = $1 AND i.event = d.event";
        transaction.execute_cached(sql, &[&fence.delivery]).await?;
    }
    if let (
        End::Now,
        Disposition::Done(Results {
            reply: Some(reply), ..
        }),
    ) = (end, ending)
    {
        let sql = "UPDATE deliveries SET reply = $1 WHERE id = $2";
        transaction
            .execute_cached(sql, &[reply, &fence.delivery])
            .await?;
    }
    Ok(end)
}

/// An event that has been answered, with how it went.
pub async fn keep_answered(
    transaction: &Transaction<'_>,
    stored: &Stored,
    attempt: &AttemptRecord,
    ending: &Disposition,
) -> Result<(), tokio_postgres::Error> {
    let event = stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let (state, why) = match ending {
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
