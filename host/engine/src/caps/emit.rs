//! `emit`: events for other hooks that are staged during an attempt and queued only if it succeeds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::{HasSelf, Linker};

use self::bindings::landfall::emit::emit::{Emission as Requested, Host, add_to_linker};
use super::capability::{AttemptContext, Capability};
use crate::bindings::{CapabilityError, Payload};
use crate::fixed::Fixed;
use crate::recorded_world::RecordedWorld;
use landfall_model::{
    Clock, Effects, Emission, EventId, GrantForm, GrantKey, LedgerWrites, MemoryBudget,
    remove_hop_by_hop,
};

#[allow(missing_docs, clippy::pedantic)]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/event.wit", "../../wit/emit.wit"],
        world: "landfall:emit/imports",
        with: { "landfall:event/types": crate::bindings::types },
    });
}

const EVENTS_MAX: usize = 100;
const BODY_BYTES_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 8 << 20;
const HEADERS_MAX: usize = 100;
const KEY_BYTES_MAX: usize = 512;
const EVENT_TYPE_BYTES_MAX: usize = 256;

/// The context of `emit`.
pub(crate) struct Emit {
    granted: Option<Arc<[String]>>,
    emissions: Vec<Emission>,
    bytes: usize,
    memory: MemoryBudget,
    clock: Clock,
    fixed: Option<Fixed>,
    world: Option<Arc<RecordedWorld>>,
}

// === impl Emit ===

impl Capability for Emit {
    const KEY: GrantKey = GrantKey {
        name: "emit",
        form: GrantForm::Names("HOOK"),
        // In the other modes, emissions go to the broker if the node has one.
        writes: LedgerWrites::InSync,
    };

    fn new(attempt: &AttemptContext<'_>) -> Emit {
        Emit {
            granted: attempt.grants.shared_names("emit"),
            emissions: Vec::new(),
            bytes: 0,
            memory: attempt.memory.clone(),
            clock: attempt.clock,
            fixed: attempt.fixed,
            world: attempt.world.cloned(),
        }
    }

    fn link<T: Send + 'static>(
        linker: &mut Linker<T>,
        context: fn(&mut T) -> &mut Emit,
    ) -> wasmtime::Result<()> {
        add_to_linker::<T, HasSelf<Emit>>(linker, context)
    }

    fn take_effects(&mut self, effects: &mut Effects) {
        effects.emissions = std::mem::take(&mut self.emissions);
    }
}

impl Emit {
    fn next_id(&self) -> EventId {
        let place = self.emissions.len();
        match (&self.world, self.fixed) {
            (Some(world), _) => world.emission_id(place),
            // 0 is the event that is handled.
            (None, Some(fixed)) => EventId::numbered(fixed.now, fixed.seed, place as u64 + 1),
            (None, None) => EventId::new(self.clock.now()),
        }
    }

    fn count(&mut self, body: &Bytes, headers: &[(String, String)]) -> Result<(), CapabilityError> {
        let header_bytes: usize = headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let bytes = body.len() + header_bytes;
        if body.len() > BODY_BYTES_MAX {
            return Err(CapabilityError::Invalid(format!(
                "a body of {} bytes: at most {BODY_BYTES_MAX}",
                body.len()
            )));
        }
        if self.emissions.len() >= EVENTS_MAX || self.bytes + bytes > BYTES_MAX {
            return Err(CapabilityError::Limit(
                "the events of one attempt: at most 100 and 8 MiB".into(),
            ));
        }
        self.memory
            .take(bytes)
            .map_err(|error| CapabilityError::Limit(error.to_string()))?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Host for Emit {
    fn emit(&mut self, requested: Requested) -> Result<String, CapabilityError> {
        let granted = self.granted.as_deref().unwrap_or_default();
        if !granted.contains(&requested.hook) {
            let hook = requested.hook.escape_debug();
            return Err(CapabilityError::Denied(format!(
                "hook `{hook}` is not in `[allow] emit` of this hook"
            )));
        }
        if let Some(key) = &requested.key
            && !(1..=KEY_BYTES_MAX).contains(&key.len())
        {
            let bytes = key.len();
            return Err(CapabilityError::Invalid(format!(
                "a key of {bytes} bytes: 1 to {KEY_BYTES_MAX}"
            )));
        }

        if let Some(event_type) = &requested.event_type
            && !(1..=EVENT_TYPE_BYTES_MAX).contains(&event_type.len())
        {
            let bytes = event_type.len();
            return Err(CapabilityError::Invalid(format!(
                "an event type of {bytes} bytes: 1 to {EVENT_TYPE_BYTES_MAX}"
            )));
        }

        let body: Bytes = match requested.body {
            Payload::Text(text) => text.into(),
            Payload::Binary(bytes) => bytes.into(),
        };
        self.count(&body, &requested.headers)?;
        let headers = checked(requested.headers)?;

        let id = self.next_id();
        self.emissions.push(Emission {
            id,
            hook: requested.hook.into(),
            event_type: requested.event_type,
            headers,
            body,
            key: requested.key,
            delay: Duration::from_secs(requested.delay_s.unwrap_or(0).into()),
        });
        Ok(id.to_string())
    }
}

fn checked(headers: Vec<(String, String)>) -> Result<HeaderMap, CapabilityError> {
    if headers.len() > HEADERS_MAX {
        let why = format!("{} headers: at most {HEADERS_MAX}", headers.len());
        return Err(CapabilityError::Invalid(why));
    }

    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let parsed = name.parse::<HeaderName>().ok();
        let value = HeaderValue::from_maybe_shared(Bytes::from(value)).ok();
        let (Some(parsed), Some(value)) = (parsed, value) else {
            let name = name.escape_debug();
            return Err(CapabilityError::Invalid(format!(
                "header `{name}` is not one that HTTP allows"
            )));
        };
        map.append(parsed, value);
    }
    remove_hop_by_hop(&mut map);
    map.remove(CONTENT_LENGTH);
    Ok(map)
}
