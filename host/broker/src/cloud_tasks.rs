//! Google Cloud Tasks: each event is a task that calls the node, named after the event so that it
//! is created once. A later attempt is a task of its own with its time.
//!
//! Source: cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use landfall_model::clock::to_ms;
use landfall_model::{Clock, PushSpec, SecretRef};
use serde_json::json;

use super::broker::{
    Broker, Consumer, DeadLetterPlace, Message, PUBLISH_TIMEOUT, PushAnswer, Pushed, Redelivery,
    ReplyChannel,
};
use super::client::{google, google_token};
use super::envelope::Envelope;
use super::error::{BrokerError, DecodeError, SettingsError};
use super::kind::{BrokerPlan, ConnectOptions, Kind, Settings};
use super::push::{self, PushCall};
use super::rest::{Rest, describe_error};
use super::seal::Seal;

/// The most bytes of an envelope: a task has 1 MB for everything.
const BYTES_MAX: usize = 950_000;
/// The longest time until a task is due, less an hour.
const DELAY_MAX: Duration = Duration::from_secs(30 * 86_400 - 3600);
/// A message that is deferred for less than this is redelivered by the queue's own retries.
const DELAY_OWN_MIN: Duration = Duration::from_secs(10);
/// How long a call may take: the most that the service allows.
const DISPATCH_DEADLINE: &str = "1800s";
/// Tasks of all hooks are delivered.
const PAUSED_HOOK_DELAY: Duration = Duration::from_secs(30);

const SERVICE: &str = "https://cloudtasks.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const EMULATOR: &str = "CLOUD_TASKS_EMULATOR_HOST";

pub(crate) const KIND: Kind = Kind {
    schemes: &["cloudtasks"],
    url_form: "cloudtasks://PROJECT/LOCATION/QUEUE",
    keys: &push::KEYS,
    plan,
};

/// A queue of tasks that call the node.
#[derive(Debug, Clone, PartialEq)]
struct CloudTasksSpec {
    project: String,
    /// `europe-west1`
    location: String,
    queue: String,
    /// How it calls.
    push: PushSpec,
    /// The address of an emulator, which needs no credentials.
    endpoint: Option<String>,
}

/// A queue, and the way to it.
struct CloudTasks {
    rest: Rest,
    spec: CloudTasksSpec,
    is_available: AtomicBool,
    seal: Arc<Seal>,
    clock: Clock,
}

/// A task that has called.
struct TaskMessage {
    envelope: Envelope,
    call: PushCall,
    tasks: Arc<CloudTasks>,
}

fn plan(settings: &Settings<'_>) -> Result<Arc<dyn BrokerPlan>, SettingsError> {
    let Some([project, location, queue]) = settings.names() else {
        return Err(SettingsError(format!("queue.url is {}", KIND.url_form)));
    };
    let endpoint = settings.emulator(EMULATOR).map(str::to_owned);
    let Some(push) = push::spec(settings, endpoint.is_some())? else {
        let why = "Cloud Tasks calls this service: set queue.push_to to its https:// address, and \
                   queue.push_account";
        return Err(SettingsError(why.into()));
    };
    Ok(Arc::new(CloudTasksSpec {
        project,
        location,
        queue,
        push,
        endpoint,
    }))
}

// === impl CloudTasksSpec ===

impl BrokerPlan for CloudTasksSpec {
    fn connect(
        &self,
        options: ConnectOptions,
    ) -> BoxFuture<'static, Result<Arc<dyn Broker>, BrokerError>> {
        let (spec, token) = (self.clone(), self.token());
        async move {
            let emulator = spec.endpoint.as_deref();
            let rest = google(SERVICE, emulator, token, options.secrets, options.clock)?;
            let tasks = CloudTasks::start(spec, rest, options.seal, options.clock).await?;
            Ok(Arc::new(tasks) as Arc<dyn Broker>)
        }
        .boxed()
    }

    fn token(&self) -> Option<SecretRef> {
        self.endpoint.is_none().then(|| google_token(SCOPE))
    }

    fn push(&self) -> Option<&PushSpec> {
        Some(&self.push)
    }

    fn keeps_order(&self) -> bool {
        false
    }
}

// === impl CloudTasks ===

