//! Records one attempt while it runs: what the component asks of the host, and what it receives.
//! Nothing is copied that can be shared, and nothing is masked yet.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use landfall_egress::{OutgoingError, Received};
use landfall_model::KvValue;
use landfall_model::recording::{RandomSeeds, RecordedKeys, RecordedPart};

/// The most bytes of one recording, before it is masked.
const ATTEMPT_BYTES_MAX: usize = 256 << 10;
/// The most bytes of all recordings that a node holds in memory: of attempts that run, and of those
/// that are not stored yet.
const NODE_BYTES_MAX: usize = 64 << 20;
/// The most readings of one clock.
const READINGS_MAX: usize = 1024;
/// What an entry occupies beside its content.
const ENTRY_BYTES: usize = 64;
/// The most recordings without content that a thread keeps for its next attempts.
const SPARE_MAX: usize = 32;

/// Records an attempt, or does nothing. Clones record the same attempt.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Option<SharedParts>);

type SharedParts = Arc<Mutex<Parts>>;

thread_local! {
    /// Recordings of attempts that have ended, without their content. Only failures are recorded
    /// by default, so that most attempts need one for nothing: they take it from here, and allocate
    /// only what they record.
    static SPARE: RefCell<Vec<SharedParts>> = const { RefCell::new(Vec::new()) };
}

/// The memory of all recordings of a node.
#[derive(Clone, Default)]
pub(crate) struct RecordingMemory(Arc<AtomicUsize>);

/// What has been recorded so far.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) calls: Vec<PartCall>,
    pub(crate) values: BTreeMap<String, Option<Bytes>>,
    pub(crate) key_pages: Vec<RecordedKeys>,
    pub(crate) wall_clock_ns: Vec<u64>,
    pub(crate) monotonic_ns: Vec<u64>,
    pub(crate) random: Option<RandomSeeds>,
    pub(crate) truncated: Vec<RecordedPart>,
    hold: RecordingHold,
    /// The attempt has ended.
    is_closed: bool,
}

/// The bytes of one recording, which are released when this is dropped.
#[derive(Default)]
pub(crate) struct RecordingHold {
    bytes: usize,
    /// `None`: nothing is recorded.
    memory: Option<RecordingMemory>,
}

/// A call, not masked.
pub(crate) struct PartCall {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) overlaps: bool,
    /// `None`: it still runs.
    pub(crate) answer: Option<PartAnswer>,
}

/// The end of a call, not masked.
pub(crate) enum PartAnswer {
    Answered {
        status: u16,
        headers: Vec<(String, String)>,
        body: Bytes,
    },
    Failed {
        error: &'static str,
        reason: String,
    },
    CutOff {
        at_deadline: bool,
    },
}

// === impl Recorder ===

impl Recorder {
    /// Records nothing.
    pub(crate) const OFF: Recorder = Recorder(None);

