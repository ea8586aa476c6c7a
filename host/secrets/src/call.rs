//! One API call to a secret manager or a token server. All calls share one HTTP client, have a
//! deadline, and follow no redirect.

use std::time::Duration;

use bytes::Bytes;
use landfall_egress::{Client, Outgoing, Policy};
use serde_json::Value;

use crate::error::FetchError;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP client of all API calls.
pub(crate) struct ApiClient {
    client: Client,
}

/// A call and its parameters.
pub(crate) struct ApiCall {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

// === impl ApiClient ===

impl Default for ApiClient {
    fn default() -> ApiClient {
        // The operator names the servers. A metadata server or a Vault usually has a private
        // address.
        ApiClient {
            client: Client::without_credentials(Policy::unrestricted()),
        }
    }
}

impl ApiClient {
    /// Returns the body of a successful response.
    pub(crate) async fn send(&self, call: ApiCall) -> Result<Bytes, FetchError> {
        let url = without_query(&call.url);
        let outgoing = Outgoing {
            method: call.method.into(),
            url: call.url,
            headers: call.headers,
            body: call.body.into(),
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        };

        match self.client.send_own(outgoing).await {
            Ok(received) if (200..300).contains(&received.status) => Ok(received.body),
            Ok(received) => Err(FetchError::Status {
                url,
                status: received.status,
            }),
            Err(error) => Err(FetchError::Call { url, error }),
        }
    }

    /// Returns the body of a successful response as JSON.
    pub(crate) async fn send_for_json(&self, call: ApiCall) -> Result<Value, FetchError> {
        let url = without_query(&call.url);
        let body = self.send(call).await?;
        serde_json::from_slice(&body).map_err(|_| FetchError::NotJson { url })
    }
}

// === impl ApiCall ===

impl ApiCall {
    pub(crate) fn get(url: String, headers: Vec<(String, String)>) -> ApiCall {
        ApiCall {
            method: "GET",
            url,
            headers,
            body: Vec::new(),
        }
    }

    /// A POST of a form, as token servers require it.
    pub(crate) fn form(url: String, pairs: Vec<(&str, String)>) -> ApiCall {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        ApiCall {
            method: "POST",
            url,
            headers: vec![(
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            )],
            body: body.into_bytes(),
        }
    }
}

/// A text field of a JSON response.
pub(crate) fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str, FetchError> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| FetchError::NoField(pointer.into()))
}

/// A query may contain a secret.
fn without_query(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}
