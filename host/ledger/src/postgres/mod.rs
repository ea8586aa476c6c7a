//! A ledger in Postgres, shared by any number of nodes without a leader. The steps are functions of
//! the database (`functions/`), each inside one transaction. Times are the server's, so that the
//! clocks of the nodes need not agree.

mod accept;
mod activity;
mod agreement;
mod arrivals;
mod audit;
mod candidates;
mod connect;
mod counts;
mod effects;
mod finish;
mod grants;
mod health;
mod held;
mod hints;
mod lead;
mod missing;
mod operator;
mod privacy;
mod query;
mod raw;
mod read;
mod recordings;
mod retentions;
mod schema;
mod tls;
mod traits;
mod tries;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::commit_times::CommitTimes;
use super::error::{LedgerError, OpenError};
use super::flow_counts::{FlowCounts, FlowNotes};
use super::state_column::{PENDING, RUNNING};
use super::steps::{CLAIM_AGAIN, Claimed, Fence, SHARED_LEASE};
use agreement::Agreement;
use connect::open_error;
use health::Health;
use landfall_model::{LedgerTime, Retention, lock};
use query::{Cached, deferred, event_of, millis, within};
use writer::Writer;

/// Items that one step of retention removes at most.
const PRUNE_STEP: i32 = 500;
/// Connections for attempts that end with results.
const FINISH_CONNECTIONS: usize = 6;
/// A node that could not reach the database for longer assumes that the other nodes could not
/// either.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// For how long it then takes over no leases: longer than a statement of another node can hang.
const QUIET: Duration = Duration::from_secs(12);

/// An open ledger.
pub(crate) struct Postgres {
    pool: Pool,
    writer: Writer,
    commit_times: CommitTimes,
    flow_counts: FlowCounts,
    clock: Arc<connect::ServerClock>,
    /// Identifies this start of the node.
    owner: Uuid,
    retention: Retention,
    health: Health,
    /// Limits the transactions that end attempts with results: those of one hook wait for each
    /// other, and must not use every connection.
    finish_permits: Semaphore,
    /// When leases were last extended.
    heartbeats: std::sync::Mutex<Heartbeats>,
    /// When this node has made few rows of `delivery_counts`.
    roll_ups: counts::RollUps,
    /// The rights that only one node has, as far as this node knows.
    known_terms: lead::KnownTerms,
    /// What this node has announced of its retention.
    agreement: Agreement,
    /// Names of hooks for which another node has queued an event. Taken once.
    hints: std::sync::Mutex<Option<mpsc::Receiver<String>>>,
}

/// After an outage of the database, no node takes over leases for a while, so that their owners can
/// extend them.
struct Heartbeats {
    last: Instant,
    quiet_until: Instant,
}

