//! What is counted and measured for one hook.

use std::sync::Arc;
use std::time::Duration;

use landfall_model::{CALL_ERROR_WORDS, HookActivity, OUTCOME_WORDS};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::activity::ActivityCounters;
use super::buckets;
use super::granted::GrantedHosts;
use super::keys::KeyCounters;
use super::requests::{RequestCounters, RequestOutcome};
use super::series::OfHook;
use super::sharded_histogram::ShardedHistogram;
use super::words::WordCounters;

/// The outcome of the last attempt of a dead delivery. `loop`: a chain of events that emit events
/// was too long. `unread`: the event could not be read back.
const DEAD_WORDS: [&str; 12] = [
    "retry",
    "defer",
    "reject",
    "trap",
    "timeout",
    "out-of-memory",
    "over-limit",
    "bad-reply",
    "host-fault",
    "done",
    "unread",
    "loop",
];
const DUPLICATE_WORDS: [&str; 2] = [NOT_RUN, REPLAYED];
/// What became of missed deliveries that the provider's API named. `error`: a run that ended before
/// it had seen all of them.
const RECONCILED_WORDS: [&str; 5] = ["accepted", "known", "skipped", "failed", "error"];
const CANDIDATE_WORDS: [&str; 3] = ["started", "promoted", "rolled-back"];
const SHADOW_WORDS: [&str; 5] = ["same", "differs", "unanswered", "truncated", "dropped"];
/// What became of the recordings of attempts. `truncated`: stored, with a part that was cut at a
/// limit.
const RECORDING_WORDS: [&str; 3] = ["stored", "truncated", "dropped"];
/// What the flow of a hook has done: an event is `filtered`, was not filtered because the filter could
/// not decide (`undecided`), waits (`debounced`, `batched`), did not because of the limit of open
/// groups (`unheld`), or was freed by a repair (`stranded`); a batch was `split`; the row of an
/// open group was `damaged`, and removed.
const FLOW_WORDS: [&str; 8] = [
    "filtered",
    "undecided",
    "debounced",
    "batched",
    "split",
    "unheld",
    "stranded",
    "damaged",
];
/// Events from which `[redact]` has removed values, or the whole body because it could not read it.
const REDACTED_WORDS: [&str; 2] = ["values", "body"];
const NOT_RUN: &str = "not-run";
const REPLAYED: &str = "replayed";

/// The metrics of one hook. Its versions share them, and the series end with the last version.
pub struct HookMetrics {
    activity: ActivityCounters,
    requests: RequestCounters,
    in_flight: IntGauge,
    answer_time: ShardedHistogram,
    verify_time: ShardedHistogram,
    verified: KeyCounters,
    refused: IntCounterVec,
    challenges: IntCounter,
    avoided: IntCounterVec,
    duplicates: WordCounters,
    conflicts: IntCounter,
    reconciled: WordCounters,
    redacted: WordCounters,
    queue_wait: ShardedHistogram,
    attempts: WordCounters,
    run_time: ShardedHistogram,
    memory: ShardedHistogram,
    retries: IntCounter,
    deferrals: IntCounter,
    dead_letters: WordCounters,
    candidate_attempts: WordCounters,
    candidate_reruns: IntCounter,
    candidate_decisions: WordCounters,
    shadow_runs: WordCounters,
    recordings: WordCounters,
    flow: WordCounters,
    pub(crate) calls: IntCounterVec,
    pub(crate) call_duration: HistogramVec,
    pub(crate) failed_calls: WordCounters,
    pub(crate) granted: GrantedHosts,
}

/// What a hook has counted since its first version was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookTotals {
    /// Requests that were answered, or whose caller hung up.
    pub requests: u64,
    /// Requests that failed or were refused, attempts after which the event runs again, and dead
    /// letters.
    pub failures: u64,
}

/// A request that is being answered. It counts as `hung-up` if it is dropped without an answer.
pub struct RunningRequest {
    hook: Arc<HookMetrics>,
    is_answered: bool,
}

// === impl HookMetrics ===

