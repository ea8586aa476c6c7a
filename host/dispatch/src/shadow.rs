//! Shadow runs: a candidate repeats recorded attempts of the serving version, without effects. They
//! use the time that the node has left: few run at a time and one of a hook, on threads of the
//! lowest priority, and an attempt is not repeated while too many wait.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use landfall_engine::{Candidate, SHADOW_RUNS_MAX, ShadowRun, Target};
use landfall_flow::is_batch;
use landfall_model::recording::{Comparison, RecordedRun, Tolerance, compare};
use landfall_model::{Attempt, Event, EventId, PendingRecording, Recording, lock};
use tokio::task::JoinSet;

use super::shadow_lines::ShadowLines;
use super::shadow_queue::{Place, ShadowQueue, Turn};

/// The limit of a shadow run is twice that of its attempt, because it gets only the time that other
/// work leaves; and it is between these two.
const LIMIT_FACTOR: u32 = 2;
const LIMIT_MIN: Duration = Duration::from_secs(10);
const LIMIT_MAX: Duration = Duration::from_secs(60);
/// After a run that has used up its limit, nothing is repeated on its candidate for this many times
/// the limit.
const PAUSE_FACTOR: u32 = 10;
/// A shadow run is slower than the attempt, because of its priority: its duration says nothing.
const TOLERANCE: Tolerance = Tolerance {
    duration_factor: 1.0,
    duration_us: u64::MAX,
    memory_factor: 1.25,
    memory_bytes: 1 << 20,
};

/// The attempts of a node that wait to be repeated.
pub(crate) struct Shadows {
    queue: ShadowQueue<Repetition>,
}

/// The right to repeat one attempt.
pub(crate) struct ShadowPlace(Place<Repetition>);

/// An attempt that is to be repeated.
struct Repetition {
    candidate: Arc<Candidate>,
    event: Arc<Event>,
    recording: Box<dyn PendingRecording>,
    /// Of the attempt.
    limit: Duration,
}

/// The end of a repetition.
enum Ended {
    Same,
    Differs(Differing),
    /// The run was ended before it could be compared.
    TooLong,
    Panicked,
}

/// What the log says of a run that differs.
struct Differing {
    hook: Arc<str>,
    event: EventId,
    /// Of the first difference.
    kind: &'static str,
    place: String,
}

/// A recording with two owners: the ledger, and the shadow run.
#[derive(Debug)]
struct SharedRecording {
    bytes: usize,
    pending: Mutex<Option<Box<dyn PendingRecording>>>,
    finished: OnceLock<Recording>,
}

/// One owner of a recording.
#[derive(Debug)]
struct RecordingOwner(Arc<SharedRecording>);

// === impl Shadows ===

impl Shadows {
    pub(crate) fn new() -> Shadows {
        Shadows {
            queue: ShadowQueue::new(),
        }
    }

    /// The right to repeat the next attempt of a hook on its candidate. `bytes`: of its event.
    /// `None`: too many wait, or the candidate has been too slow.
    pub(crate) fn reserve(
        &self,
        hook: &Arc<str>,
        candidate: &Candidate,
        bytes: usize,
    ) -> Option<ShadowPlace> {
        let place = self.queue.reserve(hook, candidate.id(), bytes);
        place.map(ShadowPlace)
    }

    /// Repeats attempts, until the process ends. `current` is the candidate of a hook that is tried
    /// now.
    pub(crate) async fn run(&self, current: impl Fn(&str) -> Option<Arc<Candidate>> + Send + Sync) {
        let mut lines = ShadowLines::default();
        // In tasks of their own, so that a panic of the host ends a run and nothing else.
        let mut running = JoinSet::new();
        loop {
            while running.len() < SHADOW_RUNS_MAX
                && let Some(mut turn) = self.queue.next()
            {
                let Some(run) = turn.take() else { continue };
                let candidate = current(&run.event.hook);
                if candidate.is_some_and(|candidate| Arc::ptr_eq(&candidate, &run.candidate)) {
                    running.spawn(run.run(turn));
                }
            }

            tokio::select! {
                Some(ended) = running.join_next() => match ended {
                    Ok(Ended::Differs(differing)) => differing.log(&mut lines),
                    Ok(Ended::Same | Ended::TooLong) => {}
                    Ok(Ended::Panicked) => tracing::error!("a shadow run panicked in the host"),
                    Err(error) => tracing::error!(%error, "a shadow run panicked in the host"),
                },
                () = self.queue.changed() => {}
            }
        }
    }
}

// === impl ShadowPlace ===

impl ShadowPlace {
    /// Has the attempt repeated, if it was recorded. Its recording stays with the attempt if the
    /// hook keeps it.
    pub(crate) fn repeat(
        self,
        candidate: Arc<Candidate>,
        target: &Target,
        event: Arc<Event>,
        attempt: &mut Attempt,
        limit: Duration,
    ) {
        let Some(mut recording) = attempt.recording.take() else {
            return;
        };
        let is_kept = !is_batch(&event) && target.handler.keeps_recording(&attempt.outcome);
        if is_kept {
            let (kept, repeated) = share(recording);
            attempt.recording = Some(kept);
            recording = repeated;
        }
        self.0.push(Repetition {
            candidate,
            event,
            recording,
            limit,
        });
    }
}

// === impl Repetition ===

