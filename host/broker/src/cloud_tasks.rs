//! Google Cloud Tasks: each event is a task that calls us, named after the event so that it is made once; a later try is a task of its
//! own with its time.
//!
//! Source: cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::broker::Unfit;
use super::parcel::Parcel;
use super::rest::{Rest, told};
use super::seal::Seal;
use landfall_ledger::LedgerError;
use landfall_model::clock::to_ms;
use landfall_model::{Clock, CloudTasksSpec};

/// Of a parcel; a task has 1 MB for everything.
pub const BYTES_MAX: usize = 950_000;
const PUBLISH_WITHIN: Duration = Duration::from_secs(2);
/// The longest that a task may be put off.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 86_400 - 3600);
/// What is put off for less comes again by itself.
const PAUSE_HERE: Duration = Duration::from_secs(10);
/// How long the name of a task that has ended may still be taken.
const NAMES: Duration = Duration::from_secs(24 * 3600);
/// How long a call may take: the most that the service allows.
const CALL: &str = "1800s";

/// The queue, and the way to it.
pub struct CloudTasks {
    rest: Rest,
    spec: CloudTasksSpec,
    is_there: AtomicBool,
    seal: Arc<Seal>,
}

// === impl CloudTasks ===

impl CloudTasks {
    /// Looks at the queue; where nobody answers, later. An error says what to do about it.
    pub async fn start(
        spec: CloudTasksSpec,
        rest: Rest,
        seal: Arc<Seal>,
    ) -> Result<CloudTasks, String> {
        let tasks = CloudTasks {
            rest,
            spec,
            is_there: AtomicBool::new(false),
            seal,
        };
        match tasks.check().await {
            Ok(()) => tasks.is_there.store(true, Ordering::Relaxed),
            Err(Unfit::Wrong(why)) => return Err(why),
            Err(Unfit::Away(why)) => {
                tracing::error!(
                    why,
                    "the queue cannot be reached: events are refused until it is"
                )
            }
        }
        Ok(tasks)
    }

    async fn check(&self) -> Result<(), Unfit> {
        let (
            path,
            CloudTasksSpec {
                project,
                location,
                queue,
                ..
            },
        ) = (self.path(), &self.spec);
        match self.rest.find(&format!("v2/{path}"), "Cloud Tasks").await? {
            None => Err(Unfit::Wrong(format!(
                "Cloud Tasks has no {path}: gcloud tasks queues create {queue} --location={location} --project={project} --max-attempts=-1"
            ))),
            Some(found) if gives_up(&found["retryConfig"]) => Err(Unfit::Wrong(format!(
                "queue {queue} of Cloud Tasks gives up what is not done after some tries or some time, and what waits would be lost: gcloud tasks queues update {queue} --location={location} --project={project} --max-attempts=-1 --max-retry-duration=0s"
            ))),
            Some(found) => match found["state"].as_str() {
                None | Some("RUNNING" | "STATE_UNSPECIFIED") => Ok(()),
                Some(state) => Err(Unfit::Wrong(format!(
                    "queue {queue} of Cloud Tasks is {state}: gcloud tasks queues resume {queue} --location={location} --project={project}"
                ))),
            },
        }
    }

    /// Makes and verifies the MACs of envelopes.
    pub fn seal(&self) -> &Seal {
        &self.seal
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

    /// Asks for the queue, unless it was there.
    pub async fn look(&self) {
        if !self.is_there() {
            match self.check().await {
                Ok(()) => self.is_there.store(true, Ordering::Relaxed),
                Err(Unfit::Wrong(why) | Unfit::Away(why)) => {
                    tracing::warn!(why, "the queue cannot be used")
                }
            }
        }
    }

    /// Why it is not there now, if it is not: it is asked.
    pub async fn problem(&self) -> Option<String> {
        self.check().await.err().map(Unfit::why)
    }

    /// Whether it was there when it was last asked.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// False: it had it already.
    pub async fn publish(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<bool, LedgerError> {
        if parcel.new.order_key.is_some() {
            let hook = parcel.hook();
            let why = format!(
                "hook {hook} has order_by, and Cloud Tasks keeps no order: use another queue, or leave it out"
            );
            return Err(LedgerError::Unfit(why));
        }
        self.create(&parcel.key(NAMES), bytes, None).await
    }

    /// A task for a later time; false: that is soon, and the old task comes again by itself.
    pub async fn publish_later(
        &self,
        parcel: &Parcel,
        pause: Duration,
        number: u32,
    ) -> Result<bool, LedgerError> {
        if number == parcel.number && pause < PAUSE_HERE {
            return Ok(false);
        }
        let at = Clock::System.now() + pause.min(PAUSE_MAX);
        let later = Parcel {
            number,
            due: Some(at),
            ..parcel.clone()
        };
        let turn = if number == parcel.number {
            format!("-at-{}", to_ms(at))
        } else {
            String::new()
        };
        self.create(
            &format!("{}-{number}{turn}", parcel.key(NAMES)),
            later.bytes(&self.seal)?,
            Some(at),
        )
        .await
        .map(|_| true)
    }

    async fn create(
        &self,
        name: &str,
        bytes: Vec<u8>,
        at: Option<SystemTime>,
    ) -> Result<bool, LedgerError> {
        let push = &self.spec.push;
        let mut task = json!({
            "name": format!("{}/tasks/{name}", self.path()),
            "dispatchDeadline": CALL,
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
        let kept = match self
            .rest
            .post(&path, &json!({ "task": task }), PUBLISH_WITHIN)
            .await
        {
            Ok((200, _)) => Ok(true),
            // Of the same name: it is there.
            Ok((409, _)) => Ok(false),
            Ok((status, body)) => Err(LedgerError::QueueAway(told(status, &body))),
            Err(error) => Err(LedgerError::QueueAway(error.to_string())),
        };
        self.is_there.store(kept.is_ok(), Ordering::Relaxed);
        kept
    }

    /// What is in force, in words.
    pub fn facts(&self) -> Vec<String> {
        vec![
            format!(
                "Cloud Tasks: {}, which calls {}",
                self.path(),
                self.spec.push.url()
            ),
            "a task is kept for at most 31 days".into(),
            "events that wait are not in any order: hooks with order_by take nothing".into(),
        ]
    }
}

/// What is not said is not limited.
fn gives_up(retry: &serde_json::Value) -> bool {
    let attempts = retry["maxAttempts"].as_i64().unwrap_or(-1);
    let time = retry["maxRetryDuration"].as_str().unwrap_or("0s");
    attempts != -1 || !matches!(time, "0s" | "0" | "")
}