    pub(crate) fn new(memory: &RecordingMemory) -> Recorder {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        let parts = spare.ok().flatten().unwrap_or_default();
        landfall_model::lock(&parts).hold.memory = Some(memory.clone());
        Recorder(Some(parts))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Ends the recording, and returns it. What is recorded later is dropped.
    pub(crate) fn close(&self) -> Option<Parts> {
        let mut parts = landfall_model::lock(self.0.as_ref()?);
        let closed = Parts {
            is_closed: true,
            ..Parts::default()
        };
        Some(std::mem::replace(&mut *parts, closed))
    }

    /// A call begins. Returns its place in the recording.
    pub(crate) fn begin_call(&self, method: &str, url: &str) -> Option<usize> {
        self.change(|parts| {
            if !parts.take(ENTRY_BYTES + method.len() + url.len(), RecordedPart::Calls) {
                return None;
            }
            let overlaps = parts.calls.iter().any(|call| call.answer.is_none());
            parts.calls.push(PartCall {
                method: method.to_owned(),
                url: url.to_owned(),
                headers: Vec::new(),
                body: Bytes::new(),
                overlaps,
                answer: None,
            });
            Some(parts.calls.len() - 1)
        })
        .flatten()
    }

    /// The request of a call, as the component wrote it.
    pub(crate) fn set_request(
        &self,
        call: Option<usize>,
        headers: &[(String, String)],
        body: &Bytes,
    ) {
        self.change_call(call, |parts, call| {
            if parts.take(pair_bytes(headers) + body.len(), RecordedPart::Calls) {
                let headers = headers.iter();
                let headers =
                    headers.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.clone()));
                parts.calls[call].headers = headers.collect();
                parts.calls[call].body = body.clone();
            }
        });
    }

    /// The response of a call.
    pub(crate) fn answered(&self, call: Option<usize>, received: &Received) {
        self.change_call(call, |parts, call| {
            let headers: Vec<(String, String)> = received
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), value)
                })
                .collect();
            let bytes = pair_bytes(&headers) + received.body.len();
            // A call has one end, and one that was cut off keeps that.
            if parts.calls[call].answer.is_none() && parts.take(bytes, RecordedPart::Calls) {
                parts.calls[call].answer = Some(PartAnswer::Answered {
                    status: received.status,
                    headers,
                    body: received.body.clone(),
                });
            }
        });
    }

    /// The error of a call, as the component receives it.
    pub(crate) fn failed(&self, call: Option<usize>, error: &OutgoingError) {
        self.end_call(call, || PartAnswer::Failed {
            error: error.word(),
            reason: error.guest_text(),
        });
    }

    /// A call ends without an answer.
    pub(crate) fn cut_off(&self, call: Option<usize>, at_deadline: bool) {
        self.end_call(call, || PartAnswer::CutOff { at_deadline });
    }

    /// A value that was read from the ledger.
    pub(crate) fn value(&self, key: &str, value: Option<&KvValue>) {
        self.change(|parts| {
            let bytes = value.map_or(0, |value| value.bytes.len());
            if parts.take(ENTRY_BYTES + key.len() + bytes, RecordedPart::Kv) {
                let value = value.map(|value| value.bytes.clone());
                parts.values.insert(key.to_owned(), value);
            }
        });
    }

    /// A page of keys that was read from the ledger.
    pub(crate) fn keys(&self, prefix: &str, after: &str, limit: usize, keys: &[String]) {
        self.change(|parts| {
            let bytes: usize = keys.iter().map(|key| key.len() + ENTRY_BYTES).sum();
            let bytes = ENTRY_BYTES + prefix.len() + after.len() + bytes;
            if parts.take(bytes, RecordedPart::Kv) {
                parts.key_pages.push(RecordedKeys {
                    prefix: prefix.to_owned(),
                    after: after.to_owned(),
                    limit,
                    keys: keys.to_vec(),
                });
            }
        });
    }

    /// A reading of the wall clock.
    pub(crate) fn wall_clock(&self, now_ns: u64) {
        self.change(|parts| {
            if parts.wall_clock_ns.len() < READINGS_MAX && parts.take(8, RecordedPart::Clock) {
                parts.wall_clock_ns.push(now_ns);
            } else {
                parts.mark_truncated(RecordedPart::Clock);
            }
        });
    }

    /// A reading of the monotonic clock.
    pub(crate) fn monotonic_clock(&self, now_ns: u64) {
        self.change(|parts| {
            if parts.monotonic_ns.len() < READINGS_MAX && parts.take(8, RecordedPart::Clock) {
                parts.monotonic_ns.push(now_ns);
            } else {
                parts.mark_truncated(RecordedPart::Clock);
            }
        });
    }

    /// The seeds of the random numbers.
    pub(crate) fn random(&self, seeds: RandomSeeds) {
        self.change(|parts| parts.random = Some(seeds));
    }

    fn end_call(&self, call: Option<usize>, answer: impl FnOnce() -> PartAnswer) {
        self.change_call(call, |parts, call| {
            if parts.calls[call].answer.is_none() {
                parts.calls[call].answer = Some(answer());
            }
        });
    }

    fn change_call(&self, call: Option<usize>, change: impl FnOnce(&mut Parts, usize)) {
        let Some(call) = call else { return };
        self.change(|parts| {
            if call < parts.calls.len() {
                change(parts, call);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Parts) -> T) -> Option<T> {
        let mut parts = landfall_model::lock(self.0.as_ref()?);
        (!parts.is_closed).then(|| change(&mut parts))
    }
}

impl Drop for Recorder {
    /// The last one of an attempt leaves its recording, without content, to the next attempt.
    fn drop(&mut self) {
        let Some(mut shared) = self.0.take() else {
            return;
        };
        let Some(Ok(parts)) = Arc::get_mut(&mut shared).map(Mutex::get_mut) else {
            return;
        };
        *parts = Parts::default();
        let keep = |spare: &RefCell<Vec<SharedParts>>| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(shared);
            }
        };
        SPARE.try_with(keep).ok();
    }
}

// === impl Parts ===

impl Parts {
    /// Counts bytes of a part. False, and the part is marked: they exceed a limit.
    pub(crate) fn take(&mut self, bytes: usize, part: RecordedPart) -> bool {
        let hold = &mut self.hold;
        if hold.bytes + bytes <= ATTEMPT_BYTES_MAX && hold.take(bytes) {
            return true;
        }
        self.mark_truncated(part);
        false
    }

