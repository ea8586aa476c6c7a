//! The calls of one run: only GET, only below the URL of `[reconcile]`, with its credential. A call
//! that the API limits is repeated after the time that the API says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::app_token::app_token;
use super::error::RunError;
use super::limit::{Verdict, WAIT_MAX, verdict};
use super::listing::{Answer, Get};
use super::source::hint;
use landfall_egress::{Client, Outgoing, Policy, Received};
use landfall_model::clock::to_ms;
use landfall_model::{
    Allow, Clock, GitHubWebhook, HookSpec, HttpGrant, ReconcileSource, ReconcileSpec, SecretSource,
};

/// The most bytes of an answer: the content of the largest webhook of GitHub (25 MB), and its
/// frame.
const ANSWER_BYTES_MAX: usize = 30 << 20;
/// One call.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often a call is repeated after a fault of the server, and the pause before the first repeat,
/// which grows by this factor.
const FAULTS_MAX: u32 = 3;
const FAULT_PAUSE: Duration = Duration::from_secs(1);
const FAULT_FACTOR: u32 = 4;
/// How often a call waits for a rate limit.
const WAITS_MAX: u32 = 5;
/// A longer wait gives the place among the running runs to another hook.
const SHORT_WAIT: Duration = Duration::from_secs(5);

/// The API of one hook.
pub(crate) struct Api {
    client: Client,
    spec: ReconcileSpec,
    /// Without a slash at the end.
    base: String,
    secrets: Arc<dyn SecretSource>,
    clock: Clock,
}

/// The place of a run among those that hold an answer in memory.
pub(crate) struct Place {
    places: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

/// Is told until when a call waits, in ms since 1970; `None`: it goes on.
pub(crate) type OnWait<'a> = &'a (dyn Fn(Option<i64>) + Send + Sync);

// === impl Place ===

impl Place {
    /// Waits for a place.
    pub(crate) async fn of(places: Arc<Semaphore>) -> Place {
        let mut place = Place { places, held: None };
        place.take().await;
        place
    }

    /// Lets another run have the place, and waits for one.
    pub(crate) async fn pass_on(&mut self) {
        self.held = None;
        self.take().await;
    }

    async fn take(&mut self) {
        // The semaphore is never closed.
        self.held = self.places.clone().acquire_owned().await.ok();
    }

    /// Sleeps, without the place if it is for long.
    async fn sleep(&mut self, time: Duration) {
        if time <= SHORT_WAIT {
            tokio::time::sleep(time).await;
            return;
        }

        self.held = None;
        tokio::time::sleep(time).await;
        self.take().await;
    }
}

// === impl Api ===

impl Api {
    /// Opens no connection yet.
    pub(crate) fn new(
        hook: &HookSpec,
        spec: &ReconcileSpec,
        secrets: Arc<dyn SecretSource>,
        clock: Clock,
    ) -> Result<Api, RunError> {
        let url = spec.api.to_string();
        let grant: HttpGrant = format!("GET {url}")
            .parse()
            .map_err(|_| RunError::Api(url.clone()))?;
        let allow = Allow {
            http: vec![grant],
            redirects: 0,
            ..hook.allow.clone()
        };
        let credentials = spec.header().into_iter().collect();
        let client = Client::new(Policy::new(allow), credentials, secrets.clone(), clock);
        Ok(Api {
            client: client.with_body_limit(ANSWER_BYTES_MAX),
            spec: spec.clone(),
            base: url.trim_end_matches('/').to_owned(),
            secrets,
            clock,
        })
    }

    /// The answer to a call, after the waits that the API asks for.
    pub(crate) async fn get(
        &self,
        get: &Get,
        place: &mut Place,
        on_wait: OnWait<'_>,
    ) -> Result<Answer, RunError> {
        let (mut faults, mut waits) = (0, 0);
        loop {
            let received = self.send(get).await?;
            let status = received.status;
            let now_ms = to_ms(self.clock.now());
            match verdict(status, &received.headers, &received.body, now_ms / 1000) {
                Verdict::Good => {
                    return Ok(Answer {
                        headers: received.headers,
                        body: received.body,
                    });
                }
                Verdict::Refused => {
                    return Err(RunError::Refused {
                        api: self.base.clone(),
                        status,
                        hint: hint(&self.spec, status),
                    });
                }
                Verdict::Wait(time) if time > WAIT_MAX || waits == WAITS_MAX => {
                    return Err(RunError::Limited {
                        api: self.base.clone(),
                        minutes: time.as_secs().div_ceil(60).max(1),
                    });
                }
                Verdict::Wait(time) => {
                    waits += 1;
                    drop(received);
                    on_wait(Some(now_ms.saturating_add(time.as_millis() as i64)));
                    place.sleep(time).await;
                    on_wait(None);
                }
                Verdict::Again if faults == FAULTS_MAX => {
                    return Err(RunError::Faulty {
                        api: self.base.clone(),
                        status,
                    });
                }
                Verdict::Again => {
                    let pause = FAULT_PAUSE * FAULT_FACTOR.pow(faults);
                    faults += 1;
                    drop(received);
                    place.sleep(pause).await;
                }
            }
        }
    }

    async fn send(&self, get: &Get) -> Result<Received, RunError> {
        let outgoing = Outgoing {
            method: "GET".into(),
            url: format!("{}{}", self.base, get.path),
            headers: self.headers(get)?,
            body: Bytes::new(),
            timeout: TIMEOUT,
            untrusted: None,
            memory: None,
        };
        self.client
            .send_own(outgoing)
            .await
            .map_err(|error| RunError::Call {
                api: self.base.clone(),
                error,
            })
    }

    /// The headers of the call. An app has a new token for each.
    fn headers(&self, get: &Get) -> Result<Vec<(String, String)>, RunError> {
        let mut headers = get.headers.clone();
        if let ReconcileSource::GitHub(GitHubWebhook::App { app_id }) = &self.spec.source {
            let key = self.secrets.value(&self.spec.credential)?;
            let now_s = to_ms(self.clock.now()) / 1000;
            let token = app_token(*app_id, &key, now_s).ok_or(RunError::Key)?;
            headers.push(("authorization".into(), format!("Bearer {token}")));
        }
        Ok(headers)
    }
}
