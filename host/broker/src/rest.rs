//! Calls of brokers that speak JSON over HTTP, by the node's one way out.

use std::time::Duration;

use serde_json::Value;

use super::broker::Unfit;
use landfall_egress::{Client, Outgoing, OutgoingError};

/// Of a call that is answered at once.
pub const WITHIN: Duration = Duration::from_secs(5);

/// A service below one address.
pub struct Rest {
    client: Client,
    base: String,
}

// === impl Rest ===

impl Rest {
    /// `base` without a slash at its end.
    pub fn new(client: Client, base: String) -> Rest {
        Rest { client, base }
    }

    /// What stands there.
    pub async fn get(&self, path: &str) -> Result<(u16, Value), OutgoingError> {
        get(&self.client, &format!("{}/{path}", self.base)).await
    }

    /// What stands there, if anything does, of a service with this name.
    pub async fn find(&self, path: &str, service: &str) -> Result<Option<Value>, Unfit> {
        match self.get(path).await {
            Ok((200, found)) => Ok(Some(found)),
            Ok((404, _)) => Ok(None),
            Ok((status @ (429 | 500..), body)) => {
                Err(Unfit::Away(format!("{service}: {}", told(status, &body))))
            }
            Ok((status, body)) => Err(Unfit::Wrong(format!(
                "{service} does not tell of {path}: {}",
                told(status, &body)
            ))),
            Err(error) => Err(Unfit::Away(format!(
                "{service} cannot be asked for {path}: {error}"
            ))),
        }
    }

    /// What it answers to this.
    pub async fn post(
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

/// Anything else than JSON is null.
pub async fn get(client: &Client, url: &str) -> Result<(u16, Value), OutgoingError> {
    send(
        client,
        "GET",
        url.to_owned(),
        Vec::new(),
        bytes::Bytes::new(),
        WITHIN,
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

/// What a Google API says is wrong.
pub fn told(status: u16, body: &Value) -> String {
    match body["error"]["message"].as_str() {
        Some(message) => format!("{status} {message}"),
        None => format!("status {status}"),
    }
}