    /// Counts bytes that are in memory beside the recording, such as the event: within the limit of
    /// the node alone. False: they exceed it.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        self.hold.take(bytes)
    }

    pub(crate) fn mark_truncated(&mut self, part: RecordedPart) {
        if !self.truncated.contains(&part) {
            self.truncated.push(part);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.hold.bytes
    }
}

// === impl RecordingHold ===

impl RecordingHold {
    /// False: the node has no memory for so many bytes more.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self
            .memory
            .as_ref()
            .is_some_and(|memory| memory.take(bytes));
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for RecordingHold {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.release(self.bytes);
        }
    }
}

// === impl RecordingMemory ===

impl RecordingMemory {
    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| Some(used + bytes).filter(|sum| *sum <= NODE_BYTES_MAX);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }

    fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn pair_bytes(pairs: &[(String, String)]) -> usize {
    pairs
        .iter()
        .map(|(name, value)| ENTRY_BYTES + name.len() + value.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn received(body: &'static [u8]) -> Received {
        Received {
            status: 200,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
            held: None,
        }
    }

    #[test]
    fn a_closed_recording_takes_nothing() {
        let memory = RecordingMemory::default();
        let recorder = Recorder::new(&memory);
        let call = recorder.begin_call("GET", "https://a.example/");
        recorder.cut_off(call, true);
        recorder.answered(call, &received(b"late"));
        assert!(memory.used() > 0);

        let parts = recorder.close().unwrap();
        recorder.value("key", None);
        recorder.answered(call, &received(b"later"));
        assert!(matches!(
            parts.calls[0].answer,
            Some(PartAnswer::CutOff { at_deadline: true })
        ));
        drop(parts);
        drop(recorder);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn calls_in_flight_overlap() {
        let recorder = Recorder::new(&RecordingMemory::default());
        let first = recorder.begin_call("GET", "https://a.example/1");
        let second = recorder.begin_call("GET", "https://a.example/2");
        recorder.answered(first, &received(b""));
        recorder.answered(second, &received(b""));
        recorder.begin_call("GET", "https://a.example/3");
        let calls = recorder.close().unwrap();
        let overlaps: Vec<bool> = calls.calls.iter().map(|call| call.overlaps).collect();
        assert_eq!(overlaps, [false, true, false]);
    }

    #[test]
    fn recordings_are_bounded() {
        let memory = RecordingMemory::default();
        let recorder = Recorder::new(&memory);
        let call = recorder.begin_call("POST", "https://a.example/");
        recorder.set_request(call, &[], &Bytes::from(vec![0; ATTEMPT_BYTES_MAX]));
        for reading in 0..READINGS_MAX as u64 + 1 {
            recorder.wall_clock(reading);
        }
        let parts = recorder.close().unwrap();
        assert!(parts.bytes() < ATTEMPT_BYTES_MAX);
        assert_eq!(parts.truncated, [RecordedPart::Calls, RecordedPart::Clock]);

        // The node has a limit for all attempts.
        assert!(memory.take(NODE_BYTES_MAX - memory.used()));
        let other = Recorder::new(&memory);
        other.value("key", None);
        assert_eq!(other.close().unwrap().truncated, [RecordedPart::Kv]);
    }

    #[test]
    fn events_count_for_the_node() {
        let memory = RecordingMemory::default();
        let mut parts = Recorder::new(&memory).close().unwrap();
        let large = ATTEMPT_BYTES_MAX * 2;
        assert!(parts.hold(large) && !parts.hold(NODE_BYTES_MAX));
        assert_eq!(memory.used(), large);
        drop(parts);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn recordings_are_used_again() {
        let memory = RecordingMemory::default();
        let spare = || SPARE.with(|spare| spare.borrow().len());
        SPARE.with(|spare| spare.borrow_mut().clear());
        for ends_recorded in [false, true, false] {
            let recorder = Recorder::new(&memory);
            let clone = recorder.clone();
            clone.value("key", None);
            assert!(memory.used() > 0);
            if ends_recorded {
                let parts = recorder.close().unwrap();
                assert_eq!(Vec::from_iter(parts.values.keys()), ["key"]);
            }
            drop(recorder);
            assert_eq!(spare(), 0, "a clone may still record");
            drop(clone);
            assert_eq!((spare(), memory.used()), (1, 0));
        }
        // Nothing is left of the attempt before.
        let next = Recorder::new(&memory);
        assert!(next.close().unwrap().values.is_empty());

        let many: Vec<Recorder> = (0..SPARE_MAX + 5).map(|_| Recorder::new(&memory)).collect();
        drop(many);
        assert!(spare() <= SPARE_MAX);
    }

    #[test]
    fn off_records_nothing() {
        let recorder = Recorder::OFF;
        assert_eq!(recorder.begin_call("GET", "https://a.example/"), None);
        recorder.wall_clock(1);
        assert!(recorder.close().is_none());
    }
}