impl Repetition {
    /// `turn` lasts until the run has ended.
    async fn run(self, turn: Turn<Repetition>) -> Ended {
        let Repetition {
            candidate,
            event,
            recording,
            limit: attempt_limit,
        } = self;
        // Masking reads everything that was recorded.
        let finished = tokio::task::spawn_blocking(move || recording.finish()).await;
        let Ok(recording) = finished.map(Arc::new) else {
            return Ended::Panicked;
        };
        let handler = &candidate.handler;
        // A run on it proves nothing, and may wait for an answer that was cut until its limit.
        if !recording.is_whole() {
            let comparison = compare(&recording, &RecordedRun::default(), &TOLERANCE);
            return compared(&candidate, &event, comparison);
        }
        let limit = limit_of(attempt_limit);
        let run = handler.run_shadow(event.clone(), recording.clone(), limit);
        let Some(ShadowRun {
            run,
            own_time,
            is_over,
        }) = run.await
        else {
            return Ended::Panicked;
        };

        if is_over {
            let waiting = turn.pause(candidate.id(), limit * PAUSE_FACTOR);
            let dropped = waiting.len();
            waiting.iter().for_each(Repetition::count_dropped);
            let (hook, event, limit) = (&*event.hook, event.id, limit.as_secs());
            tracing::warn!(hook, %event, limit, dropped, "a shadow run has used up its limit (in seconds): nothing is repeated on this candidate for ten times as long");
            // It proves nothing if it waited for a processor, or if the attempt had more time.
            if own_time < attempt_limit {
                candidate.drop_shadow();
                handler.metrics().count_shadow_run("dropped");
                return Ended::TooLong;
            }
        }

        let comparing = tokio::task::spawn_blocking(move || compare(&recording, &run, &TOLERANCE));
        let Ok(comparison) = comparing.await else {
            return Ended::Panicked;
        };
        compared(&candidate, &event, comparison)
    }

    fn count_dropped(&self) {
        self.candidate.drop_shadow();
        let metrics = self.candidate.handler.metrics();
        metrics.count_shadow_run("dropped");
    }
}

/// Adds what a repetition has shown to the findings of the candidate.
fn compared(candidate: &Candidate, event: &Event, comparison: Comparison) -> Ended {
    let verdict = candidate.add_shadow(&event.id, &comparison);
    let metrics = candidate.handler.metrics();
    metrics.count_shadow_run(verdict.word());
    let Some(first) = comparison.differences.into_iter().next() else {
        return Ended::Same;
    };
    Ended::Differs(Differing {
        hook: event.hook.clone(),
        event: event.id,
        kind: first.kind.word(),
        place: first.place,
    })
}

/// The limit of a shadow run of an attempt with this limit.
fn limit_of(attempt_limit: Duration) -> Duration {
    let limit = attempt_limit.saturating_mul(LIMIT_FACTOR);
    limit.clamp(LIMIT_MIN, LIMIT_MAX)
}

// === impl Differing ===

impl Differing {
    fn log(&self, lines: &mut ShadowLines) {
        let Some(suppressed) = lines.take(&self.hook, Instant::now()) else {
            return;
        };
        let (hook, event) = (&*self.hook, self.event);
        let (kind, place) = (self.kind, &*self.place);
        tracing::info!(hook, %event, kind, place, suppressed, "the candidate differs from the serving version");
    }
}

// === impl SharedRecording ===

impl SharedRecording {
    fn recording(&self) -> Recording {
        let finished = self.finished.get_or_init(|| {
            let pending = lock(&self.pending).take();
            pending.map(|pending| pending.finish()).unwrap_or_default()
        });
        finished.clone()
    }
}

impl PendingRecording for RecordingOwner {
    fn bytes(&self) -> usize {
        self.0.bytes
    }

    fn finish(self: Box<Self>) -> Recording {
        self.0.recording()
    }
}

/// A recording for two owners, which is masked once.
fn share(
    pending: Box<dyn PendingRecording>,
) -> (Box<dyn PendingRecording>, Box<dyn PendingRecording>) {
    let shared = Arc::new(SharedRecording {
        bytes: pending.bytes(),
        pending: Mutex::new(Some(pending)),
        finished: OnceLock::new(),
    });
    (
        Box::new(RecordingOwner(shared.clone())),
        Box::new(RecordingOwner(shared)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Recorded;

    impl PendingRecording for Recorded {
        fn bytes(&self) -> usize {
            7
        }

        fn finish(self: Box<Self>) -> Recording {
            Recording {
                component: "sha256:aa".into(),
                ..Recording::default()
            }
        }
    }

    #[test]
    fn both_owners_get_the_recording() {
        let (one, two) = share(Box::new(Recorded));
        assert_eq!((one.bytes(), two.bytes()), (7, 7));
        assert_eq!(one.finish().component, "sha256:aa");
        assert_eq!(two.finish().component, "sha256:aa");
    }

    #[test]
    fn limits_have_bounds() {
        for (attempt_s, shadow_s) in [(1, 10), (8, 16), (30, 60), (3_600, 60)] {
            let limit = limit_of(Duration::from_secs(attempt_s));
            assert_eq!(limit, Duration::from_secs(shadow_s), "{attempt_s}");
        }
        assert_eq!(limit_of(Duration::MAX), LIMIT_MAX);
    }
}
