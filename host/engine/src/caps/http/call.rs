//! One call of `landfall:http`, from the request to the recorded answer.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::context::{Caller, Http, Transferred, time_left};
use super::record::CallRecord;
use landfall_egress::{Outgoing, OutgoingError, Permitted, Received};
use landfall_model::{MemoryHold, TraceContext};

/// What a component asks for.
pub(super) struct Wanted {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) timeout: Option<Duration>,
}

/// A call that has been counted and checked. It owns what it needs, so that several can be in
/// flight.
pub(super) struct PreparedCall {
    method: String,
    url: String,
    body: Bytes,
    /// The call, or why it is not made.
    call: Result<PermittedCall, OutgoingError>,
    /// The span of the call.
    trace: Option<TraceContext>,
    record: CallRecord,
}

struct PermittedCall {
    outgoing: Outgoing,
    permitted: Permitted,
    idempotency_key: String,
    /// The time that the component gives the call.
    timeout: Option<Duration>,
    until: Instant,
    caller: Caller,
    transferred: Transferred,
    _held: MemoryHold,
}

impl Http {
    /// Counts a call, and checks everything that can be checked before it is made.
    pub(super) fn prepare(&mut self, wanted: Wanted) -> PreparedCall {
        let (method, url) = (wanted.method.clone(), wanted.url.clone());
        PreparedCall {
            method,
            url,
            // It shares the memory that the permitted call holds.
            body: wanted.body.clone(),
            call: self.permit(wanted),
            trace: self.call_span(),
            record: self.record.clone(),
        }
    }

    fn permit(&mut self, wanted: Wanted) -> Result<PermittedCall, OutgoingError> {
        let (permitted, idempotency_key) = self.start_call(&wanted.method, &wanted.url)?;
        let held = self
            .memory
            .hold(wanted.body.len())
            .map_err(|error| OutgoingError::Limit(error.to_string()))?;
        self.transferred.add(wanted.body.len())?;

        Ok(PermittedCall {
            outgoing: Outgoing {
                method: wanted.method,
                url: wanted.url,
                headers: wanted.headers,
                body: wanted.body,
                timeout: Duration::ZERO,
                untrusted: self.untrusted.clone(),
                memory: Some(self.memory.clone()),
            },
            permitted,
            idempotency_key,
            timeout: wanted.timeout,
            until: self.until,
            caller: self.caller.clone(),
            transferred: self.transferred.clone(),
            _held: held,
        })
    }
}

// === impl PreparedCall ===

impl PreparedCall {
    /// Makes the call and records how it ended, also if it is cut off.
    pub(super) async fn send(self) -> Result<Received, OutgoingError> {
        let permitted = self.call.as_ref().ok().map(|call| call.permitted.clone());
        let running = self
            .record
            .start(self.method, self.url, self.trace, permitted);
        let headers = self.call.as_ref().map(|call| &*call.outgoing.headers);
        running.set_request(headers.unwrap_or_default(), &self.body);
        let result = match self.call {
            Ok(mut call) => {
                running.pass_trace_on(&mut call.outgoing.headers);
                call.send().await
            }
            Err(error) => Err(error),
        };

        match &result {
            Ok(received) => running.answered(received),
            Err(error) => running.failed(error),
        }
        result
    }
}

// === impl PermittedCall ===

impl PermittedCall {
    async fn send(self) -> Result<Received, OutgoingError> {
        let outgoing = Outgoing {
            // A call of `send-all` may have waited for others.
            timeout: time_left(self.until, self.timeout),
            ..self.outgoing
        };
        let received = self
            .caller
            .send(outgoing, self.permitted, &self.idempotency_key)
            .await?;
        self.transferred.add(received.body.len())?;
        Ok(received)
    }
}