impl CloudTasks {
    /// Checks the queue, unless the service does not answer.
    pub(crate) async fn start(
        spec: CloudTasksSpec,
        rest: Rest,
        seal: Arc<Seal>,
        clock: Clock,
    ) -> Result<CloudTasks, BrokerError> {
        let tasks = CloudTasks {
            rest,
            spec,
            is_available: AtomicBool::new(false),
            seal,
            clock,
        };
        match tasks.check().await {
            Ok(()) => tasks.is_available.store(true, Ordering::Relaxed),
            Err(error @ BrokerError::Misconfigured(_)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, "the queue cannot be reached: events are refused until it is")
            }
        }

        Ok(tasks)
    }

    async fn check(&self) -> Result<(), BrokerError> {
        let CloudTasksSpec {
            project,
            location,
            queue,
            ..
        } = &self.spec;
        let path = self.path();
        let Some(found) = self.rest.find(&format!("v2/{path}"), "Cloud Tasks").await? else {
            return Err(BrokerError::Misconfigured(format!(
                "Cloud Tasks has no {path}: gcloud tasks queues create {queue} \
                 --location={location} --project={project} --max-attempts=-1"
            )));
        };

        if gives_up(&found["retryConfig"]) {
            return Err(BrokerError::Misconfigured(format!(
                "queue {queue} of Cloud Tasks drops a task after some attempts or some time, and \
                 its event would be lost: gcloud tasks queues update {queue} \
                 --location={location} --project={project} --max-attempts=-1 \
                 --max-retry-duration=0s"
            )));
        }
        match found["state"].as_str() {
            None | Some("RUNNING" | "STATE_UNSPECIFIED") => Ok(()),
            Some(state) => Err(BrokerError::Misconfigured(format!(
                "queue {queue} of Cloud Tasks is {state}: gcloud tasks queues resume {queue} \
                 --location={location} --project={project}"
            ))),
        }
    }

    fn path(&self) -> String {
        let CloudTasksSpec {
            project,
            location,
            queue,
            ..
        } = &self.spec;
        format!("projects/{project}/locations/{location}/queues/{queue}")
    }

    async fn create_first(&self, envelope: &Envelope) -> Result<(), BrokerError> {
        if envelope.order_key.is_some() {
            return Err(BrokerError::Rejected(format!(
                "hook {} has order_by, and Cloud Tasks keeps no order: use another queue, or \
                 leave it out",
                envelope.hook()
            )));
        }

        let bytes = envelope.encode_within(&self.seal, BYTES_MAX)?;
        self.create(&envelope.key(), bytes, None).await
    }

    /// Creates a task for a later time, unless the queue redelivers the old one soon enough by
    /// itself.
    async fn redeliver(
        &self,
        envelope: &Envelope,
        redelivery: Redelivery,
    ) -> Result<PushAnswer, BrokerError> {
        let Redelivery { after, attempt, .. } = redelivery;
        let is_same_attempt = attempt == envelope.attempt;
        if is_same_attempt && after < DELAY_OWN_MIN {
            return Ok(PushAnswer::Redeliver);
        }

        let at = self.clock.now() + after.min(DELAY_MAX);
        let key = envelope.key();
        let name = if is_same_attempt {
            format!("{key}-{attempt}-at-{}", to_ms(at))
        } else {
            format!("{key}-{attempt}")
        };
        let bytes = envelope.redelivered(attempt, at).encode(&self.seal)?;
        self.create(&name, bytes, Some(at)).await?;

        Ok(PushAnswer::Done)
    }

    async fn create(
        &self,
        name: &str,
        bytes: Vec<u8>,
        at: Option<SystemTime>,
    ) -> Result<(), BrokerError> {
        let push = &self.spec.push;
        let mut task = json!({
            "name": format!("{}/tasks/{name}", self.path()),
            "dispatchDeadline": DISPATCH_DEADLINE,
            "httpRequest": {
                "url": push.url(),
                "httpMethod": "POST",
                "headers": { "Content-Type": "application/octet-stream" },
                "body": STANDARD.encode(bytes),
                "oidcToken": { "serviceAccountEmail": push.account, "audience": push.to },
            },
        });
        if let Some(at) = at.and_then(|at| jiff::Timestamp::try_from(at).ok()) {
            task["scheduleTime"] = at.to_string().into();
        }

        let path = format!("v2/{}/tasks", self.path());
        let body = json!({ "task": task });
        let published = match self.rest.post(&path, &body, PUBLISH_TIMEOUT).await {
            // 409: a task of the same name exists, because the envelope was sent before.
            Ok((200 | 409, _)) => Ok(()),
            Ok((status, body)) => Err(BrokerError::Unavailable(describe_error(status, &body))),
            Err(error) => Err(BrokerError::Unavailable(error.to_string())),
        };
        self.is_available
            .store(published.is_ok(), Ordering::Relaxed);
        published
    }

    async fn recheck(&self) {
        if self.is_available() {
            return;
        }
        match self.check().await {
            Ok(()) => self.is_available.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the queue cannot be used"),
        }
    }
}

