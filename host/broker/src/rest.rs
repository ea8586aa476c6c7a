//! Calls to brokers that speak JSON over HTTP, by the node's one way out.

use std::time::Duration;

use serde_json::Value;

use super::error::BrokerError;
use landfall_egress::{Client, Outgoing, OutgoingError};

/// The deadline of a call that the service answers at once.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A service below one address.
pub(crate) struct Rest {
    client: Client,
    base: String,
}

// === impl Rest ===

impl Rest {
    /// `base` without a slash at its end.
    pub(crate) fn new(client: Client, base: String) -> Rest {
        Rest { client, base }
    }

    /// The status, and the body as JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Value), OutgoingError> {
        get(&self.client, &format!("{}/{path}", self.base)).await
    }

    /// The resource at this path, if it exists. `service` is its name for people.
    pub(crate) async fn find(
        &self,
        path: &str,
        service: &str,
    ) -> Result<Option<Value>, BrokerError> {
        match self.get(path).await {
            Ok((200, found)) => Ok(Some(found)),
            Ok((404, _)) => Ok(None),
            Ok((status @ (429 | 500..), body)) => Err(BrokerError::Unavailable(format!(
                "{service}: {}",
                describe_error(status, &body)
            ))),
            Ok((status, body)) => Err(BrokerError::Misconfigured(format!(
                "{service} does not show {path}: {}",
                describe_error(status, &body)
            ))),
            Err(error) => Err(BrokerError::Unavailable(format!(
                "{service} cannot be asked for {path}: {error}"
            ))),
        }
    }

    /// Posts JSON. The status, and the body as JSON.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        timeout: Duration,
    ) -> Result<(u16, Value), OutgoingError> {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let body = body.to_string().into();
        send(
            &self.client,
            "POST",
            format!("{}/{path}", self.base),
            headers,
            body,
            timeout,
        )
        .await
    }
}

/// The status, and the body as JSON; null if it is something else.
pub(crate) async fn get(client: &Client, url: &str) -> Result<(u16, Value), OutgoingError> {
    send(
        client,
        "GET",
        url.to_owned(),
        Vec::new(),
        bytes::Bytes::new(),
        CALL_TIMEOUT,
    )
    .await
}

async fn send(
    client: &Client,
    method: &str,
    url: String,
    headers: Vec<(String, String)>,
    body: bytes::Bytes,
    timeout: Duration,
) -> Result<(u16, Value), OutgoingError> {
    let outgoing = Outgoing {
        method: method.into(),
        url,
        headers,
        body,
        timeout,
        untrusted: None,
        memory: None,
    };
    let received = client.send_own(outgoing).await?;
    Ok((
        received.status,
        serde_json::from_slice(&received.body).unwrap_or(Value::Null),
    ))
}

/// Posts JSON to a Google API. The body of its answer if that has status 200.
pub(crate) async fn call(
    rest: &Rest,
    path: &str,
    body: &Value,
    timeout: Duration,
) -> Result<Value, BrokerError> {
    match rest.post(path, body, timeout).await {
        Ok((200, body)) => Ok(body),
        Ok((status, body)) => Err(BrokerError::Unavailable(describe_error(status, &body))),
        Err(error) => Err(BrokerError::Unavailable(error.to_string())),
    }
}

/// The error in an answer of a Google API.
pub(crate) fn describe_error(status: u16, body: &Value) -> String {
    match body["error"]["message"].as_str() {
        Some(message) => format!("{status} {message}"),
        None => format!("status {status}"),
    }
}