impl HookMetrics {
    pub(crate) fn new(hook: &str) -> HookMetrics {
        let of = OfHook(hook);
        HookMetrics {
            activity: ActivityCounters::new(),
            requests: RequestCounters::new(hook),
            in_flight: of.gauge(
                "landfall_requests_in_flight",
                "Requests that are being received or answered.",
            ),
            answer_time: of.histogram(
                "landfall_request_duration_seconds",
                "From the head of a request to its answer.",
                &buckets::ANSWER,
            ),
            verify_time: of.histogram(
                "landfall_verify_duration_seconds",
                "From the whole body to the verdict on the sender.",
                &buckets::VERIFY,
            ),
            verified: KeyCounters::new(of.counters(
                "landfall_verified_total",
                "Requests that have proven their sender.",
                &["key"],
            )),
            refused: of.counters(REFUSED.0, REFUSED.1, &["reason"]),
            challenges: of.counter("landfall_challenges_total", "Ownership checks answered."),
            avoided: of.counters(
                "landfall_avoided_statuses_total",
                "Answers whose status the provider punishes: another was sent.",
                &["status"],
            ),
            duplicates: WordCounters::new(
                of.counters(
                    "landfall_duplicates_total",
                    "Requests that were the same delivery as an earlier event: not run, or replayed \
                     because that one was dead.",
                    &["result"],
                ),
                &DUPLICATE_WORDS,
            ),
            conflicts: of.counter(
                "landfall_conflicts_total",
                "Events with the delivery identity of an earlier event and a different body; both ran.",
            ),
            reconciled: WordCounters::new(
                of.counters(
                    "landfall_reconciled_total",
                    "Missed deliveries that the provider's API named, by what became of them.",
                    &["result"],
                ),
                &RECONCILED_WORDS,
            ),
            redacted: WordCounters::new(
                of.counters(
                    "landfall_redacted_total",
                    "Events from which [redact] has removed values, or the body because it is unreadable.",
                    &["removed"],
                ),
                &REDACTED_WORDS,
            ),
            queue_wait: of.histogram(
                "landfall_queue_wait_seconds",
                "From the reception of an event to the start of its first attempt.",
                &buckets::WAIT,
            ),
            attempts: WordCounters::new(
                of.counters(
                    "landfall_attempts_total",
                    "Attempts that have ended, by outcome.",
                    &["outcome"],
                ),
                &OUTCOME_WORDS,
            ),
            run_time: of.histogram(
                "landfall_attempt_duration_seconds",
                "From the start of an attempt to its outcome.",
                &buckets::RUN,
            ),
            memory: of.histogram(
                "landfall_attempt_memory_peak_bytes",
                "The most linear memory that an attempt used at once.",
                &buckets::MEMORY,
            ),
            retries: of.counter(
                "landfall_retries_total",
                "Attempts after which the event runs again.",
            ),
            deferrals: of.counter(
                "landfall_deferrals_total",
                "Attempts that deferred their event.",
            ),
            dead_letters: WordCounters::new(
                of.counters(
                    "landfall_dead_letters_total",
                    "Deliveries that became dead letters, by the outcome of the last attempt.",
                    &["outcome"],
                ),
                &DEAD_WORDS,
            ),
            candidate_attempts: WordCounters::new(
                of.counters(
                    "landfall_candidate_attempts_total",
                    "Attempts of the hook's candidate, by outcome.",
                    &["outcome"],
                ),
                &OUTCOME_WORDS,
            ),
            candidate_reruns: of.counter(
                "landfall_candidate_reruns_total",
                "Attempts that failed on the candidate, and that the serving version ran again.",
            ),
            candidate_decisions: WordCounters::new(
                of.counters(
                    "landfall_candidate_decisions_total",
                    "Decisions of this node on candidates.",
                    &["decision"],
                ),
                &CANDIDATE_WORDS,
            ),
            shadow_runs: WordCounters::new(
                of.counters(
                    "landfall_shadow_runs_total",
                    "Attempts that the candidate was to repeat without effects, by what came of it.",
                    &["result"],
                ),
                &SHADOW_WORDS,
            ),
            recordings: WordCounters::new(
                of.counters(
                    "landfall_recordings_total",
                    "Recordings of attempts: stored, stored with a part that was cut at a limit, or \
                     dropped because too many waited or the ledger did not take them.",
                    &["result"],
                ),
                &RECORDING_WORDS,
            ),
            flow: WordCounters::new(
                of.counters(
                    "landfall_flow_total",
                    "Events that were filtered, or not filtered because the filter could not decide, or that wait for \
                     others, or do not because of the limit of open groups; batches that were split; events that a repair freed; \
                     groups whose damaged rows were removed.",
                    &["step"],
                ),
                &FLOW_WORDS,
            ),
            calls: of.counters(
                "landfall_outbound_calls_total",
                "Outbound calls, by the host of the grant and the class of the status.",
                &["host", "status_class"],
            ),
            call_duration: of.histograms(
                "landfall_outbound_call_duration_seconds",
                "From an outbound call to the end of its response.",
                &buckets::CALL,
                "host",
            ),
            failed_calls: WordCounters::new(
                of.counters(
                    "landfall_outbound_failed_total",
                    "Outbound calls that were denied or failed, by the name of the error.",
                    &["error"],
                ),
                &CALL_ERROR_WORDS,
            ),
            granted: GrantedHosts::default(),
        }
    }