impl Broker for CloudTasks {
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.create_first(envelope).boxed()
    }

    /// Cloud Tasks calls the node (`receive_push`): there is nothing to pull.
    fn receive(self: Arc<Self>, _: Arc<dyn Consumer>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }

    fn receive_push(self: Arc<Self>, body: &[u8]) -> Result<Pushed, DecodeError> {
        let envelope = Envelope::decode(body, &self.seal, None)?;
        let (call, answer) = PushCall::new();
        let message = Arc::new(TaskMessage {
            envelope,
            call,
            tasks: self,
        });

        Ok(Pushed { message, answer })
    }

    /// Cloud Tasks has no dead-letter queue.
    fn dead_letter_undecodable<'a>(
        &'a self,
        _: &'a [u8],
        _: &'a str,
    ) -> BoxFuture<'a, Result<DeadLetterPlace, BrokerError>> {
        ready(Ok(DeadLetterPlace::Ledger)).boxed()
    }

    fn describe(&self) -> BoxFuture<'_, Vec<String>> {
        let facts = vec![
            format!(
                "Cloud Tasks: {}, which calls {}",
                self.path(),
                self.spec.push.url()
            ),
            "a task is kept for at most 31 days".into(),
            "waiting events are in no order: hooks with order_by accept nothing".into(),
            self.seal.describe(),
        ];
        ready(facts).boxed()
    }

    fn check_health(&self) -> BoxFuture<'_, ()> {
        self.recheck().boxed()
    }

    fn health_error(&self) -> BoxFuture<'_, Option<BrokerError>> {
        self.check().map(Result::err).boxed()
    }

    fn is_available(&self) -> bool {
        self.is_available.load(Ordering::Relaxed)
    }

    fn paused_hook_delay(&self) -> Duration {
        PAUSED_HOOK_DELAY
    }

    /// Cloud Tasks has no way to send a message to one node.
    fn replies(&self) -> Option<&dyn ReplyChannel> {
        None
    }
}

/// Whether the queue drops a task by itself. A limit that is not set does not exist.
fn gives_up(retry: &serde_json::Value) -> bool {
    let attempts = retry["maxAttempts"].as_i64().unwrap_or(-1);
    let time = retry["maxRetryDuration"].as_str().unwrap_or("0s");
    attempts != -1 || !matches!(time, "0s" | "0" | "")
}

// === impl TaskMessage ===

impl Message for TaskMessage {
    fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    fn ack(self: Arc<Self>) -> BoxFuture<'static, Result<(), BrokerError>> {
        self.call.answer(PushAnswer::Done);
        ready(Ok(())).boxed()
    }

    fn nack(
        self: Arc<Self>,
        redelivery: Redelivery,
    ) -> BoxFuture<'static, Result<(), BrokerError>> {
        async move {
            let answer = self.tasks.redeliver(&self.envelope, redelivery).await?;
            self.call.answer(answer);
            Ok(())
        }
        .boxed()
    }

    /// Cloud Tasks has no dead-letter queue: the ledger has the dead delivery and its event.
    fn dead_letter(self: Arc<Self>, _: String) -> BoxFuture<'static, Result<(), BrokerError>> {
        self.ack()
    }

    /// The open call tells the queue that the event is being worked on, up to the dispatch
    /// deadline. There is nothing to extend.
    fn extend(&self) -> BoxFuture<'_, Result<(), BrokerError>> {
        ready(Ok(())).boxed()
    }
}
