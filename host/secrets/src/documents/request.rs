//! How a key document is requested, and the HTTP clients that request it. No redirect is followed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ipnet::IpNet;
use landfall_egress::{Client, Outgoing, Policy};
use landfall_model::Secret;

use super::error::KeyDocumentError;
use super::limits::BYTES_MAX;

const TIMEOUT: Duration = Duration::from_secs(5);
const IDEMPOTENCY_KEY: &str = "key-document";

/// How a document is requested.
#[derive(Clone, PartialEq)]
pub enum KeyRequest {
    /// By GET at a URL of the operator. Senders have no influence, so no budget applies.
    Configured,
    /// By GET at a URL that a sender named.
    Named,
    /// By POST of this JSON at the part of the URL before `#`. A sender named the part after it.
    Posted(Bytes),
    /// By GET with an access token that is requested first. A sender named a part of the URL.
    Granted(TokenRequest),
}

/// A request for an access token by client credentials (RFC 6749 section 4.4).
#[derive(Clone, PartialEq)]
pub struct TokenRequest {
    /// The token server.
    pub token_url: String,
    /// `CLIENT_ID:CLIENT_SECRET`.
    pub client: Secret,
    /// The requested scope.
    pub scope: &'static str,
}

/// Fetches documents.
pub(super) struct Fetcher {
    /// For URLs that a sender named and `verify` has checked: public addresses only.
    public: Client,
    /// For URLs that a hook file or a provider pack contains: public addresses, and an address that
    /// the URL itself contains.
    configured: Client,
    /// For the URL that only the operator of the node names: any address.
    own: Client,
    own_url: Option<String>,
}

// === impl Fetcher ===

impl Fetcher {
    /// `addresses` are ranges that documents may come from besides public addresses.
    pub(super) fn new(own_url: Option<String>, addresses: Vec<IpNet>) -> Fetcher {
        Fetcher {
            public: Client::without_credentials(Policy::public(addresses.clone())),
            configured: Client::without_credentials(Policy::configured(addresses)),
            own: Client::without_credentials(Policy::unrestricted()),
            own_url,
        }
    }

    pub(super) async fn fetch(
        &self,
        url: &str,
        request: &KeyRequest,
    ) -> Result<Bytes, KeyDocumentError> {
        match request {
            KeyRequest::Configured => self.get(url).await,
            KeyRequest::Named => self.get_named(url).await,
            KeyRequest::Posted(body) => self.post(url, body.clone()).await,
            KeyRequest::Granted(token) => self.get_with_token(url, token).await,
        }
    }

    /// Gets a document from a URL that the operator wrote, or that a document was fetched from
    /// before.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, KeyDocumentError> {
        self.send(outgoing("GET", url, Vec::new(), Bytes::new()))
            .await
    }

    /// Gets a document from a URL that a sender named.
    pub(super) async fn get_named(&self, url: &str) -> Result<Bytes, KeyDocumentError> {
        if self.own_url.as_deref() == Some(url) {
            return self.get(url).await;
        }
        let outgoing = outgoing("GET", url, Vec::new(), Bytes::new());
        self.send_by(&self.public, outgoing).await
    }

    async fn post(&self, url: &str, body: Bytes) -> Result<Bytes, KeyDocumentError> {
        let url = url.split('#').next().unwrap_or_default();
        let headers = vec![("content-type".into(), "application/json".into())];
        self.send(outgoing("POST", url, headers, body)).await
    }

    async fn get_with_token(
        &self,
        url: &str,
        request: &TokenRequest,
    ) -> Result<Bytes, KeyDocumentError> {
        let token = self.token(request).await?;
        let headers = vec![("authorization".into(), format!("Bearer {token}"))];
        self.send(outgoing("GET", url, headers, Bytes::new())).await
    }

    async fn token(&self, request: &TokenRequest) -> Result<String, KeyDocumentError> {
        let basic = format!("Basic {}", STANDARD.encode(request.client.expose()));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", request.scope)
            .finish();
        let headers = vec![
            ("authorization".into(), basic),
            (
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            ),
        ];

        let call = outgoing("POST", &request.token_url, headers, form.into());
        let answer = self
            .send(call)
            .await
            .map_err(|error| request.failed(error.to_string()))?;
        access_token(&answer)
            .ok_or_else(|| request.failed("the answer contains no access token".into()))
    }

    async fn send(&self, outgoing: Outgoing) -> Result<Bytes, KeyDocumentError> {
        let client = if self.own_url.as_ref() == Some(&outgoing.url) {
            &self.own
        } else {
            &self.configured
        };
        self.send_by(client, outgoing).await
    }

    async fn send_by(
        &self,
        client: &Client,
        outgoing: Outgoing,
    ) -> Result<Bytes, KeyDocumentError> {
        let received = client
            .send(outgoing, IDEMPOTENCY_KEY)
            .await
            .map_err(|error| KeyDocumentError::Call(error.to_string()))?;

        match received.status {
            200..=299 if received.body.len() <= BYTES_MAX => Ok(received.body),
            200..=299 => Err(KeyDocumentError::TooLarge),
            status => Err(KeyDocumentError::Status(status)),
        }
    }
}

// === impl TokenRequest ===

impl TokenRequest {
    fn failed(&self, why: String) -> KeyDocumentError {
        KeyDocumentError::NoToken {
            url: self.token_url.clone(),
            why,
        }
    }
}

fn outgoing(method: &str, url: &str, headers: Vec<(String, String)>, body: Bytes) -> Outgoing {
    Outgoing {
        method: method.into(),
        url: url.into(),
        headers,
        body,
        timeout: TIMEOUT,
        untrusted: None,
        memory: None,
    }
}

/// The token of a response (RFC 6749 section 5.1), if a header can contain it.
pub(super) fn access_token(answer: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let token = answer.get("access_token")?.as_str()?;
    let is_valid = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then(|| token.to_owned())
}
