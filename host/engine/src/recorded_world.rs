//! The world of a recorded run: it answers a component from a recording, and nothing that the
//! component does leaves it. It serves one run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::masking::{Masking, content_type};
use super::recording::comparable;
use landfall_egress::{Client, Outgoing, OutgoingError, Received};
use landfall_ledger::LedgerError;
use landfall_model::recording::{Missing, RandomSeeds, RecordedAnswer, Recording};
use landfall_model::{Event, EventId, KvValue, MASKED};

/// The most questions without an answer that are kept.
const MISSING_MAX: usize = 100;
const NANOSECONDS_PER_MS: u64 = 1_000_000;
const NO_ANSWER: &str = "no recorded call has this method, URL and body";
/// What stands in place of a masked setting.
const REDACTED: &str = "[redacted]";

/// What surrounds a component in a run on a recording.
pub(crate) struct RecordedWorld {
    recording: Arc<Recording>,
    received_at: SystemTime,
    state: Mutex<State>,
    /// How many readings of each clock were given.
    wall_clock: AtomicUsize,
    monotonic: AtomicUsize,
    /// A call is made that the deadline of the recorded attempt cut off.
    deadline: Notify,
}

struct State {
    /// The recorded calls that were answered.
    used: Vec<bool>,
    missing: Vec<Missing>,
    masking: Masking,
}

// === impl RecordedWorld ===

impl RecordedWorld {
    /// `masking` has learned nothing yet. `present`: `[settings]` of the hook.
    pub(crate) fn new(
        recording: Arc<Recording>,
        event: &Event,
        present: &Map<String, Value>,
        mut masking: Masking,
    ) -> Arc<RecordedWorld> {
        masking.learn_event(event);
        masking.learn_settings(present);
        let state = State {
            used: vec![false; recording.calls.len()],
            missing: Vec::new(),
            masking,
        };
        Arc::new(RecordedWorld {
            received_at: event.received_at,
            state: Mutex::new(state),
            wall_clock: AtomicUsize::new(0),
            monotonic: AtomicUsize::new(0),
            deadline: Notify::new(),
            recording,
        })
    }

    /// What the component asked for and the recording does not have.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        landfall_model::lock(&self.state).missing.clone()
    }

    /// Answers a call within the rules of the client, which makes none. A call that was cut off at
    /// the deadline of the recorded attempt ends this one, without the wait.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        outgoing: Outgoing,
    ) -> Result<Received, OutgoingError> {
        client.check_call(&outgoing)?;
        match self.find(&outgoing) {
            None => Err(OutgoingError::Unreachable(NO_ANSWER.into())),
            Some(RecordedAnswer::Failed { error, reason }) => Err(error_of(error, reason.clone())),
            Some(RecordedAnswer::CutOff { at_deadline }) => {
                if *at_deadline {
                    self.deadline.notify_one();
                }
                std::future::pending().await
            }
            Some(RecordedAnswer::Answered {
                status,
                headers,
                body,
            }) => {
                let body = body.bytes().unwrap_or_default();
                let held = outgoing
                    .memory
                    .as_ref()
                    .map(|memory| memory.hold(body.len()))
                    .transpose()
                    .map_err(|error| OutgoingError::Limit(error.to_string()))?;
                Ok(Received {
                    status: *status,
                    headers: header_map(headers),
                    body,
                    held: held.map(Arc::new),
                })
            }
        }
    }

    /// The next recorded call with this method, URL and body. Each is used once.
    fn find(&self, outgoing: &Outgoing) -> Option<&RecordedAnswer> {
        let mut state = landfall_model::lock(&self.state);
        let kind = content_type(&outgoing.headers);
        state.masking.learn_url(&outgoing.url);
        state.masking.learn(&outgoing.body, kind);
        let method = state.masking.text(&outgoing.method);
        let url = state.masking.text(&outgoing.url);
        let body = comparable(&state.masking.message(&outgoing.body, kind));

        let found = self.recording.calls.iter().enumerate().find(|(at, call)| {
            !state.used[*at]
                && call.method.eq_ignore_ascii_case(&method)
                && call.url == url
                && call.body == body
        });
        if let Some((at, call)) = found {
            state.used[at] = true;
            return Some(&call.answer);
        }
        state.note(Missing::Call { method, url, body });
        None
    }

    /// The output of a run, or `None` as soon as the recorded deadline cuts it off.
    pub(crate) async fn until_deadline<F: Future>(&self, run: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = run => Some(output),
            () = self.deadline.notified() => None,
        }
    }

    /// The event as the component of the recorded run saw it.
    pub(crate) fn event(&self, event: &Event) -> Event {
        let mut event = event.clone();
        if !self.recording.attributes.is_empty() {
            event.attributes.clone_from(&self.recording.attributes);
        }
        event
    }

    /// The recorded settings over the present ones. A masked setting keeps its present value.
    pub(crate) fn settings(&self, present: &Map<String, Value>) -> Map<String, Value> {
        let mut settings = present.clone();
        for (name, value) in &self.recording.settings {
            let is_masked = value.as_str().is_some_and(|text| text.contains(REDACTED));
            if !is_masked || !settings.contains_key(name) {
                settings.insert(name.clone(), value.clone());
            }
        }
        settings
    }

    /// The recorded environment. Secrets in it are masked.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.recording.environment.clone()
    }

    /// The seeds of the recorded run, or always the same ones.
    pub(crate) fn seeds(&self) -> RandomSeeds {
        self.recording.random.unwrap_or(RandomSeeds {
            secure: [0; 32],
            insecure: 0,
            seed: (0, 0),
        })
    }

    /// The id of the emission at this place, counted from 0: the recorded one, or a new one that
    /// is the same in each run.
    pub(crate) fn emission_id(&self, place: usize) -> EventId {
        let recorded = self.recording.result.emitted.get(place);
        recorded
            .and_then(|emission| emission.id.parse().ok())
            .unwrap_or_else(|| EventId::numbered(self.received_at, 0, place as u64 + 1))
    }

    /// The next reading of the wall clock. After the last one, each is a millisecond later.
    pub(crate) fn wall_clock_ns(&self) -> u64 {
        let received_at = self.received_at.duration_since(UNIX_EPOCH);
        let first = received_at.unwrap_or_default().as_nanos() as u64;
        next_reading(&self.recording.wall_clock_ns, first, &self.wall_clock)
    }

    /// The next reading of the monotonic clock. After the last one, each is a millisecond later.
    pub(crate) fn monotonic_ns(&self) -> u64 {
        next_reading(&self.recording.monotonic_ns, 0, &self.monotonic)
    }
}