    /// Metrics that no scrape shows, for a component that runs without a node.
    pub fn detached(hook: &str) -> Arc<HookMetrics> {
        Arc::new(HookMetrics::new(hook))
    }

    /// A request begins.
    pub fn start_request(self: &Arc<Self>) -> RunningRequest {
        self.in_flight.inc();
        RunningRequest {
            hook: self.clone(),
            is_answered: false,
        }
    }

    /// The time that it took to verify a sender, or to refuse one.
    pub fn measure_verify(&self, time: Duration) {
        self.verify_time.observe(time.as_secs_f64());
    }

    /// A verified request. `key`: the scheme and the number of the secret, such as `signature#2`.
    pub fn count_verified(&self, key: &str) {
        self.verified.inc(key);
        self.activity.verified();
    }

    /// A refused request.
    pub fn count_refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
        self.activity.refused(reason);
    }

    /// An ownership check that was answered.
    pub fn count_challenge(&self) {
        self.challenges.inc();
        self.activity.challenge(true);
    }

    /// An ownership check that the provider repeats, and that was refused. It is in no scrape.
    pub fn count_refused_challenge(&self) {
        self.activity.challenge(false);
    }

    /// What was counted since the start, for the alarms.
    pub fn activity(&self) -> HookActivity {
        self.activity.totals()
    }

    /// An answer that takes longer counts as slow in `activity`. `None`: no answer does.
    pub fn set_slow_answer(&self, time: Option<Duration>) {
        self.activity.set_slow_from(time);
    }

    /// A status that was not sent. Returns true for the first one with this status.
    pub fn count_avoided(&self, status: u16) -> bool {
        let counter = self.avoided.with_label_values(&[status.to_string()]);
        counter.inc();
        counter.get() == 1
    }

    /// A duplicate of an earlier event. `is_replayed`: that one was dead, and runs again.
    pub fn count_duplicate(&self, is_replayed: bool) {
        self.duplicates
            .inc(if is_replayed { REPLAYED } else { NOT_RUN });
    }

    /// An event with the identity of an earlier one and another body.
    pub fn count_conflict(&self) {
        self.conflicts.inc();
    }

    /// A missed delivery was `accepted`, `known`, `skipped` or `failed`; or a run ended with an
    /// `error`.
    pub fn count_reconciled(&self, result: &'static str) {
        self.reconciled.inc(result);
    }

    /// Values of an event were removed. `is_body`: its body, because `[redact]` cannot read it.
    pub fn count_redacted(&self, is_body: bool) {
        self.redacted.inc(REDACTED_WORDS[usize::from(is_body)]);
    }

    /// The time from the reception of an event to its first attempt.
    pub fn measure_queue_wait(&self, time: Duration) {
        self.queue_wait.observe(time.as_secs_f64());
    }

    /// The time of an attempt, and its most linear memory in bytes.
    pub fn measure_attempt(&self, time: Duration, memory_bytes: usize) {
        self.run_time.observe(time.as_secs_f64());
        self.memory.observe(memory_bytes as f64);
    }

    /// An attempt has ended. `outcome` is the word of its outcome.
    pub fn count_attempt(&self, outcome: &str) {
        self.attempts.inc(outcome);
    }

    /// An event runs again after an attempt.
    pub fn count_retry(&self) {
        self.retries.inc();
    }

    /// An attempt has deferred its event.
    pub fn count_deferral(&self) {
        self.deferrals.inc();
    }

    /// A delivery is dead. `outcome` is the word for its last outcome.
    pub fn count_dead_letter(&self, outcome: &str) {
        self.dead_letters.inc(outcome);
    }

    /// An attempt of the candidate has ended. `outcome` is the word of its outcome.
    pub fn count_candidate_attempt(&self, outcome: &str) {
        self.candidate_attempts.inc(outcome);
    }

    /// The serving version runs an event again that failed on the candidate.
    pub fn count_candidate_rerun(&self) {
        self.candidate_reruns.inc();
    }

    /// This node has `started`, `promoted` or `rolled-back` a candidate.
    pub fn count_candidate_decision(&self, decision: &str) {
        self.candidate_decisions.inc(decision);
    }

    /// A shadow run was the `same`, `differs`, `unanswered` (it asked for what is not recorded),
    /// `truncated` (the recording is not whole) or `dropped` (too many waited).
    pub fn count_shadow_run(&self, result: &str) {
        self.shadow_runs.inc(result);
    }

    /// The recording of an attempt was `stored`, `truncated` or `dropped`.
    pub fn count_recording(&self, result: &str) {
        self.recordings.inc(result);
    }

    /// The flow of the hook has done this with an event, or a batch: one of `FLOW_WORDS`.
    pub fn count_flow(&self, step: &str) {
        self.flow.inc(step);
    }

    /// As `count_flow`, so many times.
    pub fn count_flows(&self, step: &str, count: usize) {
        (0..count).for_each(|_| self.flow.inc(step));
    }

    /// The counts so far.
    pub fn totals(&self) -> HookTotals {
        let (requests, failed) = self.requests.totals();
        HookTotals {
            requests,
            failures: failed + self.retries.get() + self.dead_letters.total(),
        }
    }

    pub(crate) fn collect(&self) -> Vec<MetricFamily> {
        let plain: [&dyn Collector; 15] = [
            &self.in_flight,
            &self.answer_time,
            &self.verify_time,
            &self.refused,
            &self.challenges,
            &self.avoided,
            &self.conflicts,
            &self.queue_wait,
            &self.run_time,
            &self.memory,
            &self.retries,
            &self.deferrals,
            &self.candidate_reruns,
            &self.calls,
            &self.call_duration,
        ];
        let words = [
            &self.duplicates,
            &self.reconciled,
            &self.redacted,
            &self.attempts,
            &self.dead_letters,
            &self.flow,
            &self.failed_calls,
            &self.candidate_attempts,
            &self.candidate_decisions,
            &self.shadow_runs,
            &self.recordings,
        ];
        let mut all = self.requests.collect();
        all.extend(self.verified.collect());
        all.extend(plain.iter().flat_map(|metric| metric.collect()));
        all.extend(words.iter().flat_map(|metric| metric.collect()));
        all
    }
}

/// The name and the help of the counter of refused requests.
pub(crate) const REFUSED: (&str, &str) =
    ("landfall_refused_total", "Requests that were not let in.");

// === impl RunningRequest ===

impl RunningRequest {
    /// The request is answered, this long after it began.
    pub fn answered(mut self, outcome: RequestOutcome, status: u16, time: Duration) {
        self.is_answered = true;
        self.hook.requests.inc(outcome, Some(status));
        self.hook.answer_time.observe(time.as_secs_f64());
        self.hook.activity.answered(time, status);
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.hook.in_flight.dec();
        if !self.is_answered {
            self.hook.requests.inc(RequestOutcome::HungUp, None);
        }
    }
}
