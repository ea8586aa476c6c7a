//! A recorded attempt as the admin API shows it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use landfall_model::recording::RECORDING_VERSION;
use landfall_model::{Event, Recording};
use serde::Deserialize;
use serde_json::Value;

const REMOVED: &str = "the body of the event has been removed";
const UNREADABLE: &str = "the recording cannot be read";
const NEWER: &str = "a newer version of Landfall has recorded it";

/// A recorded attempt and its event.
pub(crate) struct Entry {
    pub(crate) event: Event,
    pub(crate) recording: Arc<Recording>,
}

/// `EventRequest` of the admin API.
#[derive(Deserialize)]
struct ShownEvent {
    id: String,
    hook: String,
    received_at: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    body: ShownBody,
}

#[derive(Deserialize)]
struct ShownBody {
    text: Option<String>,
    hex: Option<String>,
}

// === impl Entry ===

impl Entry {
    /// An error is why the attempt cannot be run.
    pub(crate) fn read(shown: &Value) -> Result<Entry, &'static str> {
        if shown["event"].is_null() {
            return Err(REMOVED);
        }
        let version = shown["recording"]["version"].as_u64();
        if version.is_some_and(|version| version > u64::from(RECORDING_VERSION)) {
            return Err(NEWER);
        }
        let event = ShownEvent::deserialize(&shown["event"]).map_err(|_| UNREADABLE)?;
        let recording = Recording::deserialize(&shown["recording"]).map_err(|_| UNREADABLE)?;
        Ok(Entry {
            event: event.into_event().ok_or(UNREADABLE)?,
            recording: Arc::new(recording),
        })
    }

    /// Whether the attempt was one of a replay.
    pub(crate) fn is_replay(&self) -> bool {
        let attributes = &self.recording.attributes;
        attributes.iter().any(|(name, _)| name == "replayed")
    }
}

// === impl ShownEvent ===

impl ShownEvent {
    fn into_event(self) -> Option<Event> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            let name: HeaderName = name.parse().ok()?;
            headers.append(
                name,
                HeaderValue::from_maybe_shared(Bytes::from(value)).ok()?,
            );
        }
        let body = match (self.body.text, self.body.hex) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(digits)) => hex::decode(digits).ok()?,
            (None, None) => return None,
        };
        Some(Event {
            id: self.id.parse().ok()?,
            hook: self.hook.into(),
            received_at: humantime::parse_rfc3339(&self.received_at).ok()?,
            method: self.method.parse().ok()?,
            path: self.path,
            query: self.query,
            headers,
            body: body.into(),
            attributes: self.attributes,
        })
    }
}
