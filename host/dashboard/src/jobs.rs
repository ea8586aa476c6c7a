//! Commands on many events: replay, discard or retry, at a rate, with progress and cancel. A job is
//! in memory: after a restart, what it has done stays done, and the rest is not done.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_admin::{Caller, InProcess};
use landfall_model::lock;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::api::{self, ApiError, Delivery};
use crate::query::Query;
use crate::reason::normalise;

/// The most jobs that are remembered.
const JOBS_MAX: usize = 20;
/// The most jobs that run at a time.
const RUNNING_MAX: usize = 4;
/// The most events of one job. Another job goes on.
pub(crate) const EVENTS_MAX: usize = 100_000;
/// The most time of a dry run.
const COUNT_TIME_MAX: Duration = Duration::from_secs(20);
/// The most time in which a job counts its events before it handles them.
const TOTAL_TIME_MAX: Duration = Duration::from_secs(5);
/// The deliveries that a dry run shows.
const SHOWN_MAX: usize = 20;
/// Deliveries that are listed at a time.
const PAGE: usize = 500;
/// Events that are handled at a time.
const CHUNK_MAX: usize = 100;
/// How often a job that waits for its rate looks whether its token is still valid.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The fastest job, in events per second.
pub(crate) const RATE_MAX: f64 = 10_000.0;

/// What a job does with each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Replay,
    Discard,
    RetryNow,
}

/// The deliveries of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Event ids. If there are some, the rest is not used.
    pub(crate) events: Vec<String>,
    /// A search, as on the events page.
    pub(crate) search: String,
    /// A normalised reason; empty: any.
    pub(crate) group: String,
}

/// The result of a dry run.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) deliveries: usize,
    /// Whether all matching deliveries were counted.
    pub(crate) is_complete: bool,
    /// The first of them.
    pub(crate) shown: Vec<Delivery>,
    /// Selected events that the command would not change, by reason.
    pub(crate) skipped: Vec<String>,
}

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

/// How many events a job has to handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) events: usize,
    /// Whether all of them were counted.
    pub(crate) is_complete: bool,
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

/// The jobs of this node.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    next: AtomicU64,
}

/// Too many jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{RUNNING_MAX} jobs run already: wait for one, or cancel it")]
pub(crate) struct Busy;

/// The place of a walk through the matching deliveries, newest first.
#[derive(Debug, Default)]
struct Cursor {
    before: Option<i64>,
    is_at_end: bool,
}

// === impl Command ===

impl Command {
    pub(crate) fn from_word(word: &str) -> Option<Command> {
        match word {
            "replay" => Some(Command::Replay),
            "discard" => Some(Command::Discard),
            "retry-now" => Some(Command::RetryNow),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Command::Replay => "replay",
            Command::Discard => "discard",
            Command::RetryNow => "retry-now",
        }
    }

    /// The state of the deliveries if the search names none.
    fn state(self) -> &'static str {
        match self {
            Command::Replay | Command::Discard => "dead",
            Command::RetryNow => "pending",
        }
    }

    /// The order for these events.
    fn order(self, events: &[String], reason: &str) -> Value {
        match self {
            // The job keeps the rate: the ledger need not.
            Command::Replay => json!({ "events": events, "per_second": 100_000.0 }),
            Command::Discard => json!({ "events": events, "reason": reason }),
            Command::RetryNow => json!({ "events": events }),
        }
    }
}

// === impl Selection ===

impl Selection {
    /// A sentence part: what is selected.
    pub(crate) fn describe(&self) -> String {
        let searched = match self.search.trim() {
            "" => "all deliveries".to_owned(),
            search => format!("deliveries that match {search}"),
        };
        match (self.events.len(), self.group.as_str()) {
            (0, "") => searched,
            (0, group) => format!("{searched}, with the reason “{group}”"),
            (count, _) => format!("{count} selected events"),
        }
    }

    /// A dry run of the selected events. A caller that may only read gets their number.
    async fn count_selected(
        &self,
        api: &InProcess,
        caller: &Caller,
        command: Command,
    ) -> Result<Counted, ApiError> {
        if !caller.may_change() {
            return Ok(Counted {
                deliveries: self.events.len(),
                is_complete: true,
                ..Counted::default()
            });
        }

        let mut order = command.order(&self.events, "dry run");
        order["dry_run"] = json!(true);
        let path = format!("/{}", command.word());
        let answer = api::post(api, caller, &path, &order).await?;
        Ok(Counted::of(&answer))
    }

