//! Sends one whole request and reads one whole response, within the grants of one hook and one time
//! limit.

use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::call::Call;
use super::collect::{BODY_BYTES_MAX, CollectError, collect_at_most};
use super::connector::{ConnectError, Connector};
use super::credentials::{Added, Credentials};
use super::exchange::{Outgoing, OutgoingError, Received};
use super::policy::Policy;
use super::redirect;
use landfall_model::{
    Clock, Credential, MemoryBudget, Secret, SecretError, SecretRef, SecretSource,
};

/// The most headers a caller may set.
const HEADERS_MAX: usize = 100;
const IDLE_PER_HOST_MAX: usize = 128;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most characters of a URL in logs and records.
const SHOWN_CHARACTERS_MAX: usize = 500;
const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));

/// Headers that the host writes itself.
const OWN_HEADERS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
];

/// Headers that a cloud's metadata server requires: of Google and IBM, Azure, Azure App Service,
/// Google (old), OpenStack.
const METADATA_HEADERS: [&str; 5] = [
    "metadata-flavor",
    "metadata",
    "x-identity-header",
    "x-google-metadata-request",
    "x-metadata-token",
];
/// Prefixes of such headers: of AWS and Alibaba Cloud.
const METADATA_PREFIXES: [&str; 2] = ["x-aws-ec2-metadata-", "x-aliyun-ecs-metadata-"];

type Pool = legacy::Client<HttpsConnector<Connector>, Full<Bytes>>;

/// The HTTP client of one hook.
pub struct Client {
    policy: Arc<Policy>,
    credentials: Credentials,
    pool: OnceLock<Pool>,
    /// What answers in place of the network. `None`: the network.
    answerer: Option<Arc<Answerer>>,
    /// The most bytes of a request or response body.
    body_bytes_max: usize,
}

/// Answers a call in place of the network. It receives the call as the component wrote it, without
/// credentials.
pub type Answerer = dyn Fn(&Outgoing) -> Result<Received, OutgoingError> + Send + Sync;

/// For a client without credentials, which never reads a secret.
struct NoSecrets;

impl SecretSource for NoSecrets {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        Err(SecretError::Remote {
            reference: reference.to_string(),
            why: "this client has no secrets".into(),
        })
    }
}

// === impl Client ===

