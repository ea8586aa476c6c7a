//! Which broker carries events between their acceptance and their end, and what must be known of it.

use super::credential::CredentialText;
use super::secret::{RemoteSecret, SecretRef};

/// A broker, as the operator names it.
#[derive(Debug, Clone, PartialEq)]
pub enum BrokerSpec {
    /// NATS JetStream.
    Nats(NatsSpec),
    /// Google Cloud Pub/Sub.
    PubSub(PubSubSpec),
    /// Google Cloud Tasks.
    CloudTasks(CloudTasksSpec),
}

/// A stream of events, and one of the dead beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct NatsSpec {
    /// `nats://user:password@host:port`, more of them separated by commas.
    pub servers: CredentialText,
    /// Of the stream; the other one is `NAME-dead`.
    pub stream: String,
    /// 1, 3 or 5.
    pub replicas: usize,
    /// Nothing outlives the server.
    pub in_memory: bool,
    /// Where the server tells of itself (`http://host:8222`): only there it says when it syncs.
    pub monitor: Option<String>,
}

/// A topic, its subscription and a topic of the dead.
#[derive(Debug, Clone, PartialEq)]
pub struct PubSubSpec {
    /// Of all of them.
    pub project: String,
    /// Its name.
    pub topic: String,
    /// Its name.
    pub subscription: String,
    /// The name of the topic of the dead.
    pub dead_letter: String,
    /// It calls us; none: we ask.
    pub push: Option<PushSpec>,
    /// Of an emulator, which wants no credentials.
    pub endpoint: Option<String>,
}

/// A queue of tasks that call us.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudTasksSpec {
    /// Of the queue.
    pub project: String,
    /// `europe-west1`
    pub location: String,
    /// Its name.
    pub queue: String,
    /// How it calls.
    pub push: PushSpec,
    /// Of a stand-in, which wants no credentials.
    pub endpoint: Option<String>,
}

/// How a broker calls us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSpec {
    /// `https://…`: the public address of this service, which is the audience of its tokens too.
    pub to: String,
    /// The service account in whose name it calls.
    pub account: String,
    /// Where the keys of its tokens are.
    pub keys: String,
}

// === impl PushSpec ===

impl PushSpec {
    /// Where brokers call, below `to`.
    pub const PATH: &str = "/_landfall/push";

    /// What they call.
    pub fn url(&self) -> String {
        format!("{}{}", self.to, PushSpec::PATH)
    }
}

// === impl BrokerSpec ===

impl BrokerSpec {
    /// What proves to it who we are, where that is not in its URL.
    pub fn token(&self) -> Option<SecretRef> {
        let scope = match self {
            BrokerSpec::PubSub(PubSubSpec { endpoint: None, .. }) => {
                "https://www.googleapis.com/auth/pubsub"
            }
            BrokerSpec::CloudTasks(CloudTasksSpec { endpoint: None, .. }) => {
                "https://www.googleapis.com/auth/cloud-platform"
            }
            _ => return None,
        };
        Some(SecretRef::Remote(RemoteSecret::GcpToken {
            scope: scope.into(),
            key: None,
        }))
    }

    /// How it calls us, if it does.
    pub fn push(&self) -> Option<&PushSpec> {
        match self {
            BrokerSpec::Nats(_) => None,
            BrokerSpec::PubSub(spec) => spec.push.as_ref(),
            BrokerSpec::CloudTasks(spec) => Some(&spec.push),
        }
    }
}
