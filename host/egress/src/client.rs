//! The HTTP client of one hook: it sends a call within the hook's grants and one time limit, with the
//! operator's credentials, and follows redirects.

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::Full;

use super::call::Call;
use super::collect::BODY_BYTES_MAX;
use super::credentials::{Added, Credentials};
use super::exchange::{Outgoing, OutgoingError, Received};
use super::permitted::Permitted;
use super::policy::Policy;
use super::pool::{self, Pool};
use super::streamed::Streamed;
use super::{redirect, request_headers, transport, urls};
use landfall_model::{
    Clock, Credential, MemoryBudget, Secret, SecretError, SecretRef, SecretSource,
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));

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
        request_headers::forbid(&outgoing.headers)?;
        let permitted = self.permit(&outgoing.method, &outgoing.url)?;
        self.send_permitted(outgoing, permitted, idempotency_key)
            .await
    }

    /// As `send`, for a call whose method and URL `permit` of this client has allowed.
    pub async fn send_permitted(
        &self,
        mut outgoing: Outgoing,
        permitted: Permitted,
        idempotency_key: &str,
    ) -> Result<Received, OutgoingError> {
        request_headers::forbid(&outgoing.headers)?;
        let has_key = outgoing
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
        if !has_key {
            let key = (IDEMPOTENCY_KEY.to_owned(), idempotency_key.to_owned());
            outgoing.headers.push(key);
        }

        self.send_in_time(outgoing, permitted).await
    }

    /// Sends a call of the host itself, which may unlock a metadata server.
    pub async fn send_own(&self, outgoing: Outgoing) -> Result<Received, OutgoingError> {
        let permitted = self.permit(&outgoing.method, &outgoing.url)?;
        self.send_in_time(outgoing, permitted).await
    }

    async fn send_in_time(
        &self,
        outgoing: Outgoing,
        permitted: Permitted,
    ) -> Result<Received, OutgoingError> {
        let timeout = outgoing.timeout;
        // The future is large: it is not moved into the one with the timer.
        let call = pin!(self.follow(outgoing, permitted));
        match tokio::time::timeout(timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(OutgoingError::Timeout(format!(
                "no complete answer within {} ms",
                timeout.as_millis()
            ))),
        }
    }

    /// Sends a call of the host itself, and returns when the head of the response has arrived. The
    /// timeout is for that. Follows no redirect, and removes no credentials from what it receives:
    /// only for a client that adds none.
    pub async fn stream(&self, outgoing: Outgoing) -> Result<Streamed, OutgoingError> {
        let timeout = outgoing.timeout;
        let permitted = self.permit(&outgoing.method, &outgoing.url)?;
        let (request, _) = self.request(&outgoing, permitted)?;
        let pool = self.pool.get_or_init(|| pool::new(self.policy.clone()));
        match tokio::time::timeout(timeout, transport::open(pool, request)).await {
            Ok(result) => result,
            Err(_) => Err(OutgoingError::Timeout(format!(
                "no answer within {} ms",
                timeout.as_millis()
            ))),
        }
    }

    /// Follows as many redirects as the hook may. Each is checked like the first call.
    async fn follow(
        &self,
        mut outgoing: Outgoing,
        mut permitted: Permitted,
    ) -> Result<Received, OutgoingError> {
        let mut left = self.policy.redirects();
        loop {
            let is_redirected = left < self.policy.redirects();
            let result = self.exchange(&outgoing, permitted).await;
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
                    permitted = self
                        .permit(&next.method, &next.url)
                        .map_err(after_redirect)?;
                    outgoing = next;
                }
                _ => return Ok(received),
            }
        }
    }

    async fn exchange(
        &self,
        outgoing: &Outgoing,
        permitted: Permitted,
    ) -> Result<(Received, Added), OutgoingError> {
        let (request, added) = self.request(outgoing, permitted)?;
        let memory = outgoing.memory.as_ref();
        let received = match &self.answerer {
            Some(answer) => held_by(answer(outgoing)?, memory)?,
            None => {
                let pool = self.pool.get_or_init(|| pool::new(self.policy.clone()));
                transport::send(pool, request, memory, self.body_bytes_max).await?
            }
        };
        Ok((received, added))
    }

    /// Checks a call of a component like `send`, and makes none.
    pub fn check_call(&self, outgoing: &Outgoing) -> Result<(), OutgoingError> {
        request_headers::forbid(&outgoing.headers)?;
        self.permit(&outgoing.method, &outgoing.url)?;
        self.check_body(&outgoing.body)?;
        request_headers::checked(&outgoing.headers).map(drop)
    }

    fn check_body(&self, body: &Bytes) -> Result<(), OutgoingError> {
        if body.len() > self.body_bytes_max {
            return Err(OutgoingError::Limit(format!(
                "a request body may have {} bytes",
                self.body_bytes_max
            )));
        }
        Ok(())
    }

    /// Checks that the hook may make a call with this method to this URL. The addresses of the host
    /// are checked when it connects.
    pub fn permit(&self, method: &str, url: &str) -> Result<Permitted, OutgoingError> {
        let url = urls::checked(url)?;
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| OutgoingError::Invalid("not a method".into()))?;
        if !self.policy.allows(&method, &url) {
            let printable = urls::origin_and_path(&url);
            let why = if self.policy.allows_url(&url) {
                format!(
                    "{printable} may not be called by {method}: see `[allow] http` of this hook"
                )
            } else {
                format!("{printable} is not in `[allow] http` of this hook")
            };

            return Err(OutgoingError::Denied(why));
        }

        Ok(Permitted { method, url })
    }

    fn request(
        &self,
        outgoing: &Outgoing,
        permitted: Permitted,
    ) -> Result<(http::Request<Full<Bytes>>, Added), OutgoingError> {
        let Permitted { method, mut url } = permitted;
        self.check_body(&outgoing.body)?;

        let mut headers = request_headers::checked(&outgoing.headers)?;
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT));

        let mut body = outgoing.body.clone();
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
            let hook = untrusted.map(|event| &*event.hook);
            tracing::warn!(hook, %error, "a call is not made");
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

fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings
        .map(HeaderValue::as_bytes)
        .any(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
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

#[cfg(test)]
#[path = "client_tests/mod.rs"]
mod tests;
