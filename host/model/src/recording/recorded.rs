//! The format of a recording.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::body::RecordedBody;
use super::result::RunResult;

/// The version of the format that this code writes.
pub const RECORDING_VERSION: u32 = 1;

/// One attempt: what the component saw, in the order in which it asked, and its result. Bodies and
/// texts are masked: without secrets of the environment, without values whose names say that they
/// are secret, and as `[redact]` of the hook leaves them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`RECORDING_VERSION`] of the code that wrote it.
    pub version: u32,
    /// The SHA-256 of the component in hexadecimal digits, as in the record of its attempt.
    pub component: String,
    /// The number of the attempt that the component saw, from 1.
    pub attempt: u32,
    /// The attributes of the event as the component saw them: some differ from those of the stored
    /// event, such as `replayed` and `traceparent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    /// All `[settings]` of the hook.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// The variables of `[environment]`. Secrets in their values are masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    /// The outbound calls in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<RecordedCall>,
    /// The values of `kv` that were read, also of keys that had none. An attempt sees one value for
    /// a key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Option<RecordedBody>>,
    /// The pages of keys that were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_pages: Vec<RecordedKeys>,
    /// Readings of the wall clock in order, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wall_clock_ns: Vec<u64>,
    /// Readings of the monotonic clock in order, in nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monotonic_ns: Vec<u64>,
    /// The random numbers. `None`: the component used no function of WASI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomSeeds>,
    /// What the component made of it.
    pub result: RunResult,
    /// How many values were masked in what the component read: variables with secrets, secrets by
    /// their names, and what `[redact]` removes. They are masked wherever they occur in the
    /// recording, so that a run on it is the same; only what a component computes of them differs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked_values: usize,
    /// The parts that were cut at a limit. Such a recording says nothing about another component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<RecordedPart>,
}

/// An outbound call as the component made it, and the answer that it received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// As the component wrote it.
    pub method: String,
    /// The whole URL as the component wrote it, masked.
    pub url: String,
    /// The headers of the component in lower case, masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body of the request.
    #[serde(default, skip_serializing_if = "RecordedBody::is_empty")]
    pub body: RecordedBody,
    /// Another call of the attempt had no answer yet when this one began, so that their order may
    /// be another one in the next run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overlaps: bool,
    /// What the component received.
    pub answer: RecordedAnswer,
}

/// The end of a recorded call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedAnswer {
    /// A response with any status.
    Answered {
        /// 100 to 999.
        status: u16,
        /// In the order of the response, masked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
        /// The whole body.
        #[serde(default, skip_serializing_if = "RecordedBody::is_empty")]
        body: RecordedBody,
    },
    /// The component received an error.
    Failed {
        /// One of [`crate::CALL_ERROR_WORDS`].
        error: String,
        /// The sentence that the component received.
        reason: String,
    },
    /// The component received nothing.
    CutOff {
        /// The deadline of the attempt ended the call. Otherwise the component dropped it, or ended
        /// before the answer.
        at_deadline: bool,
    },
}

/// A page of keys of `kv`, as the ledger returned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedKeys {
    /// The beginning of the keys.
    pub prefix: String,
    /// The keys follow this one.
    pub after: String,
    /// The most keys of the page.
    pub limit: usize,
    /// The keys, in order.
    pub keys: Vec<String>,
}

/// The seeds of the random numbers of a component that has used WASI. The same seeds give the same
/// numbers, however many the component reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomSeeds {
    /// Of `wasi:random/random`: the key of ChaCha12.
    pub secure: [u8; 32],
    /// Of `wasi:random/insecure`: the first state of SplitMix64.
    pub insecure: u64,
    /// What `wasi:random/insecure-seed` returns: the lower and the upper half.
    pub seed: (u64, u64),
}

/// A part of a recording that can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedPart {
    /// Outbound calls.
    Calls,
    /// Values of `kv`, and pages of keys.
    Kv,
    /// Readings of a clock.
    Clock,
    /// Settings and environment.
    Settings,
    /// Attributes of the event.
    Attributes,
    /// Reply, rows, writes and emitted events.
    Result,
}

/// What a component asked of a recorded run, and the recording has no answer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// An outbound call that no recorded call with this method, URL and body is left for.
    Call {
        /// The method.
        method: String,
        /// The whole URL, masked.
        url: String,
        /// The body, masked.
        body: RecordedBody,
    },
    /// A value of `kv` that the recorded run did not read.
    Value {
        /// The key.
        key: String,
    },
    /// A page of keys that the recorded run did not read.
    Keys {
        /// The beginning of the keys.
        prefix: String,
    },
}

/// A run on a recording: no effect has left it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedRun {
    /// The run itself, recorded and masked as the first one was.
    pub recording: Recording,
    /// What the first recording could not answer, in order.
    pub missing: Vec<Missing>,
}

/// Removes what may not be stored from a body. `[redact]` of a hook file is one.
pub trait Redact: Send + Sync + fmt::Debug {
    /// The body without what may not be stored. `content_type`: the value of the header, if known.
    fn apply<'a>(&self, body: &'a [u8], content_type: Option<&str>) -> Cow<'a, [u8]>;
}

/// A recording that is not masked yet. Masking takes time that no caller should wait for.
pub trait PendingRecording: Send + Sync + fmt::Debug {
    /// The bytes that it occupies in memory, about.
    fn bytes(&self) -> usize;

    /// Masks it.
    fn finish(self: Box<Self>) -> Recording;
}

// === impl Recording ===

impl Recording {
    /// Whether nothing was cut.
    pub fn is_whole(&self) -> bool {
        self.truncated.is_empty()
    }

    /// Notes that a part was cut.
    pub fn mark_truncated(&mut self, part: RecordedPart) {
        if !self.truncated.contains(&part) {
            self.truncated.push(part);
        }
    }
}

// === impl RecordedPart ===

impl RecordedPart {
    /// The name in recordings, reports and metrics.
    pub fn word(self) -> &'static str {
        match self {
            RecordedPart::Calls => "calls",
            RecordedPart::Kv => "kv",
            RecordedPart::Clock => "clock",
            RecordedPart::Settings => "settings",
            RecordedPart::Attributes => "attributes",
            RecordedPart::Result => "result",
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