impl Client {
    /// Opens no connection yet.
    pub fn new(
        policy: Policy,
        credentials: Vec<Credential>,
        secrets: Arc<dyn SecretSource>,
        clock: Clock,
    ) -> Client {
        Client {
            policy: Arc::new(policy),
            credentials: Credentials::new(credentials, secrets, clock),
            pool: OnceLock::new(),
            answerer: None,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// The same client with another limit for bodies, for calls of the host.
    pub fn with_body_limit(self, body_bytes_max: usize) -> Client {
        Client {
            body_bytes_max,
            ..self
        }
    }

    /// A client that adds no credentials.
    pub fn without_credentials(policy: Policy) -> Client {
        // Only signatures contain the time.
        let clock = Clock::fixed_at(0);
        Client::new(policy, Vec::new(), Arc::new(NoSecrets), clock)
    }

    /// A client that reaches no network: `answer` answers every call that the policy allows.
    pub fn answered_by(self, answer: Arc<Answerer>) -> Client {
        Client {
            answerer: Some(answer),
            ..self
        }
    }

    /// Sends a call for an event. `idempotency_key` is added unless the component has set one.
    pub async fn send(
        &self,
        outgoing: Outgoing,
        idempotency_key: &str,
    ) -> Result<Received, OutgoingError> {
        forbid_headers(&outgoing.headers)?;
        let key = ("idempotency-key".to_owned(), idempotency_key.to_owned());
        let has_key = outgoing
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let headers = outgoing
            .headers
            .into_iter()
            .chain((!has_key).then_some(key))
            .collect();
        self.send_own(Outgoing {
            headers,
            ..outgoing
        })
        .await
    }

    /// Sends a call of the host itself, which may unlock a metadata server.
    pub async fn send_own(&self, outgoing: Outgoing) -> Result<Received, OutgoingError> {
        let timeout = outgoing.timeout;
        match tokio::time::timeout(timeout, self.follow(outgoing)).await {
            Ok(result) => result,
            Err(_) => Err(OutgoingError::Timeout(format!(
                "no complete answer within {} ms",
                timeout.as_millis()
            ))),
        }
    }

    /// Follows as many redirects as the hook may. Each is checked like the first call.
    async fn follow(&self, mut outgoing: Outgoing) -> Result<Received, OutgoingError> {
        let mut left = self.policy.redirects();
        loop {
            let is_redirected = left < self.policy.redirects();
            let result = self.exchange(&outgoing).await;
            let (mut received, added) = match result {
                Err(error) if is_redirected => return Err(after_redirect(error)),
                result => result?,
            };

            if received.status == 401 {
                self.credentials.report_rejected(&added);
            }

            if !added.is_empty() && is_encoded(&received.headers) {
                let why = "the answer is compressed although none was asked for: what it may \
                           repeat cannot be seen";
                return Err(OutgoingError::Other(why.into()));
            }

            added.redact(&mut received.headers, &mut received.body);

            match redirect::next(&outgoing, &received) {
                Some(next) if left > 0 => {
                    left -= 1;
                    outgoing = next;
                }
                _ => return Ok(received),
            }
        }
    }

    async fn exchange(&self, outgoing: &Outgoing) -> Result<(Received, Added), OutgoingError> {
        let (request, added) = self.request(outgoing.clone())?;
        let memory = outgoing.memory.as_ref();
        let received = match &self.answerer {
            Some(answer) => held_by(answer(outgoing)?, memory)?,
            None => {
                let pool = self.pool.get_or_init(|| pool(self.policy.clone()));
                exchange(pool, request, memory, self.body_bytes_max).await?
            }
        };
        Ok((received, added))
    }

    /// Whether the hook may make a call with this method to this URL. The addresses of the host are
    /// checked when it connects.
    pub fn check(&self, method: &str, url: &str) -> Result<(), OutgoingError> {
        self.permitted(method, url).map(drop)
    }

    fn permitted(&self, method: &str, url: &str) -> Result<(Method, Url), OutgoingError> {
        let url = checked_url(url)?;
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| OutgoingError::Invalid("not a method".into()))?;
        if !self.policy.allows(&method, &url) {
            let printable = origin_and_path(&url);
            let why = if self.policy.allows_url(&url) {
                format!(
                    "{printable} may not be called by {method}: see `[allow] http` of this hook"
                )
            } else {
                format!("{printable} is not in `[allow] http` of this hook")
            };

            return Err(OutgoingError::Denied(why));
        }

        Ok((method, url))
    }

    fn request(
        &self,
        outgoing: Outgoing,
    ) -> Result<(http::Request<Full<Bytes>>, Added), OutgoingError> {
        let (method, mut url) = self.permitted(&outgoing.method, &outgoing.url)?;
        if outgoing.body.len() > self.body_bytes_max {
            return Err(OutgoingError::Limit(format!(
                "a request body may have {} bytes",
                self.body_bytes_max
            )));
        }

        let mut headers = checked_headers(outgoing.headers)?;
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT));

        let mut body = outgoing.body;
        let untrusted = outgoing.untrusted.as_deref();
        let mut call = Call {
            method: &method,
            url: &mut url,
            headers: &mut headers,
            body: &mut body,
            untrusted,
        };
        // The component must not learn where a secret is stored: the reason goes to the log.
        let added = self.credentials.add(&mut call).map_err(|error| {
            tracing::warn!(%error, "a call is not made");
            OutgoingError::Unavailable(
                "a credential of this call cannot be used now: the log of the node says why".into(),
            )
        })?;

        let uri: http::Uri = url
            .as_str()
            .parse()
            .map_err(|_| OutgoingError::Invalid("not a URL that HTTP can carry".into()))?;
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok((request, added))
    }
}

/// The error of a call whose first receiver has answered with a redirect: that receiver may have
/// acted.
fn after_redirect(error: OutgoingError) -> OutgoingError {
    OutgoingError::Redirected(Box::new(error))
}

fn checked_url(text: &str) -> Result<Url, OutgoingError> {
    let mut url =
        Url::parse(text).map_err(|why| OutgoingError::Invalid(format!("not a URL: {why}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(OutgoingError::Invalid(
            "a URL must begin with `https://` or `http://` and name a host".into(),
        ));
    }

    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutgoingError::Invalid(
            "a URL must not carry a user or password".into(),
        ));
    }

    url.set_fragment(None);
    Ok(url)
}

