//! What has happened, and what must still happen. In one SQLite file for one node, or in Postgres for any number of them; the
//! steps are the same, and so are the promises.
//!
//! Accepting an event is on stable storage before it is answered; everything else is in the log before it counts, so that a
//! process that dies loses nothing and a machine that dies repeats some attempts. Every step is one transaction: the outcome
//! of an attempt and what it leaves behind (its `Effects`) are kept together or not at all.
#![deny(unsafe_code)]

mod error;
mod postgres;
mod shown;
mod sqlite;
mod steps;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

pub use error::{LedgerError, OpenError};
pub use landfall_model::{Corrupt, DedupKey, Stored};
pub use postgres::PostgresSettings;
pub use shown::{
    Content, Count, Filter, Listed, Parts, Pick, Purged, Repeats, Shown, ShownAttempt, State,
    StoredRow,
};
pub use sqlite::{BackedUp, OnFatal, Recovered, SqliteSettings, backup};
pub use steps::{
    Accepted, AlreadyEnded, AttemptRecord, Claimed, Committed, Disposition, Fence, LEASE, NewEvent,
    OpenState, Received, Refused, ReplayOrder, Replayed, Results, SHARED_BEAT, SHARED_LEASE,
    Started, Step, UNFINISHED_MAX,
};

use landfall_model::{Event, EventId, KvValue, LedgerTime};
use postgres::Postgres;
use sqlite::Sqlite;

/// The hook of dead letters that hold messages which no node could decode. No hook file can have this name.
pub const UNDECODABLE: &str = "_queue";

/// An open ledger.
pub enum Ledger {
    /// A file of this node.
    Sqlite(Box<Sqlite>),
    /// A database that nodes share.
    Postgres(Box<Postgres>),
}

/// The same question to whichever it is.
macro_rules! either {
    ($ledger:expr, $inner:ident => $act:expr) => {
        match $ledger {
            Ledger::Sqlite($inner) => $act,
            Ledger::Postgres($inner) => $act,
        }
    };
}

// === impl Ledger ===

impl Ledger {
    /// Opens the ledger of a data directory, or makes it. `on_fatal` is told when only a new start can help.
    pub fn open(
        dir: &Path,
        settings: SqliteSettings,
        time_of_day: SystemTime,
        on_fatal: OnFatal,
    ) -> Result<(Ledger, Recovered), OpenError> {
        let (sqlite, recovered) = Sqlite::open(dir, settings, time_of_day, on_fatal)?;
        Ok((Ledger::Sqlite(Box::new(sqlite)), recovered))
    }

    /// Connects to the ledger of several nodes, or makes it.
    pub async fn connect(settings: PostgresSettings) -> Result<Ledger, OpenError> {
        Ok(Ledger::Postgres(Box::new(Postgres::open(settings).await?)))
    }

    /// What a ledger in Postgres promises, and on what it rests, without making anything there: a sentence each.
    pub async fn facts(settings: PostgresSettings) -> Result<Vec<String>, OpenError> {
        Postgres::facts(settings).await
    }

    /// Returns when everything is on stable storage and nothing is open any more. Nothing can be kept after it.
    pub async fn close(&self) {
        either!(self, ledger => ledger.close().await);
    }

    /// Ledger time.
    pub fn now(&self) -> LedgerTime {
        either!(self, ledger => ledger.now())
    }

    /// Whether events can be accepted, as far as is known.
    pub fn can_accept(&self) -> bool {
        either!(self, ledger => ledger.can_accept())
    }

    /// Ended deliveries that were removed because of `ledger.max_size` since the start. In Postgres there is no such bound.
    pub fn removed_by_size(&self) -> usize {
        match self {
            Ledger::Sqlite(ledger) => ledger.removed_by_size(),
            Ledger::Postgres(_) => 0,
        }
    }