/// A component that waits for a time must see it pass, also after the last recorded reading.
fn next_reading(readings: &[u64], first: u64, given: &AtomicUsize) -> u64 {
    let place = given.fetch_add(1, Ordering::Relaxed);
    if let Some(reading) = readings.get(place) {
        return *reading;
    }
    let last = readings.last().copied().unwrap_or(first);
    let later = (place - readings.len()) as u64 + u64::from(!readings.is_empty());
    last + later * NANOSECONDS_PER_MS
}

#[async_trait]
impl landfall_ledger::Kv for RecordedWorld {
    async fn get(&self, _: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        let mut state = landfall_model::lock(&self.state);
        let key = state.masking.text(&key);
        let recorded = self.recording.values.get(&key);
        let value = recorded.map(|value| value.as_ref().and_then(|body| body.bytes()));
        match value {
            Some(value) => Ok(value.map(KvValue::of)),
            None => {
                state.note(Missing::Value { key });
                Err(not_recorded())
            }
        }
    }

    async fn keys(
        &self,
        _: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        let (prefix, after) = {
            let state = landfall_model::lock(&self.state);
            (state.masking.text(&prefix), state.masking.text(&after))
        };
        let pages = self.recording.key_pages.iter();
        let mut pages = pages.filter(|page| page.prefix == prefix && page.after == after);
        // A page with fewer keys than its limit has all of them.
        let page = pages.find(|page| limit <= page.limit || page.keys.len() < page.limit);
        match page {
            Some(page) => Ok(page.keys.iter().take(limit).cloned().collect()),
            None => {
                landfall_model::lock(&self.state).note(Missing::Keys { prefix });
                Err(not_recorded())
            }
        }
    }
}

// === impl State ===

impl State {
    fn note(&mut self, missing: Missing) {
        if self.missing.len() < MISSING_MAX {
            self.missing.push(missing);
        }
    }
}

fn not_recorded() -> LedgerError {
    LedgerError::Unreachable("the recorded run did not read it".into())
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = name.parse::<HeaderName>();
        let value = HeaderValue::from_maybe_shared(Bytes::from(value.clone()));
        if let Ok(name) = name {
            map.append(name, value.unwrap_or(HeaderValue::from_static(MASKED)));
        }
    }
    map
}

/// The error with this word.
fn error_of(word: &str, reason: String) -> OutgoingError {
    match word {
        "denied" => OutgoingError::Denied(reason),
        "invalid" => OutgoingError::Invalid(reason),
        "unavailable" => OutgoingError::Unavailable(reason),
        "unresolved" => OutgoingError::Unresolved(reason),
        "unreachable" => OutgoingError::Unreachable(reason),
        "tls" => OutgoingError::Tls(reason),
        "interrupted" => OutgoingError::Interrupted(reason),
        "timeout" => OutgoingError::Timeout(reason),
        "limit" => OutgoingError::Limit(reason),
        _ => OutgoingError::Other(reason),
    }
}

#[cfg(test)]
mod tests {
    use landfall_model::CALL_ERROR_WORDS;

    use super::*;

    #[test]
    fn errors_keep_their_words() {
        for word in CALL_ERROR_WORDS {
            let error = error_of(word, "why".into());
            assert_eq!((error.word(), error.guest_text()), (word, "why".to_owned()));
        }
    }

    #[test]
    fn clocks_go_on_after_recordings() {
        let given = AtomicUsize::new(0);
        let next = || next_reading(&[5, 7], 0, &given);
        assert_eq!(
            [next(), next(), next(), next()],
            [5, 7, 7 + NANOSECONDS_PER_MS, 7 + 2 * NANOSECONDS_PER_MS]
        );
        let none = AtomicUsize::new(0);
        let next = || next_reading(&[], 3, &none);
        assert_eq!([next(), next()], [3, 3 + NANOSECONDS_PER_MS]);
    }
}
