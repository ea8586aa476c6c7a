//! Requests, attempts and failures over time, for charts.

use std::time::Duration;

/// The most events, and the most deliveries of each kind, that one query reads.
pub(super) const READ_MAX: i64 = 100_000;
/// The clock of the ledger and the time of day may differ by this.
pub(super) const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// A range of time that is divided into buckets of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityQuery {
    /// Only this hook.
    pub hook: Option<String>,
    /// The beginning of the first bucket, in ms since 1970.
    pub from_ms: i64,
    /// The end of the last bucket, in ms since 1970.
    pub until_ms: i64,
    /// The length of a bucket in ms; at least 1.
    pub bucket_ms: i64,
    /// The time from `from_ms` until now.
    pub ago: Duration,
}

/// What happened in a range of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// The buckets in which something happened, in no order. A bucket may be listed twice: for its
    /// requests and for its attempts.
    pub buckets: Vec<ActivityBucket>,
    /// The range has more events or deliveries than one query reads: the oldest are missing.
    pub truncated: bool,
}

/// What happened to one hook in one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityBucket {
    /// The name of the hook.
    pub hook: String,
    /// The number of the bucket, from 0.
    pub bucket: i64,
    /// Events that were received.
    pub requests: i64,
    /// Attempts that were started and have ended.
    pub attempts: i64,
    /// Those of them whose outcome was neither `done` nor `defer`.
    pub failures: i64,
}