    /// Whether other nodes have it too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Ledger::Postgres(_))
    }

    /// Hooks for which other nodes have queued something; none where there are no other nodes. Once.
    pub fn hints(&self) -> Option<mpsc::Receiver<String>> {
        match self {
            Ledger::Sqlite(_) => None,
            Ledger::Postgres(ledger) => ledger.hints(),
        }
    }

    /// The same after the answer, where there is room; none where there is not.
    pub fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Option<()> {
        either!(self, ledger => ledger.record_later(stored, attempt, ending))
    }

    /// Keeps an event on stable storage, unless `given_up` has become true before that was begun. Whoever calls this must not
    /// stop waiting: what was kept has to be run.
    pub async fn accept(
        &self,
        new: NewEvent,
        given_up: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        either!(self, ledger => ledger.accept(new, given_up).await)
    }

    /// The earlier event with this identity and this body, if there is one; never `Accepted::New`. The duplicate is counted, unless
    /// the earlier event is dead (`Joined` with `Replayed`): this call creates no new delivery of it.
    pub async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError> {
        either!(self, ledger => ledger.find_duplicate(hook, dedup, digest, duplicate).await)
    }

    /// Starts the attempt of an event that a broker has delivered, if it is due. Only the broker redelivers such an event.
    pub async fn start(&self, received: Received) -> Result<Started, LedgerError> {
        either!(self, ledger => ledger.start(received).await)
    }

    /// Forgets claimed deliveries that the broker has from now on, and events that nothing else names; those that it has not
    /// taken are due again after the pause.
    pub async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError> {
        either!(self, ledger => ledger.hand_over(handed, kept, pause).await)
    }

    /// Takes due deliveries: of each hook up to its number; none where nothing can be kept. Told with each: when its next one is due.
    pub async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError> {
        either!(self, ledger => ledger.claim(hooks).await)
    }

    /// Ends a lease.
    pub async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        either!(self, ledger => ledger.finish(fence, event, attempt, ending).await)
    }

    /// Ends the lease of an event that cannot be read back.
    pub async fn bury_unread(&self, fence: Fence, why: String) -> Result<(), LedgerError> {
        either!(self, ledger => ledger.bury_unread(fence, why).await)
    }

    /// Gives leases back as if their attempts had not begun; they are due after the pause.
    pub async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError> {
        either!(self, ledger => ledger.release(fences, pause).await)
    }

    /// Holds on to leases, and frees those that have run out. How many those were.
    pub async fn beat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError> {
        either!(self, ledger => ledger.beat(fences).await)
    }

    /// Keeps an event whose handler has answered already; with effects, before that answer is sent.
    pub async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        ending: Disposition,
    ) -> Result<Committed, LedgerError> {
        either!(self, ledger => ledger.record(stored, attempt, ending).await)
    }

    /// Lets go of what is old enough, or more than there is room for.
    pub async fn prune(&self) -> Result<usize, LedgerError> {
        either!(self, ledger => ledger.prune().await)
    }

    /// New deliveries of old events; what became of each, in their order.
    pub async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError> {
        either!(self, ledger => ledger.replay(order).await)
    }

    /// An operator's step, for those of these deliveries that are in a state for it; which those were.
    pub async fn operate(&self, step: Step, deliveries: Vec<i64>) -> Result<Vec<i64>, LedgerError> {
        either!(self, ledger => ledger.operate(step, deliveries).await)
    }

    /// Removes up to `limit` deliveries of a hook that do not run, and as many identities, rows and values. Nothing was removed:
    /// nothing is left.
    pub async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError> {
        either!(self, ledger => ledger.purge(hook, limit).await)
    }

    /// What `purge` would remove in the end.
    pub async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError> {
        either!(self, ledger => ledger.purgeable(hook).await)
    }

    /// Whether the events of a hook wait, at the operator's word.
    pub async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError> {
        either!(self, ledger => ledger.pause(hook, paused).await)
    }

    /// The hooks whose events wait, at the operator's word.
    pub async fn paused(&self) -> Result<Vec<String>, LedgerError> {
        either!(self, ledger => ledger.paused().await)
    }

    /// Hooks with pending deliveries, and when the first of each is due.
    pub async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError> {
        either!(self, ledger => ledger.hooks_with_work().await)
    }

    /// A page of deliveries.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError> {
        either!(self, ledger => ledger.list(filter).await)
    }

    /// These parts of these deliveries, by delivery number.
    pub async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError> {
        either!(self, ledger => ledger.contents(deliveries, parts).await)
    }

    /// Up to `limit` events with ids between these two, in order.
    pub async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError> {
        either!(self, ledger => ledger.find_ids(first, last, limit).await)
    }

    /// One event.
    pub async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError> {
        either!(self, ledger => ledger.show(id).await)
    }

    /// Deliveries by hook and state.
    pub async fn count(&self) -> Result<Vec<Count>, LedgerError> {
        either!(self, ledger => ledger.count().await)
    }

    /// The value that a hook keeps under a key.
    pub async fn kv_get(
        &self,
        hook: Arc<str>,
        key: String,
    ) -> Result<Option<KvValue>, LedgerError> {
        either!(self, ledger => ledger.kv_get(hook, key).await)
    }

    /// Keys of a hook that begin with `prefix`, in byte order, after `after`.
    pub async fn kv_keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        either!(self, ledger => ledger.kv_keys(hook, prefix, after, limit).await)
    }

    /// A page of rows.
    pub async fn rows(
        &self,
        hook: String,
        table: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, LedgerError> {
        either!(self, ledger => ledger.rows(hook, table, after, limit).await)
    }
}
