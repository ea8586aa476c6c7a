//! The world of a recorded run: it answers a component from a recording, and nothing that the
//! component does leaves it. It serves one run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::masking::{self, Masking, REDACTED, VALUE_BYTES_MIN, content_type};
use super::recording::comparable;
use landfall_egress::{Client, Outgoing, OutgoingError, Received, Redactor};
use landfall_ledger::LedgerError;
use landfall_model::recording::{
    Missing, RandomSeeds, RecordedAnswer, RecordedBody, RecordedCall, Recording,
};
use landfall_model::{Event, EventId, KvValue, MASKED, Redact, Secret};

/// The most questions without an answer that are kept.
const MISSING_MAX: usize = 100;
const NANOSECONDS_PER_MS: u64 = 1_000_000;
const NO_ANSWER: &str = "no recorded call has this method, URL and body";
/// What ends a value in a URL.
const URL_ENDS: [char; 4] = ['/', '?', '&', '#'];
/// The most values that are kept which stood in places of masked ones.
const FILLED_MAX: usize = 64;

/// What surrounds a component in a run on a recording.
pub(crate) struct RecordedWorld {
    recording: Arc<Recording>,
    received_at: SystemTime,
    /// Knows nothing of the run.
    bare: Masking,
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
    /// What stood in this run where the recording has a masked value.
    filled: Vec<Secret>,
}

/// A call as the recording may have it.
struct Asked {
    method: String,
    url: String,
    body: RecordedBody,
}

// === impl RecordedWorld ===

impl RecordedWorld {
    /// `present`: `[settings]` of the hook. `redaction`: its `[redact]`.
    pub(crate) fn new(
        recording: Arc<Recording>,
        event: &Event,
        present: &Map<String, Value>,
        redaction: Option<Arc<dyn Redact>>,
    ) -> Arc<RecordedWorld> {
        let bare = Masking::new(masking::placeholder(), redaction.clone());
        let mut masking = Masking::new(masking::placeholder(), redaction);
        masking.learn_event(event);
        masking.learn_settings(present);
        let state = State {
            used: vec![false; recording.calls.len()],
            missing: Vec::new(),
            masking,
            filled: Vec::new(),
        };
        Arc::new(RecordedWorld {
            received_at: event.received_at,
            bare,
            state: Mutex::new(state),
            wall_clock: AtomicUsize::new(0),
            monotonic: AtomicUsize::new(0),
            deadline: Notify::new(),
            recording,
        })
    }

    /// The recording.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
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
    ///
    /// The recording was masked when all values of its attempt were known. At this place of the
    /// run, some are not known yet, and others that only this run has taught would be masked in
    /// excess. So the call is also compared as it is, and then a masked value in the recording
    /// stands for any value.
    fn find(&self, outgoing: &Outgoing) -> Option<&RecordedAnswer> {
        let mut state = landfall_model::lock(&self.state);
        let kind = content_type(&outgoing.headers);
        state.masking.learn_url(&outgoing.url);
        state.masking.learn(&outgoing.body, kind);
        let masked = Asked::of(outgoing, kind, &state.masking);
        let bare = Asked::of(outgoing, kind, &self.bare);

        let calls = &self.recording.calls;
        let free = |place: &usize| !state.used[*place];
        let mut places = (0..calls.len()).filter(free);
        let equal = places.find(|place| masked.is(&calls[*place]));
        let mut places = (0..calls.len()).filter(free);
        let equal = equal.or_else(|| places.find(|place| bare.is(&calls[*place])));
        let mut places = (0..calls.len()).filter(free);
        let like = || places.find_map(|place| Some((place, bare.fills(&calls[place])?)));
        let found = equal.map(|place| (place, Vec::new())).or_else(like);

        let Some((place, filled)) = found else {
            let Asked { method, url, body } = masked;
            state.note(Missing::Call { method, url, body });
            return None;
        };
        state.used[place] = true;
        state.fill(filled);
        Some(&calls[place].answer)
    }

    /// Removes these secrets, and what stood in this run in places of masked values. The recording
    /// of this run is masked like the first one.
    pub(crate) fn with_filled(&self, known: Arc<Redactor>) -> Arc<Redactor> {
        let state = landfall_model::lock(&self.state);
        if state.filled.is_empty() {
            return known;
        }
        let all = known.secrets().iter().chain(&state.filled).cloned();
        Arc::new(Redactor::new(all.collect()))
    }

