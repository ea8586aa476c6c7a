//! The API of a registry: one request at a time, with a token when the registry asks for one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_auth::{ChallengeRef, parse_challenges};
use serde::Deserialize;
use url::Url;

use super::credentials::{self, Credentials};
use super::reference::{Reference, is_loopback};
use crate::client::client_for;
use crate::error::DistributionError;
use crate::fetched::{DOWNLOAD_TIMEOUT, failed};
use landfall_egress::{Client, Outgoing, Received, shown_url};
use landfall_engine::COMPONENT_BYTES_MAX;
use landfall_model::is_hidden;

/// The most characters of an error of the registry that are printed.
const DETAIL_CHARACTERS_MAX: usize = 200;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A connection to the repository of a reference.
pub(crate) struct Registry<'a> {
    pub(crate) reference: &'a Reference,
    access: Access,
    client: Client,
    credentials: Option<Credentials>,
    /// The value of `Authorization`, after the registry has asked for one.
    authorization: Option<String>,
}

/// A request to the API.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    errors: Vec<RegistryError>,
}

#[derive(Deserialize)]
struct RegistryError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

// === impl Request ===

impl Request {
    pub(crate) fn get(url: String) -> Request {
        Request {
            method: "GET",
            url,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }
}

// === impl Registry ===

impl<'a> Registry<'a> {
    pub(crate) async fn connect(
        reference: &'a Reference,
        access: Access,
    ) -> Result<Registry<'a>, DistributionError> {
        Ok(Registry {
            reference,
            access,
            client: client_for(&reference.base_url(), COMPONENT_BYTES_MAX).await,
            credentials: credentials::find(reference.registry()).await?,
            authorization: None,
        })
    }

    /// `https://HOST/v2/REPOSITORY/PATH`
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.reference.base_url())
    }

    /// Sends a request, and again with a token if the registry asks for one.
    pub(crate) async fn call(&mut self, request: Request) -> Result<Received, DistributionError> {
        let received = self.send(&request).await?;
        if received.status != 401 {
            return self.unless_denied(received);
        }

        self.authorization = Some(self.authorize(&received.headers).await?);
        let received = self.send(&request).await?;
        self.unless_denied(received)
    }

    async fn send(&self, request: &Request) -> Result<Received, DistributionError> {
        let mut headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        if let Some(authorization) = &self.authorization
            && self.is_own(&request.url)
        {
            headers.push(("authorization".to_owned(), authorization.clone()));
        }
        let outgoing = Outgoing {
            method: request.method.to_owned(),
            url: request.url.clone(),
            headers,
            body: request.body.clone(),
            timeout: DOWNLOAD_TIMEOUT,
            untrusted: None,
            memory: None,
        };
        let sent = self.client.send_own(outgoing).await;
        sent.map_err(|error| failed(&self.reference.to_string(), error))
    }

    /// Whether a URL is of the registry itself. An upload may go to a storage service, which must
    /// not see the token.
    fn is_own(&self, url: &str) -> bool {
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
        origin(url).is_some_and(|found| Some(found) == origin(&self.reference.base_url()))
    }

    fn unless_denied(&self, received: Received) -> Result<Received, DistributionError> {
        match received.status {
            401 | 403 => Err(self.denied()),
            _ => Ok(received),
        }
    }

    fn denied(&self) -> DistributionError {
        DistributionError::Denied {
            registry: self.reference.registry().to_owned(),
            repository: self.reference.repository().to_owned(),
        }
    }

    /// Answers the challenge of the registry: with a token of its token service, or with user and
    /// password.
    async fn authorize(&self, headers: &HeaderMap) -> Result<String, DistributionError> {
        let challenges = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let challenges: Vec<&str> = challenges.filter_map(|value| value.to_str().ok()).collect();
        let challenges: Vec<ChallengeRef<'_>> = challenges
            .iter()
            .filter_map(|text| parse_challenges(text).ok())
            .flatten()
            .collect();
        let of = |scheme: &str| {
            let mut challenges = challenges.iter();
            challenges.find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme))
        };

        if let Some(bearer) = of("Bearer") {
            return self.token(bearer).await;
        }
        match &self.credentials {
            Some(credentials) if of("Basic").is_some() => Ok(basic(credentials)),
            _ => Err(self.denied()),
        }
    }

    async fn token(&self, challenge: &ChallengeRef<'_>) -> Result<String, DistributionError> {
        let param = |name: &str| {
            let mut params = challenge.params.iter();
            let (_, value) = params.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(value.to_unescaped())
        };
        let realm = param("realm").and_then(|realm| Url::parse(&realm).ok());
        let Some(mut realm) = realm.filter(is_private) else {
            return Err(self.denied());
        };

        let access = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let scope = format!("repository:{}:{access}", self.reference.repository());
        realm.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = param("service") {
            realm.query_pairs_mut().append_pair("service", &service);
        }

        let authorization = self.credentials.as_ref().map(basic);
        let outgoing = Outgoing {
            method: "GET".into(),
            url: realm.to_string(),
            headers: authorization
                .map(|value| ("authorization".to_owned(), value))
                .into_iter()
                .collect(),
            body: Bytes::new(),
            timeout: DOWNLOAD_TIMEOUT,
            untrusted: None,
            memory: None,
        };
        let from = shown_url(realm.as_str());
        let sent = self.client.send_own(outgoing).await;
        let received = sent.map_err(|error| failed(&from, error))?;
        if received.status != 200 {
            return Err(self.denied());
        }

        let answer: Option<TokenAnswer> = serde_json::from_slice(&received.body).ok();
        let token = answer.and_then(|answer| answer.token.or(answer.access_token));
        token
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| self.denied())
    }

    /// The error for an answer that is not the expected one.
    pub(crate) fn unexpected(&self, received: &Received) -> DistributionError {
        let from = self.reference.to_string();
        match received.status {
            404 => DistributionError::NotFound {
                from,
                hint: " and the tag",
            },
            status => DistributionError::Status {
                from,
                status,
                detail: detail(&received.body),
            },
        }
    }
}

/// Whether credentials may be sent to this URL: over TLS, or to this machine.
fn is_private(url: &Url) -> bool {
    let is_local = url.host_str().is_some_and(is_loopback);
    url.scheme() == "https" || (url.scheme() == "http" && is_local)
}

fn basic(credentials: &Credentials) -> String {
    let pair = format!("{}:{}", credentials.user, credentials.password);
    format!("Basic {}", STANDARD.encode(pair))
}

/// What the registry says about an error.
fn detail(body: &[u8]) -> String {
    let answer: Option<ErrorAnswer> = serde_json::from_slice(body).ok();
    let error = answer.and_then(|answer| answer.errors.into_iter().next());
    error.map_or_else(String::new, |error| {
        let text = format!(": {} {}", error.code, error.message);
        let printable = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
        printable.take(DETAIL_CHARACTERS_MAX).collect()
    })
}
