//! Shadow runs: a candidate repeats recorded attempts of the serving version, without effects. They
//! use the time that the node has left: one runs at a time, on threads of the lowest priority, and
//! an attempt is not repeated while too many wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use landfall_engine::{Candidate, Target};
use landfall_flow::is_batch;
use landfall_model::recording::{Tolerance, compare};
use landfall_model::{Attempt, Event, EventId, PendingRecording, Recording, lock};
use tokio::sync::mpsc::{self, OwnedPermit};

use super::shadow_lines::ShadowLines;

/// Attempts that wait to be repeated, or that run and will be.
const WAITING_MAX: usize = 64;
/// The bytes of their events.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// A shadow run has at least this time: it gets only what the other work leaves.
const LIMIT_MIN: Duration = Duration::from_secs(60);
/// A shadow run has so many times the limit of its attempt.
const LIMIT_FACTOR: u32 = 10;
/// A shadow run is slower than the attempt, because of its priority: its duration says nothing.
const TOLERANCE: Tolerance = Tolerance {
    duration_factor: 1.0,
    duration_us: u64::MAX,
    memory_factor: 1.25,
    memory_bytes: 1 << 20,
};

/// The attempts of a node that wait to be repeated.
pub(crate) struct Shadows {
    queue: mpsc::Sender<ShadowRun>,
    /// Taken once.
    waiting: Mutex<Option<mpsc::Receiver<ShadowRun>>>,
    bytes: Arc<AtomicUsize>,
}

/// The right to repeat one attempt.
pub(crate) struct ShadowPlace {
    queue: OwnedPermit<ShadowRun>,
    hold: BytesHold,
}

/// The bytes of an event that waits.
struct BytesHold {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

/// An attempt that is to be repeated.
struct ShadowRun {
    candidate: Arc<Candidate>,
    event: Arc<Event>,
    recording: Box<dyn PendingRecording>,
    /// Of the attempt.
    limit: Duration,
    _hold: BytesHold,
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
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        Shadows {
            queue,
            waiting: Mutex::new(Some(waiting)),
            bytes: Arc::default(),
        }
    }

    /// The right to repeat the next attempt, whose event has so many bytes. `None`: too many wait.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<ShadowPlace> {
        let queue = self.queue.clone().try_reserve_owned().ok()?;
        let hold = BytesHold {
            bytes,
            all: self.bytes.clone(),
        };
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= WAITING_BYTES_MAX).then_some(ShadowPlace { queue, hold })
    }

    /// Repeats attempts, until the process ends. `current` is the candidate of a hook that is tried
    /// now.
    pub(crate) async fn run(&self, current: impl Fn(&str) -> Option<Arc<Candidate>> + Send + Sync) {
        let Some(mut waiting) = lock(&self.waiting).take() else {
            return;
        };
        let mut lines = ShadowLines::default();
        while let Some(run) = waiting.recv().await {
            let candidate = current(&run.event.hook);
            if candidate.is_none_or(|candidate| !Arc::ptr_eq(&candidate, &run.candidate)) {
                continue;
            }
            // In a task of its own, so that a panic of the host ends this run and nothing else.
            match tokio::spawn(run.run()).await {
                Ok(Some(differing)) => differing.log(&mut lines),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a shadow run panicked in the host"),
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
        let run = ShadowRun {
            candidate,
            event,
            recording,
            limit,
            _hold: self.hold,
        };
        drop(self.queue.send(run));
    }
}

// === impl BytesHold ===

impl Drop for BytesHold {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl ShadowRun ===

impl ShadowRun {
    async fn run(self) -> Option<Differing> {
        let ShadowRun {
            candidate,
            event,
            recording,
            limit,
            _hold,
        } = self;
        // Masking reads everything that was recorded.
        let finished = tokio::task::spawn_blocking(move || recording.finish()).await;
        let recording = finished.ok()?;
        let recording = Arc::new(recording);
        let limit = LIMIT_MIN.max(limit * LIMIT_FACTOR);
        let handler = &candidate.handler;
        let run = handler.run_shadow(&event, recording.clone(), limit).await;

        let comparison = compare(&recording, &run, &TOLERANCE);
        let verdict = candidate.add_shadow(&event.id, &comparison);
        handler.metrics().count_shadow_run(verdict.word());
        let first = comparison.differences.into_iter().next()?;
        Some(Differing {
            hook: event.hook.clone(),
            event: event.id,
            kind: first.kind.word(),
            place: first.place,
        })
    }
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

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let shadows = Shadows::new();
        let places: Vec<_> = (0..WAITING_MAX + 5)
            .filter_map(|_| shadows.reserve(1))
            .collect();
        assert_eq!(places.len(), WAITING_MAX);
        assert!(shadows.reserve(1).is_none());
        drop(places);

        let large = shadows.reserve(WAITING_BYTES_MAX);
        assert!(large.is_some() && shadows.reserve(1).is_none());
        drop(large);
        assert!(shadows.reserve(1).is_some());
        assert_eq!(shadows.bytes.load(Ordering::Relaxed), 0);
    }
}
