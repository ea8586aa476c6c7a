//! What has happened, and what must still happen. In one SQLite file for one node, or in Postgres for any number of them; the
//! steps are the same, and so are the promises.
//!
//! Accepting an event is on stable storage before it is answered; everything else is in the log before it counts, so that a
//! process that dies loses nothing and a machine that dies repeats some attempts. Every step is one transaction: the outcome
//! of an attempt and what it leaves behind (its `Effects`) are kept together or not at all.

mod error;
mod shown;
mod sqlite;
mod steps;
mod stored;

pub use error::{LedgerError, OpenError};
pub use shown::{Count, Filter, Listed, Shown, ShownAttempt, State, StoredRow};
pub use sqlite::{BackedUp, OnFatal, Recovered, Sqlite as Ledger, SqliteSettings as LedgerSettings, backup};
pub use steps::{
    Accepted, AttemptRecord, Claimed, DedupKey, Ending, Fence, Finished, LEASE, NewEvent, Refused, Replayed, Results,
};
pub use stored::{Corrupt, Stored};
