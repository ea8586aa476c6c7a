//! The collector: one request to it, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use landfall_egress::{Client, Outgoing, Policy};
use landfall_model::{SecretRef, SecretSource};

use super::settings::TelemetrySettings;

pub(crate) const TRACES: &str = "/v1/traces";
pub(crate) const METRICS: &str = "/v1/metrics";

/// The limit for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The collector that receives spans and metrics.
pub(crate) struct Collector {
    client: Client,
    endpoint: String,
    headers: Vec<(String, String)>,
    authorization: Option<SecretRef>,
    secrets: Arc<dyn SecretSource>,
}

/// Why the collector did not accept a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendError {
    /// It may accept the same request later.
    Later(String),
    /// It never accepts this request.
    Never(String),
}

// === impl Collector ===

impl Collector {
    pub(crate) fn new(settings: &TelemetrySettings, secrets: Arc<dyn SecretSource>) -> Collector {
        Collector {
            // Only the operator names the collector, which usually has a private address.
            client: Client::without_credentials(Policy::unrestricted()),
            endpoint: settings.endpoint.clone(),
            headers: settings.headers.clone(),
            authorization: settings.authorization.clone(),
            secrets,
        }
    }

    /// Where spans and metrics go, for the log.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends one message, and returns the answer of the collector.
    pub(crate) async fn send(&self, path: &str, message: Bytes) -> Result<Bytes, SendError> {
        let outgoing = Outgoing {
            method: "POST".into(),
            url: format!("{}{path}", self.endpoint),
            headers: self.headers()?,
            body: message,
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        };
        let received = self
            .client
            .send_own(outgoing)
            .await
            .map_err(|error| SendError::Later(error.to_string()))?;

        let status = received.status;
        match status {
            200..=299 => Ok(received.body),
            // Source: opentelemetry.io/docs/specs/otlp/#retryable-response-codes.
            429 | 502 | 503 | 504 => Err(SendError::Later(format!("status {status}"))),
            _ => Err(SendError::Never(format!("status {status}"))),
        }
    }

    fn headers(&self) -> Result<Vec<(String, String)>, SendError> {
        let mut headers = self.headers.clone();
        headers.push(("content-type".into(), "application/x-protobuf".into()));
        let Some(reference) = &self.authorization else {
            return Ok(headers);
        };

        let secret = self.secrets.value(reference);
        let secret = secret.map_err(|error| SendError::Later(error.to_string()))?;
        let value = String::from_utf8(secret.expose().to_vec())
            .map_err(|_| SendError::Later("telemetry.authorization is not text".into()))?;
        headers.push(("authorization".into(), value));
        Ok(headers)
    }
}
