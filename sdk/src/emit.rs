//! Events for other hooks. The operator lists them under `[allow] emit`.
//!
//! An event is queued if the attempt succeeds, exactly once. The handler gets no reply.

use crate::Payload;
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An event for another hook. [`send`](Emission::send) stages it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// The hook that handles it.
    pub hook: String,
    /// The headers that the other handler receives.
    pub headers: Vec<(String, String)>,
    /// The body that the other handler receives.
    pub body: Payload,
    /// Emissions with the same key to the same hook are one event.
    pub key: Option<String>,
    /// The time between the handler's success and the earliest start.
    pub delay: Option<Duration>,
}

/// An event for the hook of that name, with an empty body.
pub fn to(hook: impl Into<String>) -> Emission {
    Emission {
        hook: hook.into(),
        headers: Vec::new(),
        body: Payload::Text(String::new()),
        key: None,
        delay: None,
    }
}

impl Emission {
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

    /// Emissions with the same key to the same hook are one event within that hook's `[dedup] window`.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Delays the event.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Stages the event and returns its id.
    pub fn send(self) -> Result<String, EmitError> {
        host::emit(self)
    }
}

/// Why an event was not staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmitError {
    /// The hook is not in `[allow] emit`.
    Denied(String),
    /// A header or the key is not valid.
    Invalid(String),
    /// The body is too large, or the attempt emits too many events.
    Limit(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) => write!(f, "event denied: {text}"),
            Self::Invalid(text) => write!(f, "event invalid: {text}"),
            Self::Limit(text) => write!(f, "event above a limit: {text}"),
            Self::Other(text) => write!(f, "event not taken: {text}"),
        }
    }
}

impl Error for EmitError {}

/// The call to the host.
#[cfg(target_arch = "wasm32")]
mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package landfall:sdk; world emit { import landfall:hook/emit@0.1.0; }",
        with: {
            "landfall:hook/emit@0.1.0": generate,
            "landfall:hook/types@0.1.0": crate::bindings::landfall::hook::types,
        },
    });

    use self::landfall::hook::emit;
    use super::{Emission, EmitError};
    use crate::exports::millis;

    pub fn emit(emission: Emission) -> Result<String, EmitError> {
        let emission = emit::Emission {
            hook: emission.hook,
            headers: emission.headers,
            body: emission.body.into(),
            key: emission.key,
            delay_ms: emission.delay.map(millis),
        };
        emit::emit(&emission).map_err(|error| match error {
            emit::EmitError::Denied(text) => EmitError::Denied(text),
            emit::EmitError::Invalid(text) => EmitError::Invalid(text),
            emit::EmitError::Limit(text) => EmitError::Limit(text),
            emit::EmitError::Other(text) => EmitError::Other(text),
        })
    }
}

/// The fake of native tests.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use super::{Emission, EmitError};
    use crate::testing::{Host, fake};

    impl Host {
        /// The events for other hooks so far.
        pub fn emissions(&self) -> Vec<Emission> {
            fake(|emissions: &mut Vec<Emission>| emissions.clone())
        }
    }

    pub fn emit(emission: Emission) -> Result<String, EmitError> {
        fake(|emissions: &mut Vec<Emission>| {
            emissions.push(emission);
            Ok(format!("019c1234-5678-7abc-8def-{:012x}", emissions.len()))
        })
    }
}
