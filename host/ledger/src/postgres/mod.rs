//! A ledger in Postgres, for any number of nodes without a leader. The steps are functions of the database (`schema.sql`), each one
//! transaction or part of one; time is the server's alone, so that nodes need not agree on it.

mod arrivals;
mod connect;
mod effects;
mod grants;
mod health;
mod hints;
mod operator;
mod read;
mod schema;
mod tls;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::error::{LedgerError, OpenError};
use super::shown::{Content, Count, Filter, Listed, Parts, Purged, Shown, StoredRow};
use super::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent, Received,
    ReplayOrder, Replayed, SHARED_LEASE, Started, Step, UNFINISHED_MAX,
};
use health::Health;
use landfall_model::DedupKey;
use landfall_model::clock::to_ms;
use landfall_model::stored_event::{Corrupt, Stored, checked};
use landfall_model::{Event, EventId, KvValue, LedgerTime, Retention};
use writer::{Job, Writer};

/// Answers that are late are as good as none.
const WITHIN: Duration = Duration::from_secs(10);
/// In one step of letting go.
const PRUNE_STEP: i32 = 500;
/// Of the connections.
const ENDS: usize = 6;
/// A node that has not reached the database for longer assumes that the others could not either.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// For how long it then takes no leases over: longer than a statement of another node hangs.
const QUIET: Duration = Duration::from_secs(12);

/// An open ledger.
pub struct Postgres {
    pool: Pool,
    writer: Writer,
    clock: Arc<connect::ServerClock>,
    /// This start of this node.
    owner: Uuid,
    retention: Retention,
    health: Health,
    /// Ends with effects at a time: those of one hook wait for each other, and must not take every connection.
    ends: Semaphore,
    /// When leases were last held.
    beaten: std::sync::Mutex<Beaten>,
    /// Hooks for which another node has queued something.
    hints: std::sync::Mutex<Option<mpsc::Receiver<String>>>,
}

/// A node whose leases have run out while the database was away can hold them again before others take them.
struct Beaten {
    at: Instant,
    quiet_until: Instant,
}