/// A URL without its query, which may contain a token.
fn origin_and_path(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// A URL for logs and records: without user, password, query and fragment, which may contain
/// secrets.
pub fn shown_url(url: &str) -> String {
    let printable = match Url::parse(url) {
        Ok(url) if url.has_host() => origin_and_path(&url),
        _ => url
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_owned(),
    };

    printable
        .chars()
        .take(SHOWN_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

/// Whether a component may not send this header: the host writes it, or a metadata server requires
/// it.
fn is_forbidden(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    OWN_HEADERS.contains(&&*name) || unlocks_metadata(&name)
}

fn unlocks_metadata(name: &str) -> bool {
    METADATA_HEADERS.contains(&name)
        || METADATA_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn forbid_headers(list: &[(String, String)]) -> Result<(), OutgoingError> {
    let Some((name, _)) = list.iter().find(|(name, _)| is_forbidden(name)) else {
        return Ok(());
    };

    let name = name.trim().to_ascii_lowercase();
    let printable = name.escape_debug();
    let why = if unlocks_metadata(&name) {
        format!(
            "header `{printable}` opens the metadata server of a cloud: a component may not send it"
        )
    } else {
        format!("header `{printable}` is written by the host")
    };

    Err(OutgoingError::Invalid(why))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings
        .map(HeaderValue::as_bytes)
        .any(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
}

fn checked_headers(list: Vec<(String, String)>) -> Result<HeaderMap, OutgoingError> {
    if list.len() > HEADERS_MAX {
        return Err(OutgoingError::Limit(format!(
            "a request may have {HEADERS_MAX} headers"
        )));
    }

    let mut headers = HeaderMap::with_capacity(list.len() + 4);
    for (name, value) in list {
        let parsed = name.parse::<HeaderName>().ok();
        let value = HeaderValue::from_str(&value).ok();
        let (Some(parsed), Some(value)) = (parsed, value) else {
            let why = format!("header `{}` cannot be sent", name.escape_debug());
            return Err(OutgoingError::Invalid(why));
        };

        headers.append(parsed, value);
    }

    Ok(headers)
}

async fn exchange(
    pool: &Pool,
    request: http::Request<Full<Bytes>>,
    memory: Option<&MemoryBudget>,
    body_bytes_max: usize,
) -> Result<Received, OutgoingError> {
    let response = pool.request(request).await.map_err(classify)?;
    let (head, body) = response.into_parts();
    let collected = collect_at_most(body, memory, body_bytes_max).await;
    let (body, held) = collected.map_err(|error| match error {
        CollectError::TooLarge => {
            OutgoingError::Limit(format!("the response has more than {body_bytes_max} bytes"))
        }
        CollectError::Memory(error) => {
            OutgoingError::Limit(format!("the response is too large: {error}"))
        }
        CollectError::Broken(error) => {
            OutgoingError::Interrupted(format!("the response broke off: {error}"))
        }
    })?;
    Ok(Received {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        held: held.map(Arc::new),
    })
}

/// Classifies an error by its cause.
fn classify(error: legacy::Error) -> OutgoingError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    let mut last = error.to_string();
    let is_connect = error.is_connect();
    while let Some(current) = cause {
        if let Some(connect) = current.downcast_ref::<ConnectError>() {
            return match connect {
                ConnectError::Denied { host, address } => OutgoingError::DeniedAddress {
                    host: host.clone(),
                    address: *address,
                },
                ConnectError::Unresolved { .. } => OutgoingError::Unresolved(connect.to_string()),
                ConnectError::Unreachable { .. } => OutgoingError::Unreachable(connect.to_string()),
            };
        }

        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return if is_connect {
                OutgoingError::Tls(format!("no trusted TLS session: {tls}"))
            } else {
                OutgoingError::Interrupted(format!("the TLS session broke: {tls}"))
            };
        }

        last = current.to_string();
        cause = inner(current);
    }
    if is_connect {
        return OutgoingError::Unreachable(format!("no connection: {last}"));
    }
    OutgoingError::Interrupted(format!("the exchange failed: {last}"))
}

/// Counts an answer that no network has brought as memory of the attempt.
fn held_by(received: Received, memory: Option<&MemoryBudget>) -> Result<Received, OutgoingError> {
    let held = memory
        .map(|memory| memory.hold(received.body.len()))
        .transpose()
        .map_err(|error| OutgoingError::Limit(error.to_string()))?;
    Ok(Received {
        held: held.map(Arc::new),
        ..received
    })
}

/// What an error wraps. An `io::Error` hides what it was made from behind the source of that.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref())
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn pool(policy: Arc<Policy>) -> Pool {
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(Connector::new(policy));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .build(https)
}

/// The TLS settings, with the root certificates of the machine (or of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR`), which are read at the first call.
pub fn tls() -> rustls::ClientConfig {
    static CONFIG: OnceLock<rustls::ClientConfig> = OnceLock::new();
    CONFIG.get_or_init(tls_of_machine).clone()
}

fn tls_of_machine() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::error!(
            "no root certificates on this machine: every https call will fail; install \
             ca-certificates"
        );
    }

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has every default protocol version")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(test)]
#[path = "client_tests/mod.rs"]
mod tests;
