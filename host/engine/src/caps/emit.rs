//! `emit`: events for other hooks, staged during an attempt. They are queued with its success, or not at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::PayloadResult as Payload;
use crate::bindings::v0_1::landfall::hook::emit::{
    Emission as Wanted, EmitError, Host, add_to_linker,
};
use crate::state::State;
use landfall_model::{Clock, Emission, EventId, MemoryBudget};

const EVENTS_MAX: usize = 100;
const BODY_BYTES_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 8 << 20;
const HEADERS_MAX: usize = 100;
const KEY_BYTES_MAX: usize = 512;

/// The context of `emit`.
pub struct Emit {
    granted: Arc<[String]>,
    emissions: Vec<Emission>,
    bytes: usize,
    memory: MemoryBudget,
}

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker::<State, HasSelf<Emit>>(linker, |state| &mut state.emit)
}

// === impl Emit ===

impl Emit {
    pub fn new(granted: Arc<[String]>, memory: MemoryBudget) -> Emit {
        Emit {
            granted,
            emissions: Vec::new(),
            bytes: 0,
            memory,
        }
    }

    /// The staged events, at the end of the attempt.
    pub fn take(&mut self) -> Vec<Emission> {
        std::mem::take(&mut self.emissions)
    }
}

impl Host for Emit {
    fn emit(&mut self, wanted: Wanted) -> Result<String, EmitError> {
        let Wanted {
            hook,
            headers,
            body,
            key,
            delay_ms,
        } = wanted;
        if !self.granted.contains(&hook) {
            let hook = hook.escape_debug();
            return Err(EmitError::Denied(format!(
                "hook `{hook}` is not in `[allow] emit` of this hook"
            )));
        }
        if let Some(key) = key
            .as_ref()
            .filter(|key| key.is_empty() || key.len() > KEY_BYTES_MAX)
        {
            return Err(EmitError::Invalid(format!(
                "a key of {} bytes: 1 to {KEY_BYTES_MAX}",
                key.len()
            )));
        }
        let body: Bytes = match body {
            Payload::Text(text) => text.into(),
            Payload::Binary(bytes) => bytes.into(),
        };
        let bytes = body.len()
            + headers
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>();
        self.bytes += bytes;
        if body.len() > BODY_BYTES_MAX
            || self.emissions.len() >= EVENTS_MAX
            || self.bytes > BYTES_MAX
        {
            return Err(EmitError::Limit(
                "a body has at most 1 MiB, an attempt 100 events and 8 MiB".into(),
            ));
        }
        self.memory
            .take(bytes)
            .map_err(|error| EmitError::Limit(error.to_string()))?;
        let headers = checked(headers).map_err(EmitError::Invalid)?;
        let delay = Duration::from_millis(delay_ms.unwrap_or(0).into());
        let id = EventId::new(Clock::System.now());
        self.emissions.push(Emission {
            id,
            hook: hook.into(),
            headers,
            body,
            key,
            delay,
        });
        Ok(id.to_string())
    }
}

fn checked(headers: Vec<(String, String)>) -> Result<HeaderMap, String> {
    if headers.len() > HEADERS_MAX {
        return Err(format!("{} headers: at most {HEADERS_MAX}", headers.len()));
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let bad = || {
            format!(
                "header `{}` is not one that HTTP allows",
                name.escape_debug()
            )
        };
        let parsed: HeaderName = name.parse().map_err(|_| bad())?;
        map.append(
            parsed,
            HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| bad())?,
        );
    }
    Ok(map)
}