/// How a ledger is reached and kept.
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`
    pub url: String,
    /// For servers that want it.
    pub tls: rustls::ClientConfig,
    /// What is let go of; there is no `max_size` here.
    pub retention: Retention,
}

// === impl Postgres ===

impl Postgres {
    /// Connects, checks that the server keeps its promises, and makes or migrates the tables.
    pub async fn open(settings: PostgresSettings) -> Result<Postgres, OpenError> {
        let connector = connect::Connector::new(&settings.url, settings.tls)?;
        let pool = connector.pool()?;
        let client = pool
            .get()
            .await
            .map_err(|error| connector.unreachable(&error))?;
        connect::check(&client).await?;
        grants::check_before(&client).await?;
        schema::migrate(&connector).await?;
        grants::check_after(&client).await?;
        let clock = Arc::new(
            connect::ServerClock::start(&client)
                .await
                .map_err(|error| other(&error))?,
        );
        drop(client);
        let health = Health::new(pool.clone());
        let (hints, told) = mpsc::channel(1024);
        let writer = Writer::start(pool.clone());
        tokio::spawn(hints::listen(connector, hints));
        Ok(Postgres {
            pool,
            writer,
            clock,
            owner: Uuid::new_v4(),
            retention: settings.retention,
            health,
            ends: Semaphore::new(ENDS),
            beaten: std::sync::Mutex::new(Beaten {
                at: Instant::now(),
                quiet_until: Instant::now(),
            }),
            hints: std::sync::Mutex::new(Some(told)),
        })
    }

    /// What is promised there, and on what it rests, without making anything: a sentence each.
    pub async fn facts(settings: PostgresSettings) -> Result<Vec<String>, OpenError> {
        let connector = connect::Connector::new(&settings.url, settings.tls)?;
        let pool = connector.pool()?;
        let client = pool
            .get()
            .await
            .map_err(|error| connector.unreachable(&error))?;
        connect::check(&client).await?;
        let sql = "SELECT current_setting('server_version'), current_setting('synchronous_commit'),
                   current_setting('synchronous_standby_names')";
        let row = client
            .query_one(sql, &[])
            .await
            .map_err(|error| other(&error))?;
        let (version, commit, standbys): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let standbys = match standbys {
            "" => {
                "no synchronous standby: what is accepted survives the loss of power, and not that of the disk".into()
            }
            names => format!("synchronous standbys: {names}"),
        };
        Ok(vec![
            format!("PostgreSQL {version}, fsync on, synchronous_commit {commit}"),
            standbys,
        ])
    }

    /// Returns when what was begun has ended.
    pub async fn close(&self) {
        self.writer.close().await;
        self.pool.close();
    }

    /// The server's time, as far as it is known here.
    pub fn now(&self) -> LedgerTime {
        self.clock.now()
    }

    /// Whether the database takes writes, as far as is known.
    pub fn can_accept(&self) -> bool {
        self.health.is_good()
    }

    /// Hooks for which another node has queued something; once.
    pub fn hints(&self) -> Option<mpsc::Receiver<String>> {
        self.hints
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take()
    }

    /// As `Ledger::accept`.
    pub async fn accept(
        &self,
        new: NewEvent,
        given_up: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        let owner = new.run_now.then_some(self.owner);
        self.noted(self.writer.accept(Box::new(new), owner, given_up).await)
    }

    /// As `Ledger::start`.
    pub async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        let result = self.ask(async |client| arrivals::start(client, &received, self.owner).await);
        self.noted(result.await)
    }

    /// As `Ledger::find_duplicate`.
    pub async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError> {
        let find = self.ask(async |client| {
            arrivals::find_duplicate(client, &hook, &dedup, &digest, duplicate).await
        });
        self.noted(find.await)
    }

    /// As `Ledger::hand_over`.
    pub async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError> {
        let (deliveries, attempts) = split(&handed);
        let sql = "SELECT hand_over($1, $2)";
        self.ask(async |client| {
            client
                .execute_cached(sql, &[&deliveries, &attempts])
                .await
                .map(drop)
        })
        .await?;
        let (deliveries, attempts) = split(&kept);
        let (sql, pause) = ("SELECT keep_on($1, $2, $3)", millis(pause));
        self.ask(async |client| {
            client
                .execute_cached(sql, &[&deliveries, &attempts, &pause])
                .await
                .map(drop)
        })
        .await
    }

    /// As `Ledger::claim`.
    pub async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError> {
        let result = within(async {
            let client = self.client().await?;
            let claims = hooks
                .iter()
                .map(|(hook, max)| claim(&client, hook, *max, self.owner));
            futures_util::future::try_join_all(claims)
                .await
                .map_err(LedgerError::from)
        });
        self.noted(result.await)
    }

    /// As `Ledger::finish`.
    pub async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        let result = match ending {
            Disposition::Done(results) if !results.is_nothing() => {
                within(async {
                    let _place = self
                        .ends
                        .acquire()
                        .await
                        .map_err(|_| LedgerError::Stopped)?;
                    let mut client = self.client().await?;
                    effects::finish(&mut client, fence, &event, &attempt, &results).await
                })
                .await
            }
            ending => self.writer.finish(fence, attempt, ending).await,
        };
        self.noted(result)
    }

    /// As `Ledger::bury_unread`.
    pub async fn bury_unread(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        let attempt = AttemptRecord {
            started_ms: 0,
            duration_us: 0,
            outcome: "unread",
            reason: why.clone(),
            status: None,
            record: "{}".into(),
        };
        self.noted(
            self.writer
                .finish(fence, attempt, Disposition::Dead(why))
                .await,
        )
        .map(drop)
    }

    /// As `Ledger::release`.
    pub async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError> {
        let (deliveries, attempts) = split(&fences);
        let sql = "UPDATE deliveries d SET state = 0, attempt = d.attempt - 1, due = now_ms() + $3, owner = NULL, lease_until = NULL
             FROM unnest($1::bigint[], $2::int[]) AS held (id, attempt)
             WHERE d.id = held.id AND d.state = 1 AND d.attempt = held.attempt";
        let pause = millis(pause);
        self.ask(async |client| {
            client
                .execute_cached(sql, &[&deliveries, &attempts, &pause])
                .await
                .map(drop)
        })
        .await
    }

    /// As `Ledger::beat`.
    pub async fn beat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError> {
        let (deliveries, attempts) = split(&fences);
        // One statement for all leases, which also returns the time. A delivery that another transaction has locked is ending: to
        // wait for it could be a deadlock with a transaction that ends several.
        let hold = "WITH held AS MATERIALIZED (
                 SELECT d.id FROM deliveries d JOIN unnest($1::bigint[], $2::int[]) AS lease (id, attempt)
                     ON d.id = lease.id AND d.attempt = lease.attempt
                 WHERE d.state = 1 FOR UPDATE OF d SKIP LOCKED),
             extended AS (
                 UPDATE deliveries d SET lease_until = now_ms() + $3 FROM held WHERE d.id = held.id)
             SELECT now_ms()";
        let lease = millis(SHARED_LEASE);
        let held = self.ask(async |client| {
            client
                .query_one_cached(hold, &[&deliveries, &attempts, &lease])
                .await
        });
        self.clock.set(LedgerTime(self.noted(held.await)?.get(0)));
        if self.is_quiet() {
            return Ok(0);
        }
        let sql = "SELECT freed FROM recover($1, $2)";
        let most = UNFINISHED_MAX as i32;
        let freed = self.ask(async |client| {
            client
                .query_one_cached(sql, &[&self.owner, &most])
                .await?
                .try_get::<_, i32>(0)
        });
        Ok(freed.await? as usize)
    }

    /// Whether the database was away just now: others have not been able to hold their leases.
    fn is_quiet(&self) -> bool {
        let mut beaten = self
            .beaten
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        if now - beaten.at > SILENCE_MAX {
            beaten.quiet_until = now + QUIET;
        }
        beaten.at = now;
        now < beaten.quiet_until
    }

    /// As `Ledger::record`.
    pub async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        let result = within(async {
            let _place = self
                .ends
                .acquire()
                .await
                .map_err(|_| LedgerError::Stopped)?;
            let mut client = self.client().await?;
            effects::record(&mut client, &stored, &attempt, &ending).await
        });
        self.noted(result.await)
    }

    /// As `Ledger::record_later`.
    pub fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Option<()> {
        self.writer
            .leave(Job::record(Box::new(stored), attempt, ending))
    }

    /// As `Ledger::prune`, but by age alone.
    pub async fn prune(&self) -> Result<usize, LedgerError> {
        let (bodies, all) = (
            millis(self.retention.keep_bodies),
            millis(self.retention.keep),
        );
        let mut sum = 0;
        loop {
            let sql = "SELECT prune($1, $2, $3)";
            let step = self
                .ask(async |client| {
                    client
                        .query_one_cached(sql, &[&bodies, &all, &PRUNE_STEP])
                        .await?
                        .try_get::<_, i32>(0)
                })
                .await?;
            sum += step as usize;
            if step < PRUNE_STEP {
                return Ok(sum);
            }
        }
    }

    /// As `Ledger::replay`.
    pub async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError> {
        self.ask(async |client| operator::replay(client, &order).await)
            .await
    }

    /// As `Ledger::operate`.
    pub async fn operate(&self, step: Step, deliveries: Vec<i64>) -> Result<Vec<i64>, LedgerError> {
        self.ask(async |client| operator::operate(client, &step, &deliveries).await)
            .await
    }

    /// As `Ledger::purge`.
    pub async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError> {
        self.ask(async |client| operator::purge(client, &hook, limit as i32).await)
            .await
    }

    /// As `Ledger::purgeable`.
    pub async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError> {
        self.ask(async |client| operator::purgeable(client, &hook).await)
            .await
    }

    /// As `Ledger::pause`.
    pub async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError> {
        let sql = match paused {
            true => "INSERT INTO paused (hook) VALUES ($1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM paused WHERE hook = $1",
        };
        self.ask(async |client| client.execute_cached(sql, &[&hook]).await.map(drop))
            .await
    }

    /// As `Ledger::paused`.
    pub async fn paused(&self) -> Result<Vec<String>, LedgerError> {
        let rows = self
            .ask(async |client| client.query_cached("SELECT hook FROM paused", &[]).await)
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// As `Ledger::hooks_with_work`.
    pub async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError> {
        let rows = self
            .ask(async |client| client.query_cached(read::WITH_WORK, &[]).await)
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0), LedgerTime(row.get(1))))
            .collect())
    }

    /// As `Ledger::list`.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError> {
        let now = self.now();
        self.ask(async |client| read::list(client, &filter, now).await)
            .await
    }

    /// As `Ledger::contents`.
    pub async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError> {
        self.ask(async |client| read::contents(client, &deliveries, parts).await)
            .await
    }

    /// As `Ledger::find_ids`.
    pub async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        self.ask(async |client| read::find_ids(client, &first, &last, limit).await)
            .await
    }

    /// As `Ledger::show`.
    pub async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError> {
        let now = self.now();
        self.ask(async |client| read::show(client, &id, now).await)
            .await
    }

    /// As `Ledger::count`.
    pub async fn count(&self) -> Result<Vec<Count>, LedgerError> {
        self.ask(async |client| read::count(client).await).await
    }

    /// As `Ledger::kv_get`.
    pub async fn kv_get(
        &self,
        hook: Arc<str>,
        key: String,
    ) -> Result<Option<KvValue>, LedgerError> {
        self.ask(async |client| read::kv_get(client, &hook, &key).await)
            .await
    }

    /// As `Ledger::kv_keys`.
    pub async fn kv_keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        self.ask(async |client| read::kv_keys(client, &hook, &prefix, &after, limit).await)
            .await
    }

    /// As `Ledger::rows`.
    pub async fn rows(
        &self,
        hook: String,
        table: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, LedgerError> {
        self.ask(async |client| read::rows(client, &hook, &table, after, limit).await)
            .await
    }

    async fn client(&self) -> Result<Object, LedgerError> {
        self.pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::told(&error)))
    }

    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, LedgerError> {
        within(async {
            let client = self.client().await?;
            question(&client).await.map_err(LedgerError::from)
        })
        .await
    }

    /// An answer that shows that the database takes no writes is remembered until one succeeds.
    fn noted<T>(&self, result: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Err(
            error @ (LedgerError::Unreachable(_) | LedgerError::ReadOnly(_) | LedgerError::Full),
        ) = &result
        {
            self.health.refused(error);
        }
        result
    }
}

async fn within<T>(work: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
    let late = || LedgerError::Unreachable(format!("no answer within {} s", WITHIN.as_secs()));
    tokio::time::timeout(WITHIN, work)
        .await
        .unwrap_or_else(|_| Err(late()))
}

const CLAIM: &str = "
    WITH due AS MATERIALIZED (
        SELECT id FROM deliveries WHERE hook = $1 AND state = 0 AND NOT blocked AND due <= (SELECT now_ms())
        ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE deliveries d SET state = 1, attempt = d.attempt + 1, owner = $3, lease_until = now_ms() + $4
        FROM due WHERE d.id = due.id RETURNING d.id, d.attempt, d.replayed, d.event, d.due)
    SELECT t.id, t.attempt, t.replayed, e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body, t.due
    FROM taken t LEFT JOIN events e ON e.seq = t.event LEFT JOIN payloads p ON p.event = t.event ORDER BY t.due";

async fn claim(
    client: &Object,
    hook: &Arc<str>,
    max: usize,
    owner: Uuid,
) -> Result<(Arc<str>, Vec<Claimed>, Option<LedgerTime>), tokio_postgres::Error> {
    let (name, lease): (&str, _) = (hook, millis(SHARED_LEASE));
    let rows = client
        .query_cached(CLAIM, &[&name, &(max as i64), &owner, &lease])
        .await?;
    let claimed = rows.iter().map(|row| Claimed {
        fence: Fence {
            delivery: row.get(0),
            attempt: row.get::<_, i32>(1) as u32,
        },
        event: event_of(row, 3),
        replayed: row.get(2),
        due: LedgerTime(row.get(10)),
    });
    let next = "SELECT min(due) FROM deliveries WHERE hook = $1 AND state = 0 AND NOT blocked";
    let next: Option<i64> = client.query_one_cached(next, &[&name]).await?.get(0);
    Ok((hook.clone(), claimed.collect(), next.map(LedgerTime)))
}

/// An event from the columns id, hook, received_ms, head, body_digest, checksum and body, which begin at `at`; none where its body
/// has been pruned.
fn event_of(row: &tokio_postgres::Row, at: usize) -> Option<Result<Event, Corrupt>> {
    let body: Vec<u8> = row.get::<_, Option<Vec<u8>>>(at + 6)?;
    let id = EventId::from_bytes(row.get::<_, Uuid>(at).into_bytes());
    let (head, digest, sum): (Vec<u8>, Vec<u8>, Vec<u8>) =
        (row.get(at + 3), row.get(at + 4), row.get(at + 5));
    Some(checked(
        (id, row.get(at + 1), row.get(at + 2)),
        &head,
        &digest,
        &sum,
        body,
    ))
}

/// In the same order everywhere.
fn split(fences: &[Fence]) -> (Vec<i64>, Vec<i32>) {
    let mut fences = fences.to_vec();
    fences.sort_by_key(|fence| fence.delivery);
    fences
        .iter()
        .map(|fence| (fence.delivery, fence.attempt as i32))
        .unzip()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis())
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

/// Text that Postgres can hold: it has no zero character.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn other(error: &tokio_postgres::Error) -> OpenError {
    OpenError::Other(format!(
        "the ledger in Postgres cannot be opened: {}",
        connect::told(error)
    ))
}

/// Statements are prepared once for each connection.
trait Cached {
    async fn query_cached(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>;
    async fn query_one_cached(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<tokio_postgres::Row, tokio_postgres::Error>;
    async fn execute_cached(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error>;
}

type Values<'a> = &'a [&'a (dyn tokio_postgres::types::ToSql + Sync)];

macro_rules! cached {
    ($kind:ty) => {
        impl Cached for $kind {
            async fn query_cached(
                &self,
                sql: &str,
                values: Values<'_>,
            ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
                let statement = self.prepare_cached(sql).await?;
                self.query(&statement, values).await
            }

            async fn query_one_cached(
                &self,
                sql: &str,
                values: Values<'_>,
            ) -> Result<tokio_postgres::Row, tokio_postgres::Error> {
                let statement = self.prepare_cached(sql).await?;
                self.query_one(&statement, values).await
            }

            async fn execute_cached(
                &self,
                sql: &str,
                values: Values<'_>,
            ) -> Result<u64, tokio_postgres::Error> {
                let statement = self.prepare_cached(sql).await?;
                self.execute(&statement, values).await
            }
        }
    };
}

cached!(Object);
cached!(deadpool_postgres::Transaction<'_>);

fn received(stored: &Stored) -> i64 {
    to_ms(stored.event().received_at)
}
