//! One job: it handles its events at its rate, until it is cancelled or its token is no longer
//! valid.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall_admin::{Caller, InProcess};
use landfall_model::lock;
use serde_json::Value;
use tokio::sync::Notify;

use super::command::Command;
use super::count::{EVENTS_MAX, Total};
use super::selection::{Cursor, Selection};
use crate::api::{self, ApiError};

/// The most time in which a job counts its events before it handles them.
const TOTAL_TIME_MAX: Duration = Duration::from_secs(5);
/// Events that are handled at a time.
const CHUNK_MAX: usize = 100;
/// How often a job that waits for its rate looks whether its token is still valid.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The fastest job, in events per second.
pub(crate) const RATE_MAX: f64 = 10_000.0;

/// A job that an operator has started.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) command: Command,
    pub(crate) selection: Selection,
    /// Events per second.
    pub(crate) rate: f64,
    /// The operator's reason for a discard.
    pub(crate) reason: String,
    /// `None` until the job has counted its events.
    total: Mutex<Option<Total>>,
    done: AtomicUsize,
    skipped: AtomicUsize,
    is_cancelled: AtomicBool,
    /// Wakes a job that waits for its rate.
    cancelled: Notify,
    end: Mutex<Option<End>>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Cancelled,
    Failed(String),
}

/// Who starts a job, and what the job needs to run.
pub(crate) struct Starter {
    pub(crate) api: InProcess,
    pub(crate) caller: Caller,
    /// Whether the token that has started the job still allows it.
    pub(crate) may_go_on: Box<dyn Fn() -> bool + Send + Sync>,
}

/// How a job handles its events.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Events per second.
    pub(crate) rate: f64,
    /// The operator's reason for a discard.
    pub(crate) reason: String,
}

// === impl Job ===

impl Job {
    pub(super) fn new(id: u64, command: Command, selection: Selection, pace: Pace) -> Job {
        let Pace { rate, reason } = pace;
        Job {
            id,
            command,
            selection,
            rate: rate.clamp(0.1, RATE_MAX),
            reason,
            total: Mutex::new(None),
            done: AtomicUsize::new(0),
            skipped: AtomicUsize::new(0),
            is_cancelled: AtomicBool::new(false),
            cancelled: Notify::new(),
            end: Mutex::new(None),
        }
    }

    /// Events that the command changed.
    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Events in another state, or that another command had handled.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }

    /// The events that the job has to handle; `None` until they are counted.
    pub(crate) fn total(&self) -> Option<Total> {
        *lock(&self.total)
    }

    /// How the job ended; `None` while it runs.
    pub(crate) fn end(&self) -> Option<End> {
        lock(&self.end).clone()
    }

    /// Stops the job after the events that it handles now.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.cancelled.notify_one();
    }

    pub(super) async fn run(&self, starter: &Starter) {
        let end = match self.handle_all(starter).await {
            Ok(()) if self.is_cancelled() => End::Cancelled,
            Ok(()) => End::Done,
            Err(error) => End::Failed(error.to_string()),
        };
        let (done, skipped) = (self.done(), self.skipped());
        tracing::info!(
            job = self.id,
            command = self.command.word(),
            done,
            skipped,
            ?end,
            "a job of the dashboard ended"
        );
        *lock(&self.end) = Some(end);
    }

    async fn handle_all(&self, starter: &Starter) -> Result<(), ApiError> {
        let began = Instant::now();
        let goes_on =
            || !self.is_cancelled() && (starter.may_go_on)() && began.elapsed() < TOTAL_TIME_MAX;
        let total = self.selection.total(&starter.api, self.command, goes_on);
        let total = total.await?;
        *lock(&self.total) = Some(total);

        if !self.selection.events.is_empty() {
            return self.handle(starter, &self.selection.events).await;
        }

        let (mut seen, mut cursor) = (HashSet::new(), Cursor::default());
        while !cursor.is_at_end && seen.len() < EVENTS_MAX && !self.is_cancelled() {
            let page = self
                .selection
                .next_page(&starter.api, self.command, &mut cursor)
                .await?;
            // A replay creates deliveries with greater numbers: the walk does not meet them.
            let fresh: Vec<String> = page
                .into_iter()
                .map(|one| one.event)
                .filter(|event| seen.insert(event.clone()))
                .collect();
            self.handle(starter, &fresh).await?;
        }

        Ok(())
    }

    /// Handles these events at the rate of the job.
    async fn handle(&self, starter: &Starter, ids: &[String]) -> Result<(), ApiError> {
        let chunk = (self.rate as usize).clamp(1, CHUNK_MAX);
        for ids in ids.chunks(chunk) {
            if self.is_cancelled() {
                return Ok(());
            }
            starter.check()?;

            let path = format!("/{}", self.command.word());
            let order = self.command.order(ids, &self.reason);
            let answer: Value = api::post(&starter.api, &starter.caller, &path, &order).await?;
            let changed = answer["events"].as_u64().or(answer["deliveries"].as_u64());
            let changed = changed.unwrap_or(0) as usize;
            self.done.fetch_add(changed, Ordering::Relaxed);
            self.skipped
                .fetch_add(ids.len().saturating_sub(changed), Ordering::Relaxed);
            let pause = Duration::from_secs_f64(ids.len() as f64 / self.rate);
            self.wait(starter, pause).await?;
        }

        Ok(())
    }

    /// Waits so that the rate is kept. Ends at once when the job is cancelled, and soon after its
    /// token has changed.
    async fn wait(&self, starter: &Starter, pause: Duration) -> Result<(), ApiError> {
        #[cfg(debug_assertions)]
        let pause = lengthened(pause);
        let end = tokio::time::Instant::now() + pause;
        loop {
            let now = tokio::time::Instant::now();
            if self.is_cancelled() || now >= end {
                return Ok(());
            }

            starter.check()?;
            let until = end.min(now + CHECK_INTERVAL);
            tokio::time::timeout_at(until, self.cancelled.notified())
                .await
                .ok();
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

// === impl Starter ===

impl Starter {
    fn check(&self) -> Result<(), ApiError> {
        if (self.may_go_on)() {
            return Ok(());
        }

        Err(ApiError {
            status: 401,
            text: "the token that started the job is no longer valid".to_owned(),
        })
    }
}

/// With the fail point `job-waits`, a job waits for a day after each of its requests: only a cancel
/// or its token ends it.
#[cfg(debug_assertions)]
fn lengthened(pause: Duration) -> Duration {
    let day = landfall_model::fail::eval("job-waits", |_| Duration::from_secs(86_400));
    day.unwrap_or(pause)
}
