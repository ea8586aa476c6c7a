//! The yardstick of `landfall bench --forward`: a call as anybody would write it, without a guard.

use bytes::Bytes;
use http::{HeaderMap, header};

/// Posts what came to one address, through a pool of its own.
#[derive(Clone)]
pub struct PlainSender {
    client: reqwest::Client,
    url: String,
}

// === impl PlainSender ===

impl PlainSender {
    /// Where to.
    pub fn new(url: String) -> PlainSender {
        PlainSender {
            client: reqwest::Client::new(),
            url,
        }
    }

    /// The status of the answer, which is read to its end.
    pub async fn post(self, headers: HeaderMap, body: Bytes) -> anyhow::Result<u16> {
        let mut request = self
            .client
            .post(&self.url)
            .header("idempotency-key", uuid::Uuid::now_v7().to_string())
            .body(body);
        if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        response.bytes().await?;
        Ok(status)
    }
}
