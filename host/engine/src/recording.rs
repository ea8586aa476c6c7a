//! The end of a recorded attempt: what was recorded and what the component made of it become a
//! masked recording.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::masking::{Masking, content_type};
use super::recorder::{PartAnswer, PartCall, Parts};
use landfall_egress::Redactor;
use landfall_model::recording::{
    RECORDING_VERSION, RecordedAnswer, RecordedBody, RecordedCall, RecordedChange,
    RecordedEmission, RecordedKeys, RecordedPart, RecordedReply, RecordedRow, RunResult,
};
use landfall_model::{
    Attempt, Emission, Event, KvChange, KvExpected, KvWrite, Outcome, PROOF_ATTRIBUTE,
    PendingRecording, Recording, Redact, Row,
};

/// A longer body that is only compared is stored as its digest.
const COMPARED_BYTES_MAX: usize = 16 << 10;

/// What an attempt was given.
pub(crate) struct Given {
    pub(crate) event: Arc<Event>,
    pub(crate) number: u32,
    pub(crate) component: String,
    pub(crate) settings: Arc<Map<String, Value>>,
    pub(crate) environment: Vec<(String, String)>,
    /// What the component knows of the secrets of its environment.
    pub(crate) secrets: Arc<Redactor>,
    pub(crate) redaction: Option<Arc<dyn Redact>>,
}

/// A recorded attempt that is not masked yet.
pub(crate) struct Unmasked {
    parts: Parts,
    given: Given,
    outcome: Outcome,
    /// The node has no memory for the event until the recording is masked: only how the attempt
    /// ended is kept.
    is_withheld: bool,
    rows: Vec<Row>,
    writes: Vec<KvWrite>,
    /// The values that must be unchanged for the writes to be applied.
    expected: Vec<KvExpected>,
    emissions: Vec<Emission>,
    duration_us: u64,
    memory_bytes: u64,
}

/// A body as it is compared.
pub(crate) fn comparable(body: &[u8]) -> RecordedBody {
    RecordedBody::comparable(body, COMPARED_BYTES_MAX)
}

// === impl Unmasked ===

impl Unmasked {
    pub(crate) fn new(mut parts: Parts, mut given: Given, attempt: &Attempt) -> Unmasked {
        let effects = &attempt.effects;
        let rows = effects.rows.iter();
        let rows = rows
            .take_while(|row| parts.take(row.table.len() + row.text.len(), RecordedPart::Result))
            .cloned()
            .collect();
        let writes = effects.writes.iter();
        let writes: Vec<KvWrite> = writes
            .take_while(|write| parts.take(write_bytes(write), RecordedPart::Result))
            .cloned()
            .collect();
        let expected = effects.expected.iter();
        let expected = expected
            .take_while(|expected| parts.take(expected_bytes(expected), RecordedPart::Result))
            .cloned()
            .collect();
        let emissions = effects.emissions.iter();
        let emissions = emissions
            .take_while(|one| parts.take(emission_bytes(one), RecordedPart::Result))
            .cloned()
            .collect();
        let reply_bytes = attempt.outcome.reply().map_or(0, |reply| reply.body.len());
        let outcome = if parts.take(reply_bytes, RecordedPart::Result) {
            attempt.outcome.clone()
        } else {
            without_reply(&attempt.outcome)
        };
        let is_withheld = !parts.hold(given.event.body.len());
        if is_withheld {
            let mut event = Event::clone(&given.event);
            event.body = Bytes::new();
            given.event = Arc::new(event);
        }

        Unmasked {
            outcome,
            is_withheld,
            rows,
            writes,
            expected,
            emissions,
            duration_us: attempt.duration.as_micros() as u64,
            memory_bytes: attempt.memory_peak_bytes as u64,
            parts,
            given,
        }
    }

    /// Everything that the attempt has read or written may name a value that must not be stored.
    fn masking(&self) -> Masking {
        let given = &self.given;
        let mut masking = Masking::new(given.secrets.clone(), given.redaction.clone());
        masking.learn_event(&given.event);
        masking.learn_settings(&given.settings);
        for (name, value) in &given.environment {
            masking.learn_variable(name, value);
        }
        for call in &self.parts.calls {
            masking.learn_url(&call.url);
            masking.learn(&call.body, content_type(&call.headers));
            if let Some(PartAnswer::Answered { headers, body, .. }) = &call.answer {
                for (name, value) in headers {
                    masking.learn_header(name, value);
                }
                masking.learn(body, content_type(headers));
            }
        }
        for (key, value) in &self.parts.values {
            if let Some(value) = value {
                masking.learn_value(key, value);
            }
        }
        self.learn_result(&mut masking);
        masking
    }

