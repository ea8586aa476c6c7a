//! The dispatcher and its parts. Each part has its own state and its own file; the steps of an
//! event are in `accept`, `run` and `finish`.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use landfall_broker::Broker;
use landfall_engine::Target;
use landfall_ledger::{Ledger, LedgerError, RecordedAttempt};
use landfall_metrics::{HookMetrics, Metrics};
use landfall_model::{
    Attempt, Clock, Event, EventId, HookRetentions, PendingRecording, RefusalLog,
};
use landfall_telemetry::Tracer;

use super::gate::{Gate, HookStatus};
use super::record;
use super::record_budget::RecordBudget;
use super::recordings::{Recordings, Waiting};
use super::replies::Replies;
use super::shadow::Shadows;
use super::work::Work;

/// The hooks that can run.
pub trait Targets: Send + Sync {
    /// The hook of that name, if it can run now.
    fn find(&self, hook: &str) -> Option<Target>;
    /// The event as its hook stores it: without the values that `[redact]` names. Fails if the
    /// rules of `[redact]` are not known: then nothing may be stored.
    fn redacted(&self, event: Event) -> Result<Event, String>;
    /// Why the rules of `[redact]` of a hook are not known, so that nothing may be stored for it.
    /// `None`: it is known, or the hook has no file.
    fn unread(&self, hook: &str) -> Option<String>;
    /// How long the deliveries of each hook are kept. `None`: not all hook files were read yet.
    fn retentions(&self) -> Option<HookRetentions>;
    /// The names of all hooks.
    fn names(&self) -> Vec<Arc<str>>;
}

/// Is called with each attempt that has ended, and its number, before what the attempt leaves is
/// stored.
pub type Observer = Box<dyn Fn(&Event, u32, &Attempt) + Send + Sync>;

/// Runs events and stores what they leave.
pub struct Dispatcher {
    pub(crate) work: Work,
    pub(crate) gate: Gate,
    pub(crate) replies: Replies,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sync_records: RecordBudget,
    recordings: Recordings,
    /// Duplicates are recorded here, beside the requests that the edge refuses.
    pub(crate) refusals: Arc<RefusalLog>,
    pub(crate) targets: Arc<dyn Targets>,
    pub(crate) clock: Clock,
    pub(crate) shadows: Shadows,
    pub(crate) tracer: Tracer,
    observer: OnceLock<Observer>,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Nothing runs until the `run_…` functions do.
    pub async fn new(
        ledger: Arc<dyn Ledger>,
        broker: Option<Arc<dyn Broker>>,
        targets: Arc<dyn Targets>,
        clock: Clock,
        metrics: Arc<Metrics>,
        tracer: Tracer,
    ) -> Result<Arc<Dispatcher>, LedgerError> {
        let recordings = Recordings::start(ledger.clone());
        let dispatcher = Arc::new(Dispatcher {
            work: Work::start(ledger, broker, clock, metrics.clone()).await?,
            gate: Gate::default(),
            replies: Replies::default(),
            metrics,
            sync_records: RecordBudget::new(Instant::now()),
            recordings,
            refusals: Arc::default(),
            targets,
            clock,
            shadows: Shadows::new(),
            tracer,
            observer: OnceLock::new(),
        });
        dispatcher.read_paused_hooks().await?;
        Ok(dispatcher)
    }

    /// Shows every attempt to this function from now on. Only the first call has an effect.
    pub fn observe(&self, observer: Observer) {
        self.observer.set(observer).ok();
    }

    /// Logs and measures an attempt that has ended, and shows it to the observer.
    pub(crate) fn report(
        &self,
        metrics: &HookMetrics,
        event: &Event,
        number: u32,
        attempt: &Attempt,
    ) {
        metrics.measure_attempt(attempt.duration, attempt.memory_peak_bytes);
        record::log(event, number, attempt);
        if let Some(observer) = self.observer.get() {
            observer(event, number, attempt);
        }
    }

    /// Repeats attempts on candidates that are shadows, until the process ends.
    pub async fn run_shadows(self: Arc<Self>) {
        let current = |hook: &str| self.targets.find(hook)?.candidate.get();
        self.shadows.run(current).await;
    }

    /// Stores the recording of an attempt later, if it has one.
    pub(crate) fn record_run(
        &self,
        target: &Target,
        (event, hook): (EventId, &Arc<str>),
        of: RecordedAttempt,
        recording: Option<Box<dyn PendingRecording>>,
    ) {
        if let Some(recording) = recording {
            self.recordings.add(Waiting {
                of,
                event,
                hook: hook.clone(),
                keep: target.handler.record().keep,
                metrics: target.handler.metrics().clone(),
                recording,
            });
        }
    }

    /// Returns when the recordings of the attempts so far are stored.
    pub async fn flush_recordings(&self) {
        self.recordings.flush().await;
    }

    /// Whether an event could be stored now.
    pub fn can_accept(&self) -> bool {
        self.work.can_accept()
    }

    /// Why the ledger accepts no events, if so.
    pub fn refusal(&self) -> Option<String> {
        self.work.refusal().map(|why| why.to_string())
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        self.work.ledger()
    }

    /// What the broker promises, if events wait in one: a sentence each.
    pub async fn describe_broker(&self) -> Vec<String> {
        match self.work.broker() {
            Some(queue) => queue.broker().describe().await,
            None => Vec::new(),
        }
    }

    /// The requests that were refused, and the duplicates that were not run.
    pub fn refusals(&self) -> &Arc<RefusalLog> {
        &self.refusals
    }

    /// The number of replies that are remembered for callers that come late, and the bytes of their
    /// bodies.
    pub fn remembered_replies(&self) -> (usize, usize) {
        self.replies.remembered()
    }

    /// The number of leases that this node holds: of attempts that run, and of those whose result
    /// is not stored yet.
    pub fn leases(&self) -> usize {
        self.work.leases()
    }

    /// Why the events of a hook wait, if they do.
    pub fn hook_status(&self, hook: &str) -> HookStatus {
        self.gate.status(hook)
    }

    /// Pauses a hook, or lets it go on. The ledger remembers it.
    pub async fn pause(&self, hook: &str, is_paused: bool) -> Result<(), LedgerError> {
        self.ledger().pause(hook.to_owned(), is_paused).await?;
        let hook: Arc<str> = hook.into();
        self.gate.set_paused(&hook, is_paused);
        self.work.mark_due(&hook);
        Ok(())
    }

    /// Reads which hooks are paused: before this start, or by another node.
    pub(crate) async fn read_paused_hooks(&self) -> Result<(), LedgerError> {
        let paused = self.ledger().paused().await?;
        let paused: Vec<Arc<str>> = paused.into_iter().map(Arc::from).collect();
        self.gate.set_all_paused(&paused);
        Ok(())
    }

    /// An event of this hook may be due: the scheduler looks at once.
    pub fn mark_due(&self, hook: &Arc<str>) {
        self.work.mark_due(hook);
    }

    /// Starts no more attempts. Those that run may go on.
    pub fn stop(&self) {
        self.gate.stop();
        self.work.notify();
    }

    /// Gives back every lease, as if its attempt had not begun. The number of leases.
    pub async fn release_all(&self) -> Result<usize, LedgerError> {
        self.work.release_all().await
    }
}
