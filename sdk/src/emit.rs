//! Events for other hooks. The operator lists the hooks under `[allow] emit`.
//!
//! An event is queued if the attempt succeeds, exactly once. The handler gets no reply.

use crate::{CapabilityError, Payload};
use serde::Serialize;
use std::time::Duration;

/// An event for another hook. [`send`](Emission::send) stages it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// The hook that handles it.
    pub hook: String,
    /// The kind of event, which the other handler finds in
    /// [`Event::event_type`](crate::Event::event_type). At most 256 bytes.
    pub event_type: Option<String>,
    /// The headers that the other handler receives. The host makes the names lower-case.
    pub headers: Vec<(String, String)>,
    /// The body that the other handler receives.
    pub body: Payload,
    /// 1 to 512 bytes. Emissions with the same key to the same hook are one event.
    pub key: Option<String>,
    /// The event runs at the earliest this time after the attempt has succeeded. A part of a second
    /// is rounded up.
    pub delay: Option<Duration>,
}

/// An event for the hook of that name, with an empty body.
pub fn to(hook: impl Into<String>) -> Emission {
    Emission {
        hook: hook.into(),
        event_type: None,
        headers: Vec::new(),
        body: Payload::Text(String::new()),
        key: None,
        delay: None,
    }
}

impl Emission {
    /// Sets the kind of event, such as `order.paid`.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Adds a header. Headers of the same name stay.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Payload>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body and its content type.
    ///
    /// # Panics
    ///
    /// If `value` cannot be JSON.
    #[must_use]
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        let text = serde_json::to_string(value).expect("a body is JSON");
        self.body(text).header("content-type", "application/json")
    }

    /// Emissions with the same key to the same hook are one event within that hook's `[dedup]
    /// window`.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Delays the event. A part of a second is rounded up.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Stages the event and returns its id.
    pub fn send(self) -> Result<String, CapabilityError> {
        host::emit(self)
    }
}

/// The call to the host.
#[cfg(target_arch = "wasm32")]
mod host {
    wit_bindgen::generate!({
        path: ["../wit/event.wit", "../wit/emit.wit"],
        inline: "package landfall:sdk; world emitting { include landfall:emit/imports@0.1.0; }",
        with: {
            "landfall:event/types@0.1.0": crate::bindings::landfall::event::types,
            "landfall:emit/emit@0.1.0": generate,
        },
    });

    use self::landfall::emit::emit;
    use super::{CapabilityError, Emission};
    use crate::time::whole_seconds;

    pub(crate) fn emit(emission: Emission) -> Result<String, CapabilityError> {
        let emission = emit::Emission {
            hook: emission.hook,
            event_type: emission.event_type,
            headers: emission.headers,
            body: emission.body.into(),
            key: emission.key,
            delay_s: emission.delay.map(whole_seconds),
        };
        Ok(emit::emit(&emission)?)
    }
}

/// The fake of native tests.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use super::{CapabilityError, Emission};
    use crate::testing::{Host, allowed, fake};

    impl Host {
        /// The events for other hooks so far.
        pub fn emissions(&self) -> Vec<Emission> {
            fake(|emissions: &mut Vec<Emission>| emissions.clone())
        }
    }

    pub(crate) fn emit(emission: Emission) -> Result<String, CapabilityError> {
        allowed("emit")?;
        fake(|emissions: &mut Vec<Emission>| {
            emissions.push(emission);
            Ok(format!("019c1234-5678-7abc-8def-{:012x}", emissions.len()))
        })
    }
}
