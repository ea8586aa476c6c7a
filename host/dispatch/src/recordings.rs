//! Stores the recordings of attempts after the attempts themselves, in a task of its own: no caller
//! and no attempt waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use landfall_ledger::{Ledger, LedgerError, NewRecording, RecordedAttempt};
use landfall_metrics::HookMetrics;
use landfall_model::{EventId, PendingRecording};

/// Recordings that wait to be stored.
const WAITING_MAX: usize = 1024;
/// Recordings that are stored together.
const BATCH_MAX: usize = 64;
/// The most bytes of a recording as JSON. Its content has a smaller limit, but JSON may escape it.
const JSON_BYTES_MAX: usize = 2 << 20;
/// An attempt that is not in the ledger yet is looked for again after this time…
const AGAIN: Duration = Duration::from_millis(500);
/// … so many times.
const TRIES_MAX: u32 = 10;
/// Recordings whose attempts are not in the ledger yet.
const LATE_MAX: usize = 256;

/// The queue of recordings.
pub(crate) struct Recordings {
    queue: mpsc::Sender<Queued>,
}

enum Queued {
    Recording(Waiting),
    /// Is told when everything before it is stored.
    Flush(oneshot::Sender<()>),
}

/// A recording that is not masked yet.
pub(crate) struct Waiting {
    pub(crate) of: RecordedAttempt,
    pub(crate) event: EventId,
    pub(crate) hook: Arc<str>,
    pub(crate) keep: Option<Duration>,
    pub(crate) metrics: Arc<HookMetrics>,
    pub(crate) recording: Box<dyn PendingRecording>,
}

/// A recording that can be stored.
struct Ready {
    new: NewRecording,
    metrics: Arc<HookMetrics>,
    is_truncated: bool,
    tries: u32,
    /// It is not tried before this time.
    due: Instant,
}

struct Store {
    queue: mpsc::Receiver<Queued>,
    ledger: Arc<dyn Ledger>,
    /// Those whose attempts are not in the ledger yet.
    late: Vec<Ready>,
}

// === impl Recordings ===

impl Recordings {
    /// Starts the task, which ends with this queue.
    pub(crate) fn start(ledger: Arc<dyn Ledger>) -> Recordings {
        let (sender, queue) = mpsc::channel(WAITING_MAX);
        let store = Store {
            queue,
            ledger,
            late: Vec::new(),
        };
        tokio::spawn(store.run());
        Recordings { queue: sender }
    }

    /// Queues a recording. If too many wait, it is dropped and counted.
    pub(crate) fn add(&self, waiting: Waiting) {
        let metrics = waiting.metrics.clone();
        if self.queue.try_send(Queued::Recording(waiting)).is_err() {
            metrics.count_recording("dropped");
        }
    }

    /// Returns when everything that was queued before is stored, or dropped.
    pub(crate) async fn flush(&self) {
        let (stored, is_stored) = oneshot::channel();
        if self.queue.send(Queued::Flush(stored)).await.is_ok() {
            is_stored.await.ok();
        }
    }
}

// === impl Store ===

impl Store {
    async fn run(mut self) {
        let mut queued = Vec::with_capacity(BATCH_MAX);
        loop {
            let received = self.queue.recv_many(&mut queued, BATCH_MAX);
            let is_open = if self.late.is_empty() {
                received.await > 0
            } else {
                // Without a new one, the late ones are tried again.
                timeout(AGAIN, received).await.unwrap_or(1) > 0
            };

            let (mut waiting, mut flushed) = (Vec::new(), Vec::new());
            for one in queued.drain(..) {
                match one {
                    Queued::Recording(recording) => waiting.push(recording),
                    Queued::Flush(stored) => flushed.push(stored),
                }
            }
            let is_last = !is_open || !flushed.is_empty();
            self.store(waiting, is_last).await;
            for stored in flushed {
                stored.send(()).ok();
            }
            if !is_open {
                return;
            }
        }
    }

    /// `is_last`: also those that are not due yet.
    async fn store(&mut self, waiting: Vec<Waiting>, is_last: bool) {
        let late = std::mem::take(&mut self.late);
        let (mut batch, later) = split_due(late, Instant::now(), is_last);
        self.late = later;
        if !waiting.is_empty() {
            // Masking takes processor time, which no task of the executor should wait for.
            let masked = tokio::task::spawn_blocking(|| {
                waiting.into_iter().filter_map(Waiting::ready).collect()
            });
            batch.extend(masked.await.unwrap_or_else(|_| Vec::new()));
        }
        if batch.is_empty() {
            return;
        }

        let new = batch.iter().map(|ready| ready.new.clone()).collect();
        match self.ledger.store_recordings(new).await {
            Ok(missing) => {
                for (place, ready) in batch.into_iter().enumerate() {
                    if missing.contains(&place) {
                        self.keep_late(ready);
                    } else {
                        ready.count_stored();
                    }
                }
            }
            Err(error) => drop_all(&batch, &error),
        }
    }

    fn keep_late(&mut self, mut ready: Ready) {
        ready.tries += 1;
        ready.due = Instant::now() + AGAIN;
        if ready.tries < TRIES_MAX && self.late.len() < LATE_MAX {
            self.late.push(ready);
        } else {
            let hook = &*ready.new.hook;
            tracing::debug!(hook, of = ?ready.new.of, "the ledger does not have the attempt of a recording: it is dropped");
            ready.metrics.count_recording("dropped");
        }
    }
}

/// Those to try now, and the others: however many arrive, a late one has its time.
fn split_due(late: Vec<Ready>, now: Instant, is_last: bool) -> (Vec<Ready>, Vec<Ready>) {
    late.into_iter()
        .partition(|ready| is_last || ready.due <= now)
}

fn drop_all(batch: &[Ready], error: &LedgerError) {
    let recordings = batch.len();
    tracing::warn!(%error, recordings, "recordings of attempts cannot be stored: they are dropped");
    for ready in batch {
        ready.metrics.count_recording("dropped");
    }
}

// === impl Waiting ===

impl Waiting {
    /// The masked recording as JSON.
    fn ready(self) -> Option<Ready> {
        let recording = self.recording.finish();
        let is_truncated = !recording.is_whole();
        let json = serde_json::to_vec(&recording).ok();
        let Some(json) = json.filter(|json| json.len() <= JSON_BYTES_MAX) else {
            self.metrics.count_recording("dropped");
            return None;
        };
        Some(Ready {
            new: NewRecording {
                of: self.of,
                event: self.event,
                hook: self.hook,
                keep: self.keep,
                recording: json,
            },
            metrics: self.metrics,
            is_truncated,
            tries: 0,
            due: Instant::now(),
        })
    }
}

// === impl Ready ===

impl Ready {
    fn count_stored(&self) {
        let result = if self.is_truncated {
            "truncated"
        } else {
            "stored"
        };
        self.metrics.count_recording(result);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn ready(due: Instant) -> Ready {
        let event = EventId::new(SystemTime::UNIX_EPOCH);
        Ready {
            new: NewRecording {
                of: RecordedAttempt::FirstOf(event),
                event,
                hook: "h".into(),
                keep: None,
                recording: Vec::new(),
            },
            metrics: HookMetrics::detached("h"),
            is_truncated: false,
            tries: 1,
            due,
        }
    }

    #[test]
    fn late_recordings_have_their_time() {
        let now = Instant::now();
        for (is_last, expected) in [(false, (1, 1)), (true, (2, 0))] {
            let late = vec![ready(now), ready(now + AGAIN)];
            let (due, later) = split_due(late, now, is_last);
            assert_eq!((due.len(), later.len()), expected);
        }
    }
}
