//! What the rest of the node may do with a ledger. SQLite and Postgres implement all traits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::activity::{Activity, ActivityQuery};
use super::audit::{AuditEntry, AuditFilter, NewAudit};
use super::backlog::LedgerUse;
use super::candidates::Candidates;
use super::commit_times::CommitObserver;
use super::erase::{Erasure, Scrubbed};
use super::error::LedgerError;
use super::flow_counts::FlowCount;
use super::held::Stranded;
use super::lead::Lead;
use super::raw::{RawChange, RawCursor, RawKind, RawRecord};
use super::recordings::{NewRecording, RecordingFilter, StoredRecording};
use super::shown::{Content, Count, Filter, Listed, Parts, Purged, Shown, StoredRow, StoredValue};
use super::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, NewEvent, Received,
    ReplayOrder, Replayed, Started, Step,
};
use super::tries::{NewTry, TryPart, TryParts};
use landfall_model::{DedupKey, Event, EventId, HookRetentions, KvValue, LedgerTime, Stored};

/// An open ledger.
pub trait Ledger: Deliveries + History + Kv + Notes + Candidates + RawRecords {}

impl<T: Deliveries + History + Kv + Notes + Candidates + RawRecords> Ledger for T {}

/// The steps of a delivery. Each is one transaction, and a step of SQLite does the same as the step
/// of the same name in Postgres.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Returns when everything is on stable storage and closed. Nothing can be stored after it.
    async fn close(&self);

    /// The ledger time now.
    fn now(&self) -> LedgerTime;

    /// Whether events can be accepted, as far as is known.
    fn can_accept(&self) -> bool;

    /// Why events cannot be accepted, if the ledger itself refuses them.
    fn refusal(&self) -> Option<LedgerError> {
        None
    }

    /// Ended deliveries that were removed because of `ledger.max_size` since the start. Postgres
    /// has no such bound.
    fn removed_by_size(&self) -> usize {
        0
    }

    /// Whether nothing is removed by age now, because the nodes of a shared ledger cannot agree on
    /// the retention. The log has the reason.
    fn is_retention_stopped(&self) -> bool {
        false
    }

    /// Reports the time of each durable commit from now on. Only the first call has an effect.
    fn observe_commits(&self, observer: CommitObserver);

    /// Whether other nodes use the same ledger.
    fn is_shared(&self) -> bool;

    /// Receives the names of hooks for which other nodes have queued an event. `None` for SQLite,
    /// and after the first call.
    fn hints(&self) -> Option<mpsc::Receiver<String>> {
        None
    }

    /// As `record`, after the answer was sent. `None` if the queue is full: the event is then not
    /// recorded.
    fn record_later(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Option<()>;

    /// Stores an event on stable storage, unless `cancelled` is set before the write begins. The
    /// caller must await the result: a stored event has to run.
    async fn accept(
        &self,
        new: NewEvent,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError>;

    /// The earlier event with this identity and this body, if there is one; never `Accepted::New`.
    /// The duplicate is counted, unless the earlier event is dead (`Joined` with `Replayed`): this
    /// call creates no new delivery of it.
    async fn find_duplicate(
        &self,
        hook: Arc<str>,
        dedup: DedupKey,
        digest: [u8; 32],
        duplicate: EventId,
    ) -> Result<Option<Accepted>, LedgerError>;

    /// Starts the attempt of an event that a broker has delivered, if it is due. Only the broker
    /// redelivers such an event.
    async fn start(&self, received: Received) -> Result<Started, LedgerError>;

    /// Removes leased deliveries that the broker has stored (`handed`), and their events if nothing
    /// else refers to them. Deliveries that the broker has not stored (`kept`) are due again after
    /// the pause.
    async fn hand_over(
        &self,
        handed: Vec<Fence>,
        kept: Vec<Fence>,
        pause: Duration,
    ) -> Result<(), LedgerError>;

    /// Closes the groups of these hooks that are due. Leases due deliveries, of each hook up to its
    /// number. Leases none while the ledger takes no writes, and none of a hook with a damaged row
    /// that cannot be removed. Returns with each hook when its next delivery or group is due.
    async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Claimed>, Option<LedgerTime>)>, LedgerError>;

    /// What the flow of hooks has done in committed transactions of this node since the last call:
    /// in `accept`, `claim`, `finish`, `record` and `free_stranded`.
    fn take_flow_counts(&self) -> Vec<FlowCount>;

    /// Ends a lease with the result of its attempt.
    async fn finish(
        &self,
        fence: Fence,
        event: Arc<Event>,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError>;

    /// Makes a dead letter of a leased delivery whose event cannot be read back.
    async fn dead_letter_unreadable(&self, fence: Fence, why: String) -> Result<(), LedgerError>;

    /// Ends the lease of a batch as if its attempt had not begun. Each of its events runs alone, for
    /// this reason.
    async fn split(&self, fence: Fence, why: String) -> Result<(), LedgerError>;

    /// One step of a repair: of a bounded number of waiting deliveries behind this one (hook and
    /// number; `None`: from the first), makes those due, alone, that no open group and no batch
    /// that is pending or runs will ever make due. The first step also removes open groups whose
    /// rows are damaged, and makes those due that are due later than any setting allows.
    async fn free_stranded(&self, after: Option<(String, i64)>) -> Result<Stranded, LedgerError>;

    /// Ends leases as if their attempts had not begun. The deliveries are due after the pause.
    async fn release(&self, fences: Vec<Fence>, pause: Duration) -> Result<(), LedgerError>;

    /// Extends leases, and ends those that have expired. Returns how many have expired.
    async fn heartbeat(&self, fences: Vec<Fence>) -> Result<usize, LedgerError>;

    /// Stores an event whose handler has answered already. If it has effects, that happens before
    /// the answer is sent.
    async fn record(
        &self,
        stored: Stored,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError>;

    /// Stores recordings of attempts. Returns the places in the list of those whose attempt the
    /// ledger does not have: it is not stored yet, or has been removed.
    async fn store_recordings(&self, new: Vec<NewRecording>) -> Result<Vec<usize>, LedgerError>;

    /// Removes what is older than its retention. Returns how many items it removed. The nodes of a
    /// shared ledger agree on the longest retention of each hook; the first call of a node only
    /// announces its own. Calls note for how long a hook has had no file: see `missing_for`.
    async fn prune(&self, hooks: HookRetentions) -> Result<usize, LedgerError>;

    /// Stores a value of the node itself under a name that no hook can have, such as `_watch`.
    /// `None` deletes it. `Kv::get` and `Kv::keys` read it. It is on stable storage when something
    /// that is written later is. False, and nothing is stored: another node has the right `lead`
    /// (see `lead`), so that the value of this one may be old.
    async fn put_own(
        &self,
        lead: &'static str,
        owner: &'static str,
        key: String,
        value: Option<Bytes>,
    ) -> Result<bool, LedgerError>;

    /// Which node may do what only one node does, such as to watch the hooks. Takes or renews the
    /// right, if no other node has it. It lasts for this time. A ledger of one node always grants
    /// it.
    async fn lead(&self, what: &'static str, lasts: Duration) -> Result<Lead, LedgerError>;

    /// Pauses a hook, or lets it run again.
    async fn pause(&self, hook: String, paused: bool) -> Result<(), LedgerError>;

    /// The hooks that an operator has paused.
    async fn paused(&self) -> Result<Vec<String>, LedgerError>;

    /// Hooks with pending deliveries, or with groups of events that wait, and when the first of each
    /// is due.
    async fn hooks_with_work(&self) -> Result<Vec<(String, LedgerTime)>, LedgerError>;
}

/// What an operator sees and does: events, deliveries, attempts and rows.
#[async_trait]
pub trait History: Send + Sync {
    /// Creates new deliveries of stored events. Returns a result for each event, in their order.
    async fn replay(&self, order: ReplayOrder) -> Result<Vec<Replayed>, LedgerError>;

    /// Applies an operator's command to those of these deliveries whose state allows it, and
    /// returns them.
    async fn operate(&self, step: Step, deliveries: Vec<i64>) -> Result<Vec<i64>, LedgerError>;

    /// Removes up to `limit` deliveries of a hook that are not running, and as many identities,
    /// rows and values. Repeat it until it removes nothing.
    async fn purge(&self, hook: String, limit: usize) -> Result<Purged, LedgerError>;

    /// Removes what events contain; the fact of each stays. Returns a result for each event, in
    /// their order. `at_ms`: time of day. An event with an open delivery is left alone.
    async fn erase(
        &self,
        events: Vec<EventId>,
        at_ms: i64,
        dry_run: bool,
    ) -> Result<Vec<Erasure>, LedgerError>;

    /// Up to `limit` events that the handlers of these events emitted. Events that an older version
    /// stored are not found.
    async fn emitted_by(
        &self,
        events: Vec<EventId>,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError>;

    /// Overwrites what removed data has left in the files of the ledger.
    async fn scrub(&self) -> Result<Scrubbed, LedgerError>;

    /// What repeated calls of `purge` would remove.
    async fn purgeable(&self, hook: String) -> Result<Purged, LedgerError>;

    /// A page of deliveries.
    async fn list(&self, filter: Filter) -> Result<Vec<Listed>, LedgerError>;

    /// A number that no delivery of an event received at this time or later is below, so that a
    /// list need not search further. `None` if so many events are that young that the search is not
    /// worth it: a list finds them among the newest deliveries.
    async fn floor_since(&self, since_ms: i64) -> Result<Option<i64>, LedgerError>;

    /// Parts of deliveries, by delivery number.
    async fn contents(
        &self,
        deliveries: Vec<i64>,
        parts: Parts,
    ) -> Result<HashMap<i64, Content>, LedgerError>;

    /// A page of recordings.
    async fn recordings(
        &self,
        filter: RecordingFilter,
    ) -> Result<Vec<StoredRecording>, LedgerError>;

    /// Stores a report of `landfall try` on stable storage. Groups whose event the ledger does not
    /// have under this hook, or has erased, are left out. Returns how many groups are stored.
    async fn put_try(&self, new: NewTry) -> Result<usize, LedgerError>;

    /// Parts of stored reports, at most 1000.
    async fn try_parts(&self, parts: TryParts) -> Result<Vec<TryPart>, LedgerError>;

    /// Removes a report.
    async fn remove_try(&self, hook: String, id: EventId) -> Result<(), LedgerError>;

    /// Up to `limit` events with ids between these two, in order.
    async fn find_ids(
        &self,
        first: EventId,
        last: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, LedgerError>;

    /// One event.
    async fn show(&self, id: EventId) -> Result<Option<Shown>, LedgerError>;

    /// The number of deliveries by hook and state.
    async fn count(&self) -> Result<Vec<Count>, LedgerError>;

    /// The size of the ledger, and the backlog of each hook that has one. Reads only indexes, so
    /// that it may be asked often.
    async fn usage(&self) -> Result<LedgerUse, LedgerError>;

    /// A page of a table's rows.
    async fn rows(
        &self,
        hook: String,
        table: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, LedgerError>;

    /// A page of a hook's key-value pairs: keys that begin with `prefix`, in byte order, after
    /// `after`. Of each value, the first `shown` bytes.
    async fn values(
        &self,
        hook: String,
        prefix: String,
        after: String,
        limit: usize,
        shown: usize,
    ) -> Result<Vec<StoredValue>, LedgerError>;

    /// Requests, attempts and failures by hook and bucket of time. Reads a bounded number of rows.
    async fn activity(&self, query: ActivityQuery) -> Result<Activity, LedgerError>;

    /// Stores an entry of the audit record on stable storage, before the change is made. Returns
    /// its id. The oldest entries are removed.
    async fn audit(&self, new: NewAudit) -> Result<i64, LedgerError>;

    /// Adds the result of a change, as JSON, to its entry.
    async fn audit_result(&self, id: i64, result: String) -> Result<(), LedgerError>;

    /// A page of the audit record, newest first.
    async fn audits(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>, LedgerError>;
}

/// The key-value data of handlers. Each hook has its own keys.
#[async_trait]
pub trait Kv: Send + Sync {
    /// The value of a key.
    async fn get(&self, hook: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError>;

    /// Keys that begin with `prefix`, in byte order, after `after`.
    async fn keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError>;
}

/// What a node keeps of its own work, beside the data of hooks, and whether it knows a delivery.
#[async_trait]
pub trait Notes: Send + Sync {
    /// Whether an event of the hook has one of these identities. Counts no duplicate.
    async fn knows(&self, hook: Arc<str>, keys: Vec<Vec<u8>>) -> Result<bool, LedgerError>;

    /// Stores a note of a part of the node, in place of an earlier one with this key. `part` begins
    /// with `_`, so that no hook has this name. The note ends after this time. `Kv::get` reads it.
    async fn note(
        &self,
        part: &'static str,
        key: String,
        text: String,
        keep: Duration,
    ) -> Result<(), LedgerError>;
}

/// The tables as they are, for the job that encrypts what they contain.
#[async_trait]
pub trait RawRecords: Send + Sync {
    /// Up to `limit` records of a kind after a place, in the order of their table.
    async fn raw(
        &self,
        kind: RawKind,
        after: Option<RawCursor>,
        limit: usize,
    ) -> Result<Vec<RawRecord>, LedgerError>;

    /// Replaces the parts of records that are still as they were read. Returns how many.
    async fn replace_raw(&self, changes: Vec<RawChange>) -> Result<usize, LedgerError>;
}
