//! A test case: a file `cases/NAME.toml` or `cases/NAME.json`.

mod expect;
mod parse;
mod read;
mod table;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_config::ConfigError;
use serde_json::{Map, Value};

use crate::pointer::Override;

pub(crate) use expect::Expect;
pub(crate) use parse::{CLIENT_ADDRESS, header_value};
pub(crate) use read::read_all;
pub(crate) use read::read_one;

/// 2026-01-01T00:00:00Z: the time of a case that names none.
const NOW_DEFAULT_S: u64 = 1_767_225_600;

/// A case as it is in its file.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) source: Source,
    /// From 1.
    pub(crate) attempt: u32,
    /// The time of the host and of the component.
    pub(crate) now: SystemTime,
    /// Whether the file names the time.
    pub(crate) has_now: bool,
    pub(crate) seed: u64,
    pub(crate) event: EventSpec,
    /// These replace settings of the hook file.
    pub(crate) settings: Map<String, Value>,
    /// These replace values of the hook file's `[environment]`.
    pub(crate) environment: Vec<(String, String)>,
    /// The stored values before the attempt.
    pub(crate) kv: BTreeMap<String, String>,
    /// The answers to outbound calls.
    pub(crate) answers: Vec<ScriptedAnswer>,
    /// `None`: the file has no `[expect]`.
    pub(crate) expect: Option<Expect>,
}

/// The text of a case and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// The path in messages: `cases/push.toml`.
    pub(crate) shown: String,
    pub(crate) text: String,
    pub(crate) is_json: bool,
}

/// The request that the event is made from.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventSpec {
    pub(crate) sample: Option<String>,
    pub(crate) body: Option<BodySpec>,
    pub(crate) method: Option<http::Method>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    /// A name with several values occurs several times.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) provider: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) delivery_id: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) set: Vec<Override>,
}

/// The body of the request.
#[derive(Debug, Clone)]
pub(crate) enum BodySpec {
    /// A file, relative to the case.
    File(PathBuf),
    Json(Value),
    Text(String),
}

/// An answer to outbound calls.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedAnswer {
    /// `None`: any method.
    pub(crate) method: Option<String>,
    /// The beginning of the URL.
    pub(crate) url: String,
    pub(crate) content: AnswerContent,
    /// How many calls it answers. `None`: any number.
    pub(crate) times: Option<u32>,
}

/// What a call receives.
#[derive(Debug, Clone)]
pub(crate) enum AnswerContent {
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The name of a case of `http-error`.
    Error(String),
}

// === impl Case ===

impl Case {
    /// A case without a file: one event.
    pub(crate) fn of_event(name: &str, event: EventSpec) -> Case {
        Case {
            name: name.to_owned(),
            source: Source {
                path: PathBuf::new(),
                shown: name.to_owned(),
                text: String::new(),
                is_json: false,
            },
            attempt: 1,
            now: default_now(),
            has_now: false,
            seed: 0,
            event,
            settings: Map::new(),
            environment: Vec::new(),
            kv: BTreeMap::new(),
            answers: Vec::new(),
            expect: None,
        }
    }

    /// A mistake at a key, found after the file was read. A case without a file has no keys.
    pub(crate) fn mistake(&self, keys: &[&str], message: impl Display) -> ConfigError {
        let source = &self.source;
        if source.text.is_empty() {
            let message = format!("`{}`: {message}", keys.join("."));
            return ConfigError::whole(&source.shown, message);
        }
        let path: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        table::error_at(source, &path, message)
    }
}

// === impl EventSpec ===

impl EventSpec {
    /// Whether another hook has emitted the event: it came over no HTTP.
    pub(crate) fn is_emitted(&self) -> bool {
        let mut names = self.attributes.iter().map(|(name, _)| name);
        names.any(|name| name == "emitted-by")
    }
}

/// The time of cases that name none.
pub(crate) fn default_now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_DEFAULT_S)
}