    /// What stands in `text` in the places of masked values of `recorded`. The outer `None`: they
    /// are not the same.
    fn same(&self, state: &State, recorded: &str, text: &str) -> Option<Vec<String>> {
        if state.masking.text(text) == recorded {
            return Some(Vec::new());
        }
        fillings(recorded, &self.bare.text(text))
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
        let values = &self.recording.values;
        let (masked, bare) = (state.masking.text(&key), self.bare.text(&key));
        let equal = values.get(&masked).or_else(|| values.get(&bare));
        let like = || {
            let mut values = values.iter();
            values.find_map(|(recorded, value)| Some((value, fillings(recorded, &bare)?)))
        };
        match equal.map(|value| (value, Vec::new())).or_else(like) {
            Some((value, filled)) => {
                state.fill(filled);
                let bytes = value.as_ref().and_then(|body| body.bytes());
                Ok(bytes.map(KvValue::of))
            }
            None => {
                state.note(Missing::Value { key: masked });
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
        let mut state = landfall_model::lock(&self.state);
        // A page with fewer keys than its limit has all of them.
        let pages = self.recording.key_pages.iter();
        let mut pages = pages.filter(|page| limit <= page.limit || page.keys.len() < page.limit);
        let page = pages.find_map(|page| {
            let mut filled = self.same(&state, &page.prefix, &prefix)?;
            filled.extend(self.same(&state, &page.after, &after)?);
            Some((page, filled))
        });
        match page {
            Some((page, filled)) => {
                state.fill(filled);
                Ok(page.keys.iter().take(limit).cloned().collect())
            }
            None => {
                let prefix = state.masking.text(&prefix);
                state.note(Missing::Keys { prefix });
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

    /// Masks these values from now on, as the recording does.
    fn fill(&mut self, values: Vec<String>) {
        for value in values {
            self.masking.learn_secret(&value);
            let value = Secret::new(value);
            if self.filled.len() < FILLED_MAX && !self.filled.contains(&value) {
                self.filled.push(value);
            }
        }
    }
}

// === impl Asked ===

impl Asked {
    fn of(outgoing: &Outgoing, kind: Option<&str>, masking: &Masking) -> Asked {
        Asked {
            method: masking.text(&outgoing.method),
            url: masking.text(&outgoing.url),
            body: comparable(&masking.message(&outgoing.body, kind)),
        }
    }

    fn is(&self, call: &RecordedCall) -> bool {
        call.method.eq_ignore_ascii_case(&self.method)
            && call.url == self.url
            && call.body == self.body
    }

    /// What stands in the places of masked values of the recorded call. `None`: the calls differ
    /// elsewhere.
    fn fills(&self, call: &RecordedCall) -> Option<Vec<String>> {
        if !call.method.eq_ignore_ascii_case(&self.method) {
            return None;
        }
        let mut filled = fillings(&call.url, &self.url)?;
        if filled.iter().any(|value| value.contains(URL_ENDS)) {
            return None;
        }
        match (&call.body, &self.body) {
            (RecordedBody::Text(recorded), RecordedBody::Text(text)) => {
                let ends_value = ends_of(recorded, content_type(&call.headers));
                let values = fillings(recorded, text)?;
                if values.iter().any(|value| ends_value(value)) {
                    return None;
                }
                filled.extend(values);
            }
            (recorded, body) if recorded == body => {}
            _ => return None,
        }
        Some(filled)
    }
}

/// Whether a text that would stand in the place of a masked value of this body goes beyond the
/// value: then it has more, such as a field that the recorded body does not have.
fn ends_of(recorded: &str, kind: Option<&str>) -> fn(&str) -> bool {
    if serde_json::from_str::<IgnoredAny>(recorded).is_ok() {
        return |value| serde_json::from_str::<String>(&format!("\"{value}\"")).is_err();
    }
    if kind.is_some_and(|kind| kind.contains("form-urlencoded")) {
        return |value| value.contains('&');
    }
    |_| false
}

/// What stands in `text` in the places of masked values of `recorded`. `None`: the texts differ
/// elsewhere, or something shorter stands there than values that are masked, or a masked value with
/// more around it.
pub(crate) fn fillings(recorded: &str, text: &str) -> Option<Vec<String>> {
    let mut parts = recorded.split(REDACTED);
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut parts = parts.peekable();
    let mut filled = Vec::new();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let is_masked = rest.strip_prefix(REDACTED).is_some_and(|after| {
            after.starts_with(part) && (!is_last || after.len() == part.len())
        });
        let end = if is_masked {
            REDACTED.len()
        } else if !is_last {
            let from = rest.ceil_char_boundary(VALUE_BYTES_MIN);
            from + rest[from..].find(part)?
        } else {
            rest.strip_suffix(part)?.len()
        };
        if end < VALUE_BYTES_MIN {
            return None;
        }
        let value = &rest[..end];
        if value != REDACTED {
            if value.contains(REDACTED) {
                return None;
            }
            filled.push(value.to_owned());
        }
        rest = &rest[end + part.len()..];
    }
    rest.is_empty().then_some(filled)
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
    fn masked_values_stand_for_any() {
        for (recorded, text, expected) in [
            ("/a", "/a", Some(vec![])),
            ("/a", "/ab", None),
            ("/a/[redacted]", "/a/order-1", Some(vec!["order-1"])),
            ("/a/[redacted]", "/b/order-1", None),
            ("/a/[redacted]", "/a/7", None),
            ("/[redacted]/x", "/order-1/x", Some(vec!["order-1"])),
            ("/[redacted]/x", "/order-1/y", None),
            (
                "?a=[redacted]&b=[redacted]&c=1",
                "?a=value-1&b=value-2&c=1",
                Some(vec!["value-1", "value-2"]),
            ),
            ("?a=[redacted]&b=2", "?a=[redacted]&b=2", Some(vec![])),
            ("[redacted][redacted]", "äöüäöü", Some(vec!["äöü", "äöü"])),
            (
                "[redacted][redacted]",
                "[redacted]order-1",
                Some(vec!["order-1"]),
            ),
            // More stands there than what was masked.
            ("paid [redacted]", "paid [redacted] and more", None),
            ("[redacted], paid", "seen [redacted], paid", None),
            ("[redacted]", "", None),
        ] {
            let found = fillings(recorded, text);
            let expected: Option<Vec<String>> =
                expected.map(|list: Vec<&str>| list.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{recorded} {text}");
        }
    }

    fn call(url: &str, body: &str) -> RecordedCall {
        RecordedCall {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: RecordedBody::new(body.as_bytes()),
            overlaps: false,
            answer: RecordedAnswer::CutOff { at_deadline: false },
        }
    }

    /// Exactly equal calls come first, so that a masked value takes no answer of another call.
    #[test]
    fn calls_are_compared_like_with_like() {
        let asked = |url: &str, body: &str| Asked {
            method: "get".into(),
            url: url.into(),
            body: RecordedBody::new(body.as_bytes()),
        };
        // What was learned after the call is masked in the recording.
        let recorded = call("https://a.example/[redacted]", "{\"id\":\"[redacted]\"}");
        let same = asked("https://a.example/order-1", "{\"id\":\"order-1\"}");
        assert!(!same.is(&recorded));
        assert_eq!(same.fills(&recorded), Some(vec!["order-1".to_owned(); 2]));
        let other = asked("https://a.example/order-1", "{\"id\":1}");
        assert_eq!(other.fills(&recorded), None);
        // A masked value stands for no further parameter, part of the path or field.
        for url in ["order-1?x=1", "order-1&x=1", "order-1/x", "order-1#x"] {
            let more = asked(&format!("https://a.example/{url}"), "{\"id\":\"order-1\"}");
            assert_eq!(more.fills(&recorded), None, "{url}");
        }
        let more = asked(
            "https://a.example/order-1",
            "{\"id\":\"order-1\",\"x\":\"1\"}",
        );
        assert_eq!(more.fills(&recorded), None);
        let quoted = asked("https://a.example/order-1", "{\"id\":\"order-1\\\"x\"}");
        assert!(quoted.fills(&recorded).is_some());
        let mut form = call("https://a.example/", "id=[redacted]");
        let kind = (
            "content-type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        );
        form.headers.push(kind);
        let more = asked("https://a.example/", "id=order-1&x=1");
        assert_eq!(more.fills(&form), None);
        assert!(
            asked("https://a.example/", "id=order-1")
                .fills(&form)
                .is_some()
        );
        let whole = call("https://a.example/order-1", "");
        assert!(asked("https://a.example/order-1", "").is(&whole));
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