    async fn next_page(
        &self,
        api: &InProcess,
        command: Command,
        cursor: &mut Cursor,
    ) -> Result<Vec<Delivery>, ApiError> {
        let query = Query::parse(&self.search);
        if let Some(problem) = query.problems.first() {
            return Err(ApiError {
                status: 400,
                text: problem.clone(),
            });
        }

        let (limit, before) = (
            PAGE.to_string(),
            cursor.before.map(|before| before.to_string()),
        );
        let mut parameters = vec![
            ("limit", limit.as_str()),
            ("before", before.as_deref().unwrap_or_default()),
        ];
        parameters.extend(
            query
                .parameters
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        if query.get("state").is_none() {
            parameters.push(("state", command.state()));
        }

        let page = api::deliveries(api, &parameters).await?;
        cursor.before = page.next;
        cursor.is_at_end = page.next.is_none();
        let fits = |one: &Delivery| {
            self.group.is_empty()
                || one
                    .reason
                    .as_deref()
                    .is_some_and(|reason| normalise(reason) == self.group)
        };
        Ok(page.events.into_iter().filter(fits).collect())
    }

    /// Counts the events, each once, as a job handles them. `goes_on` is asked before each page.
    async fn total(
        &self,
        api: &InProcess,
        command: Command,
        goes_on: impl Fn() -> bool,
    ) -> Result<Total, ApiError> {
        if !self.events.is_empty() {
            return Ok(Total {
                events: self.events.len(),
                is_complete: true,
            });
        }

        let (mut seen, mut cursor) = (HashSet::new(), Cursor::default());
        while !cursor.is_at_end && seen.len() < EVENTS_MAX && goes_on() {
            let page = self.next_page(api, command, &mut cursor).await?;
            seen.extend(page.into_iter().map(|one| one.event));
        }
        Ok(Total {
            events: seen.len().min(EVENTS_MAX),
            is_complete: cursor.is_at_end,
        })
    }

    /// Counts the deliveries without a change.
    pub(crate) async fn count(
        &self,
        api: &InProcess,
        caller: &Caller,
        command: Command,
    ) -> Result<Counted, ApiError> {
        if !self.events.is_empty() {
            return self.count_selected(api, caller, command).await;
        }

        let (mut counted, mut cursor) = (Counted::default(), Cursor::default());
        let began = Instant::now();
        loop {
            let page = self.next_page(api, command, &mut cursor).await?;
            counted.deliveries += page.len();
            let room = SHOWN_MAX.saturating_sub(counted.shown.len());
            counted.shown.extend(page.into_iter().take(room));
            counted.is_complete = cursor.is_at_end;
            let is_over = counted.deliveries >= EVENTS_MAX || began.elapsed() > COUNT_TIME_MAX;
            if cursor.is_at_end || is_over {
                return Ok(counted);
            }
        }
    }
}

// === impl Counted ===

impl Counted {
    /// The answer of a dry run of the API.
    fn of(answer: &Value) -> Counted {
        const SKIPPED: [(&str, &str); 6] = [
            ("waiting", "waiting or running already"),
            ("repeated", "replayed since"),
            ("discarded", "discarded before"),
            ("undecodable", "a message that no hook runs"),
            ("orphaned", "of a hook that does not exist: waiting for it"),
            ("skipped", "in another state"),
        ];
        let skipped = SKIPPED.iter().filter_map(|(name, words)| {
            let count = answer[name].as_u64().filter(|count| *count > 0)?;
            Some(format!("{count} {words}"))
        });
        let changed = answer["events"].as_u64().or(answer["deliveries"].as_u64());
        Counted {
            deliveries: changed.unwrap_or(0) as usize,
            is_complete: true,
            shown: serde_json::from_value(answer["shown"].clone()).unwrap_or_default(),
            skipped: skipped.collect(),
        }
    }
}

// === impl Job ===

impl Job {
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

    async fn run(&self, starter: &Starter) {
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

// === impl Jobs ===

impl Jobs {
    /// Starts a job. The rate is clamped to what is possible.
    pub(crate) fn start(
        &self,
        starter: Starter,
        command: Command,
        selection: Selection,
        Pace { rate, reason }: Pace,
    ) -> Result<Arc<Job>, Busy> {
        let job = Arc::new(Job {
            id: self.next.fetch_add(1, Ordering::Relaxed) + 1,
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
        });

        let mut jobs = lock(&self.jobs);
        if jobs.iter().filter(|job| job.end().is_none()).count() >= RUNNING_MAX {
            return Err(Busy);
        }
        if jobs.len() >= JOBS_MAX
            && let Some(oldest) = jobs.iter().position(|job| job.end().is_some())
        {
            jobs.remove(oldest);
        }
        jobs.push_back(job.clone());
        drop(jobs);

        let running = job.clone();
        tokio::spawn(async move { running.run(&starter).await });
        Ok(job)
    }

    /// Newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        lock(&self.jobs).iter().rev().cloned().collect()
    }

    /// The job with this number.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Job>> {
        lock(&self.jobs).iter().find(|job| job.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_described() {
        let search = Selection {
            search: "hook:a".into(),
            group: "timeout after N s".into(),
            ..Selection::default()
        };
        assert_eq!(
            search.describe(),
            "deliveries that match hook:a, with the reason “timeout after N s”"
        );
        let picked = Selection {
            events: vec!["1".into(), "2".into()],
            ..Selection::default()
        };
        assert_eq!(picked.describe(), "2 selected events");
    }

    #[test]
    fn dry_runs_say_what_is_skipped() {
        let counted = Counted::of(&json!({
            "events": 2,
            "waiting": 1,
            "discarded": 0,
            "shown": [{ "delivery": 7 }],
        }));
        assert_eq!((counted.deliveries, counted.shown[0].delivery), (2, 7));
        assert_eq!(counted.skipped, ["1 waiting or running already"]);
    }

    #[test]
    fn commands_have_one_word() {
        for word in ["replay", "discard", "retry-now"] {
            assert_eq!(Command::from_word(word).map(Command::word), Some(word));
        }
        assert_eq!(Command::from_word("purge"), None);
        assert_eq!(
            Command::Discard.order(&["a".into()], "old"),
            json!({ "events": ["a"], "reason": "old" })
        );
    }
}