    /// A component may also make a secret, such as the token of a session.
    fn learn_result(&self, masking: &mut Masking) {
        if let Some(reply) = self.outcome.reply() {
            let headers = texts(&reply.headers);
            for (name, value) in &headers {
                masking.learn_header(name, value);
            }
            masking.learn(&reply.body, content_type(&headers));
        }
        for row in &self.rows {
            masking.learn(row.text.as_bytes(), None);
        }
        for write in &self.writes {
            if let KvChange::Set(value, _) = &write.change {
                masking.learn_value(&write.key, &value.bytes);
            }
        }
        for KvExpected { key, value } in &self.expected {
            if let Some(value) = value {
                masking.learn_value(key, &value.bytes);
            }
        }
        for emission in &self.emissions {
            masking.learn(&emission.body, content_type(&texts(&emission.headers)));
        }
    }

    /// What is stored of an attempt that cannot be masked: how it ended.
    fn withheld(self, masked_values: usize) -> Recording {
        Recording {
            version: RECORDING_VERSION,
            component: self.given.component,
            attempt: self.given.number,
            result: RunResult {
                outcome: self.outcome.word().to_owned(),
                duration_us: self.duration_us,
                memory_bytes: self.memory_bytes,
                ..RunResult::default()
            },
            masked_values,
            truncated: vec![
                RecordedPart::Calls,
                RecordedPart::Kv,
                RecordedPart::Settings,
                RecordedPart::Attributes,
                RecordedPart::Result,
            ],
            ..Recording::default()
        }
    }

    fn result(&self, masking: &Masking) -> RunResult {
        let after = match &self.outcome {
            Outcome::Retry { after, .. } | Outcome::Defer { after, .. } => *after,
            _ => None,
        };
        let reply = self.outcome.reply().map(|reply| RecordedReply {
            status: reply.status,
            headers: masking.headers(texts(&reply.headers).iter().map(borrowed)),
            body: comparable(&masking.body(&reply.body, None)),
        });
        let rows = self.rows.iter().map(|row| RecordedRow {
            table: row.table.clone(),
            row: comparable(&masking.body(&Bytes::from(row.text.clone()), None)),
        });
        let writes = self
            .writes
            .iter()
            .map(|write| (masking.text(&write.key), change(&write.change, masking)));
        let conditions = self.expected.iter().map(|expected| {
            let value = expected.value.as_ref();
            let value = value.map(|value| comparable(&masking.body(&value.bytes, None)));
            (masking.text(&expected.key), value)
        });
        let emitted = self.emissions.iter().map(|one| RecordedEmission {
            id: one.id.to_string(),
            hook: one.hook.to_string(),
            event_type: one.event_type.as_deref().map(|text| masking.text(text)),
            headers: masking.headers(texts(&one.headers).iter().map(borrowed)),
            body: comparable(&masking.body(&one.body, None)),
            key: one.key.as_deref().map(|key| masking.text(key)),
            delay_s: one.delay.as_secs(),
        });
        RunResult {
            outcome: self.outcome.word().to_owned(),
            reason: masking.text(self.outcome.reason()),
            after_s: after.map(|after| after.as_secs()),
            reply,
            rows: rows.collect(),
            kv: writes.collect(),
            conditions: conditions.collect(),
            emitted: emitted.collect(),
            duration_us: self.duration_us,
            memory_bytes: self.memory_bytes,
        }
    }
}

impl PendingRecording for Unmasked {
    fn bytes(&self) -> usize {
        self.parts.bytes()
    }

