//! Deliveries, their history and key-value data: in one SQLite file for one node, or in Postgres
//! for any number of nodes. The steps and the guarantees are the same.
//!
//! An accepted event is on stable storage before it is answered. Every other step is in the
//! write-ahead log before it takes effect: a process crash loses nothing, and a machine crash
//! repeats some attempts. Every step is one transaction: the outcome of an attempt and its
//! `Effects` are stored together or not at all.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod activity;
mod audit;
mod backlog;
mod candidates;
mod commit_times;
mod counts;
mod erase;
mod error;
mod flow_counts;
mod held;
mod lead;
mod missing;
mod postgres;
mod raw;
mod recordings;
mod seal;
mod shown;
mod sqlite;
mod state_column;
mod steps;
mod traits;
mod tries;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use activity::{Activity, ActivityBucket, ActivityQuery};
pub use audit::{AuditEntry, AuditFilter, NewAudit};
pub use backlog::{HookBacklog, LedgerUse};
pub use candidates::{Candidates, StoredCandidate};
pub use commit_times::CommitObserver;
pub use erase::{ErasedParts, Erasure, Scrubbed};
pub use error::{LedgerError, OpenError, OverBound};
pub use flow_counts::{FlowCount, FlowStep};
pub use held::Stranded;
pub use landfall_model::{Corrupt, DedupKey, Stored};
pub use lead::Lead;
pub use postgres::PostgresSettings;
pub use raw::{RawChange, RawCursor, RawKind, RawRecord};
pub use recordings::{NewRecording, RecordedAttempt, RecordingFilter, StoredRecording};
pub use seal::{
    Encryption, EncryptionError, EncryptionProgress, KeyError, KeyId, LedgerKeys, with_keys,
};
pub use shown::{
    Content, Count, Filter, Listed, Parts, Pick, Purged, Repeats, Shown, ShownAttempt, StoredRow,
    StoredTiming, StoredValue,
};
pub use sqlite::{BackedUp, OnFatal, Recovered, SqliteSettings, backup, describe_size};
pub use steps::{
    Accepted, AlreadyEnded, AttemptRecord, Claimed, Committed, Deferred, Disposition, Fence,
    HEARTBEAT_INTERVAL, LEASE, NewEvent, OpenState, Received, Refused, ReplayOrder, Replayed,
    Results, SHARED_LEASE, Started, Step, UNDECODABLE, UNFINISHED_MAX,
};
pub use traits::{Deliveries, History, Kv, Ledger, Notes, RawRecords};
pub use tries::{NewTry, NewTryGroup, TryPart, TryParts};

use postgres::Postgres;
use sqlite::Sqlite;

/// Opens or creates the ledger of a data directory. `on_fatal` is called with an error that only a
/// restart can resolve.
pub fn open(
    dir: &Path,
    settings: SqliteSettings,
    time_of_day: SystemTime,
    on_fatal: OnFatal,
) -> Result<(Arc<dyn Ledger>, Recovered), OpenError> {
    let (sqlite, recovered) = Sqlite::open(dir, settings, time_of_day, on_fatal)?;
    Ok((Arc::new(sqlite), recovered))
}

/// Opens or creates the ledger that several nodes share.
pub async fn connect(settings: PostgresSettings) -> Result<Arc<dyn Ledger>, OpenError> {
    Ok(Arc::new(Postgres::open(settings).await?))
}

/// What a Postgres server guarantees as a ledger, one sentence each. Creates nothing.
pub async fn describe(settings: PostgresSettings) -> Result<Vec<String>, OpenError> {
    Postgres::describe(settings).await
}