/// The settings of a Postgres ledger.
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`
    pub url: String,
    /// The TLS configuration, if the URL names no root certificate of its own.
    pub tls: rustls::ClientConfig,
    /// How long data is kept. `max_size` does not apply.
    pub retention: Retention,
}

// === impl Postgres ===

impl Postgres {
    /// Connects, checks the server, and creates or migrates the tables.
    pub(crate) async fn open(settings: PostgresSettings) -> Result<Postgres, OpenError> {
        let connector = connect::Connector::new(&settings.url, settings.tls)?;
        let pool = connector.pool()?;
        let client = connector.first(&pool).await?;
        connect::check(&client).await?;
        grants::check_before(&client).await?;
        schema::migrate(&connector).await?;
        grants::check_after(&client).await?;
        let clock = Arc::new(
            connect::ServerClock::start(&client)
                .await
                .map_err(|error| open_error(&error))?,
        );
        drop(client);

        let health = Health::new(pool.clone());
        let (hints, hints_received) = mpsc::channel(1024);
        let commit_times = CommitTimes::default();
        let flow_counts = FlowCounts::default();
        let writer = Writer::start(pool.clone(), &commit_times, &flow_counts);
        tokio::spawn(hints::listen(connector, hints));
        Ok(Postgres {
            pool,
            writer,
            commit_times,
            flow_counts,
            clock,
            owner: Uuid::new_v4(),
            retention: settings.retention,
            health,
            finish_permits: Semaphore::new(FINISH_CONNECTIONS),
            heartbeats: std::sync::Mutex::new(Heartbeats {
                last: Instant::now(),
                quiet_until: Instant::now(),
            }),
            roll_ups: counts::RollUps::default(),
            known_terms: lead::KnownTerms::default(),
            agreement: Agreement::default(),
            hints: std::sync::Mutex::new(Some(hints_received)),
        })
    }

    /// What the server guarantees, one sentence each. Creates nothing.
    pub(crate) async fn describe(settings: PostgresSettings) -> Result<Vec<String>, OpenError> {
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
            .map_err(|error| open_error(&error))?;
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

    /// Whether the database was unreachable recently, so that other nodes could not extend their
    /// leases either.
    fn is_quiet(&self) -> bool {
        let mut heartbeats = lock(&self.heartbeats);
        let now = Instant::now();
        if now - heartbeats.last > SILENCE_MAX {
            heartbeats.quiet_until = now + QUIET;
        }
        heartbeats.last = now;
        now < heartbeats.quiet_until
    }

    async fn client(&self) -> Result<Object, LedgerError> {
        self.pool
            .get()
            .await
            .map_err(|error| LedgerError::Unreachable(connect::describe_error(&error)))
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

    /// As `claim`. If a damaged row of the hook makes that impossible, others go on: the hook is
    /// due again after `CLAIM_AGAIN`. SQLite: `leases::claim_apart`.
    async fn claim_apart(
        &self,
        client: &Object,
        hook: &Arc<str>,
        max: usize,
    ) -> Result<HookClaim, LedgerError> {
        let mut notes = FlowNotes::default();
        let claimed = claim(client, hook, max, self.owner, &mut notes).await;
        // Its parts are committed each by itself.
        self.flow_counts.add(notes);
        match claimed.map_err(LedgerError::from) {
            Err(error @ (LedgerError::Other(_) | LedgerError::Busy)) => {
                tracing::error!(
                    hook = &**hook,
                    %error,
                    "the events of this hook cannot be claimed; other hooks go on"
                );
                let again = self.clock.now().plus(CLAIM_AGAIN);
                Ok((hook.clone(), Vec::new(), Some(again)))
            }
            result => result,
        }
    }

    /// Records a failure that shows that the database takes no writes. A write that succeeds clears
    /// it.
    fn record_reachability<T>(&self, result: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Err(
            error @ (LedgerError::Unreachable(_) | LedgerError::ReadOnly(_) | LedgerError::Full),
        ) = &result
        {
            self.health.set_refusal(error);
        }
        result
    }
}

/// The claims of several hooks. Those that were stored are leases, and are not dropped because of
/// an error of another hook.
fn claimed(claims: Vec<Result<HookClaim, LedgerError>>) -> Result<Vec<HookClaim>, LedgerError> {
    let (mut stored, mut failure) = (Vec::with_capacity(claims.len()), None);
    for claim in claims {
        match claim {
            Ok(claim) => stored.push(claim),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if stored.iter().all(|(_, claimed, _)| claimed.is_empty()) => Err(error),
        Some(error) => {
            tracing::warn!(%error, "the events of some hooks cannot be claimed");
            Ok(stored)
        }
        None => Ok(stored),
    }
}

/// A hook, the deliveries of it that were claimed, and when the next one is due.
type HookClaim = (Arc<str>, Vec<Claimed>, Option<LedgerTime>);

/// Closes the groups of one hook that are due, and leases its due deliveries. Also returns when the
/// next of either is due. SQLite: `leases::claim`.
async fn claim(
    client: &Object,
    hook: &Arc<str>,
    max: usize,
    owner: Uuid,
    notes: &mut FlowNotes,
) -> Result<HookClaim, tokio_postgres::Error> {
    let (name, lease): (&str, _) = (hook, millis(SHARED_LEASE));
    held::close_due(client, name, notes).await?;
    landfall_model::kill_point!("group-closed");
    let sql = format!(
        "WITH due AS MATERIALIZED (
             SELECT id FROM deliveries
             WHERE hook = $1 AND state = {PENDING} AND NOT blocked AND due <= (SELECT now_ms())
             ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED),
         taken AS (
             UPDATE deliveries d SET state = {RUNNING}, attempt = d.attempt + 1, owner = $3, lease_until = now_ms() + $4
             FROM due WHERE d.id = due.id RETURNING d.id, d.attempt, d.replayed, d.event, d.due,
                 d.deferrals + d.batch_attempts AS deferrals, d.deferred_since, d.batch)
         SELECT t.id, t.attempt, t.replayed, e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body,
             t.due, t.deferrals, t.deferred_since, t.batch
         FROM taken t LEFT JOIN events e ON e.seq = t.event LEFT JOIN payloads p ON p.event = t.event ORDER BY t.due"
    );
    let rows = client
        .query_cached(&sql, &[&name, &(max as i64), &owner, &lease])
        .await?;
    let leaders: Vec<i64> = rows.iter().filter_map(leader).collect();
    let mut members = held::members(client, &leaders).await?;
    let claimed = rows.iter().map(|row| Claimed {
        fence: Fence {
            delivery: row.get(0),
            attempt: row.get::<_, i32>(1) as u32,
        },
        deferred: deferred(row, 11),
        event: event_of(row, 3),
        replayed: row.get(2),
        due: LedgerTime(row.get(10)),
        members: members.remove(&row.get::<_, i64>(0)).unwrap_or_default(),
    });
    let claimed = claimed.collect();

    let next = format!(
        "SELECT least((SELECT min(due) FROM deliveries WHERE hook = $1 AND state = {PENDING} AND NOT blocked),
                      (SELECT min(due) FROM held WHERE hook = $1))"
    );
    let next: Option<i64> = client.query_one_cached(&next, &[&name]).await?.get(0);
    Ok((hook.clone(), claimed, next.map(LedgerTime)))
}

/// The number of a claimed delivery, if it carries a batch.
fn leader(row: &tokio_postgres::Row) -> Option<i64> {
    let (delivery, batch): (i64, Option<i64>) = (row.get(0), row.get(13));
    (batch == Some(delivery)).then_some(delivery)
}