    fn finish(self: Box<Self>) -> Recording {
        if self.is_withheld {
            return self.withheld(0);
        }
        let masking = self.masking();
        if masking.is_full() {
            return self.withheld(masking.learned());
        }
        let result = self.result(&masking);
        let Unmasked { parts, given, .. } = *self;

        let calls = parts
            .calls
            .into_iter()
            .map(|call| masked_call(call, &masking));
        let values = parts.values.iter().map(|(key, value)| {
            let value = value.as_ref();
            let value = value.map(|value| RecordedBody::new(&masking.body(value, None)));
            (masking.text(key), value)
        });
        let pages = parts.key_pages.iter().map(|page| RecordedKeys {
            prefix: masking.text(&page.prefix),
            after: masking.text(&page.after),
            limit: page.limit,
            keys: page.keys.iter().map(|key| masking.text(key)).collect(),
        });
        let attributes = given.event.attributes.iter();
        let attributes = attributes
            .filter(|(name, _)| name != PROOF_ATTRIBUTE)
            .map(|(name, value)| (name.clone(), masking.text(value)));
        let environment = given.environment.iter();
        let environment = environment.map(|(name, value)| (name.clone(), masking.text(value)));
        // Secrets of the environment are not learned, because they are known.
        let variables = given.environment.iter();
        let has_secret = |value: &str| given.secrets.text(value) != value;
        let masked_variables = variables.filter(|(_, value)| has_secret(value)).count();

        Recording {
            version: RECORDING_VERSION,
            component: given.component,
            attempt: given.number,
            attributes: attributes.collect(),
            settings: masked_settings(&given.settings, &masking),
            environment: environment.collect(),
            calls: calls.collect(),
            values: values.collect(),
            key_pages: pages.collect(),
            wall_clock_ns: parts.wall_clock_ns,
            monotonic_ns: parts.monotonic_ns,
            random: parts.random,
            result,
            masked_values: masking.learned() + masked_variables,
            truncated: parts.truncated,
        }
    }
}

impl fmt::Debug for Unmasked {
    // It has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unmasked").finish_non_exhaustive()
    }
}

fn masked_call(call: PartCall, masking: &Masking) -> RecordedCall {
    let kind = content_type(&call.headers);
    let body = comparable(&masking.message(&call.body, kind));
    let answer = match call.answer {
        Some(PartAnswer::Answered {
            status,
            headers,
            body,
        }) => RecordedAnswer::Answered {
            status,
            body: RecordedBody::new(&masking.message(&body, content_type(&headers))),
            headers: masking.headers(headers.iter().map(borrowed)),
        },
        Some(PartAnswer::Failed { error, reason }) => RecordedAnswer::Failed {
            error: error.to_owned(),
            reason: masking.text(&reason),
        },
        Some(PartAnswer::CutOff { at_deadline }) => RecordedAnswer::CutOff { at_deadline },
        // Its answer was cut at a limit, and the recording is marked.
        None => RecordedAnswer::CutOff { at_deadline: false },
    };
    RecordedCall {
        url: masking.text(&call.url),
        headers: masking.headers(call.headers.iter().map(borrowed)),
        method: masking.text(&call.method),
        body,
        overlaps: call.overlaps,
        answer,
    }
}

/// Settings have no secrets of their own, but a value may contain one.
fn masked_settings(settings: &Map<String, Value>, masking: &Masking) -> Map<String, Value> {
    let masked = settings.iter().map(|(name, value)| {
        let text = value.to_string();
        let masked = masking.text(&text);
        let value = if masked == text {
            value.clone()
        } else {
            serde_json::from_str(&masked).unwrap_or(Value::String(masked))
        };
        (name.clone(), value)
    });
    masked.collect()
}

fn change(change: &KvChange, masking: &Masking) -> RecordedChange {
    match change {
        KvChange::Set(value, expires_in) => RecordedChange::Set {
            value: comparable(&masking.body(&value.bytes, None)),
            expires_in_s: expires_in.map(|time| time.as_secs()),
        },
        KvChange::Delete => RecordedChange::Delete,
        KvChange::Add(by, expires_in) => RecordedChange::Add {
            by: *by,
            expires_in_s: expires_in.map(|time| time.as_secs()),
        },
    }
}

fn without_reply(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Done(_) => Outcome::Done(None),
        Outcome::Reject { reason, .. } => Outcome::Reject {
            reason: reason.clone(),
            reply: None,
        },
        other => other.clone(),
    }
}

fn write_bytes(write: &KvWrite) -> usize {
    let value = match &write.change {
        KvChange::Set(value, _) => value.bytes.len(),
        KvChange::Delete | KvChange::Add(..) => 0,
    };
    write.key.len() + value
}

fn expected_bytes(expected: &KvExpected) -> usize {
    let value = expected.value.as_ref();
    expected.key.len() + value.map_or(0, |value| value.bytes.len())
}

fn emission_bytes(emission: &Emission) -> usize {
    let headers = emission.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    headers + emission.hook.len() + emission.body.len()
}

fn texts(headers: &http::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

fn borrowed((name, value): &(String, String)) -> (&str, &str) {
    (name.as_str(), value.as_str())
}
