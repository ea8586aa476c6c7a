//! The brokers that may carry events, one as good as the other: a parcel is theirs when `publish` says so, and comes back, more than
//! once if need be, until its handle says that it is done with.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::cloud_tasks::CloudTasks;
use super::nats::{self, Nats};
use super::parcel::{Parcel, Unopened};
use super::pubsub::{self, PubSub};
use super::push;
use super::seal::Seal;
use landfall_ledger::LedgerError;

/// One of them.
pub enum Broker {
    /// NATS JetStream.
    Nats(Box<Nats>),
    /// Google Cloud Pub/Sub, asked or calling.
    PubSub(Box<PubSub>),
    /// Google Cloud Tasks, which calls.
    CloudTasks(Box<CloudTasks>),
}

/// How to tell a broker what became of a parcel that it has brought.
pub enum Handle {
    /// Of JetStream.
    Nats(nats::Handle),
    /// Of Pub/Sub that was asked.
    PubSub(pubsub::Handle),
    /// Of a call, which waits for the answer.
    Push(push::Handle),
}

/// Why a broker cannot be used.
pub enum Unfit {
    /// It does not answer; later, perhaps.
    Away(String),
    /// It does, and is not what it must be: a sentence that says what to do.
    Wrong(String),
}

// === impl Unfit ===

impl Unfit {
    /// In words.
    pub fn why(self) -> String {
        match self {
            Unfit::Away(why) | Unfit::Wrong(why) => why,
        }
    }
}

/// Whoever runs what brokers bring.
pub trait Taker: Send + Sync + 'static {
    /// The hooks that are there.
    fn hooks(&self) -> Vec<Arc<str>>;
    /// How many of its events could begin now, and whether they come in order of a key. None: the hook is not there.
    fn room(&self, hook: &str) -> Option<(usize, bool)>;
    /// Nothing more is wanted.
    fn is_stopping(&self) -> bool;
    /// Runs it.
    fn take(&self, parcel: Parcel, handle: Handle);
    /// Counts and records a message that is refused; `id` is the broker's id of it.
    fn refuse(&self, unopened: &Unopened, id: &str);
}

// === impl Broker ===

impl Broker {
    /// Returns when the parcel is on the broker's stable storage; false where it had been there before. An error: nobody knows.
    pub async fn publish(&self, parcel: &Parcel) -> Result<bool, LedgerError> {
        let bytes = parcel.bytes(self.seal())?;
        let most = self.most();
        if bytes.len() > most {
            return Err(LedgerError::TooLarge {
                bytes: bytes.len(),
                most,
            });
        }
        match self {
            Broker::Nats(nats) => nats.publish(parcel, bytes).await,
            Broker::PubSub(pubsub) => pubsub.publish(parcel, bytes).await.map(|()| true),
            Broker::CloudTasks(tasks) => tasks.publish(parcel, bytes).await,
        }
    }

    fn seal(&self) -> &Seal {
        match self {
            Broker::Nats(nats) => nats.seal(),
            Broker::PubSub(pubsub) => pubsub.seal(),
            Broker::CloudTasks(tasks) => tasks.seal(),
        }
    }

    /// The parcel in the body of a call.
    pub fn open_push(&self, body: &[u8]) -> Result<Parcel, Unopened> {
        push::open(body, self.seal())
    }

    /// The most bytes of a parcel.
    fn most(&self) -> usize {
        match self {
            Broker::Nats(nats) => nats.most(),
            Broker::PubSub(_) => pubsub::BYTES_MAX,
            Broker::CloudTasks(_) => super::cloud_tasks::BYTES_MAX,
        }
    }

    /// Keeps a dead one where people look for it.
    pub async fn bury(&self, parcel: &Parcel, why: &str) -> Result<(), LedgerError> {
        match self {
            Broker::Nats(nats) => nats.bury(parcel, why).await,
            Broker::PubSub(pubsub) => pubsub.bury(parcel, why).await,
            // There is no place for the dead there: the ledger has them.
            Broker::CloudTasks(_) => Ok(()),
        }
    }

    /// Dead-letters a pushed message that cannot be opened. `None`: the broker has no dead-letter topic.
    pub async fn bury_unopened(&self, bytes: &[u8], why: &str) -> Option<Result<(), LedgerError>> {
        match self {
            Broker::PubSub(pubsub) => Some(pubsub.bury_unopened(bytes, why).await),
            Broker::Nats(_) | Broker::CloudTasks(_) => None,
        }
    }

    /// To be brought again, not before the pause is over, for the attempt of this number; `resend` where no ledger that others ask knows
    /// the number.
    pub async fn again(
        &self,
        parcel: &Parcel,
        handle: &Handle,
        pause: Duration,
        number: u32,
        resend: bool,
    ) -> Result<(), LedgerError> {
        match (self, handle) {
            (Broker::Nats(nats), Handle::Nats(handle)) if resend => {
                match nats.send_later(parcel, pause, number).await? {
                    true => handle.ack().await,
                    false => handle.again(pause).await,
                }
            }
            (_, Handle::Nats(handle)) => handle.again(pause).await,
            (Broker::PubSub(pubsub), Handle::PubSub(handle)) => {
                pubsub.again(parcel, handle, pause, number).await
            }
            (Broker::PubSub(pubsub), Handle::Push(handle)) => {
                let sent = pubsub.send_later(parcel, pause, number).await?;
                handle.answer(sent);
                Ok(())
            }
            (Broker::CloudTasks(tasks), Handle::Push(handle)) => {
                let sent = tasks.publish_later(parcel, pause, number).await?;
                handle.answer(sent);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// They are still being worked on.
    pub async fn extend(&self, handles: &[Arc<Handle>]) -> Result<(), LedgerError> {
        match self {
            Broker::Nats(_) => {
                let all = handles.iter().filter_map(|handle| match &**handle {
                    Handle::Nats(handle) => Some(handle.extend()),
                    _ => None,
                });
                try_join_all(all).await.map(drop)
            }
            Broker::PubSub(_) => {
                let all = handles.iter().filter_map(|handle| match &**handle {
                    Handle::PubSub(handle) => Some(handle.held()),
                    _ => None,
                });
                pubsub::hold(all.collect()).await
            }
            // A call that waits is held on to by that.
            Broker::CloudTasks(_) => Ok(()),
        }
    }

    /// How long an event is put off whose hook is held or not there.
    pub fn hold(&self) -> Duration {
        match self {
            // Those of such hooks are not asked for.
            Broker::Nats(_) => Duration::from_secs(3),
            // Others bring everything, whatever hook it is for.
            Broker::PubSub(_) | Broker::CloudTasks(_) => Duration::from_secs(30),
        }
    }

    /// Lets go of it, to be brought again at once.
    pub async fn give_back(&self, handle: &Handle) {
        let told = match handle {
            Handle::Nats(handle) => handle.again(Duration::ZERO).await,
            Handle::PubSub(handle) => handle.give_back().await,
            Handle::Push(handle) => {
                handle.answer(false);
                Ok(())
            }
        };
        if let Err(error) = told {
            tracing::warn!(%error, "an event cannot be given back to the queue: it comes again by itself");
        }
    }

    /// Brings what there is to the taker, until that wants nothing more.
    pub async fn bring(self: Arc<Self>, taker: Arc<dyn Taker>) {
        match &*self {
            Broker::Nats(nats) => nats.bring(taker).await,
            Broker::PubSub(pubsub) => pubsub.bring(taker).await,
            Broker::CloudTasks(_) => {}
        }
    }

    /// Whether it was there when it was last asked.
    pub fn is_there(&self) -> bool {
        match self {
            Broker::Nats(nats) => nats.is_there(),
            Broker::PubSub(pubsub) => pubsub.is_there(),
            Broker::CloudTasks(tasks) => tasks.is_there(),
        }
    }

    /// Asks whether it is there, where nothing else does; an answer that it is not is no news.
    pub async fn look(&self) {
        match self {
            // Knows by itself.
            Broker::Nats(_) => {}
            Broker::PubSub(pubsub) => pubsub.look().await,
            Broker::CloudTasks(tasks) => tasks.look().await,
        }
    }

    /// Why it cannot be used now, if it cannot.
    pub async fn problem(&self) -> Option<String> {
        match self {
            Broker::Nats(nats) => nats.problem(),
            Broker::PubSub(pubsub) => pubsub.problem().await,
            Broker::CloudTasks(tasks) => tasks.problem().await,
        }
    }

    /// What is promised, and on what it rests: a sentence each.
    pub async fn facts(&self) -> Vec<String> {
        let mut facts = match self {
            Broker::Nats(nats) => nats.facts().await,
            Broker::PubSub(pubsub) => pubsub.facts(),
            Broker::CloudTasks(tasks) => tasks.facts(),
        };
        facts.push(match self.seal().has_key() {
            true => "events carry a MAC with queue.key: a message without one is not run".into(),
            false => "queue.key is not set: an event that anybody publishes to the queue runs as if its sender had been verified; set queue.key \
                      (LANDFALL_QUEUE_KEY)"
                .into(),
        });
        facts
    }

    /// Tells another node what a caller there waits for; best effort.
    pub async fn tell(&self, there: &str, answer: Vec<u8>) {
        if let Broker::Nats(nats) = self {
            nats.tell(there, answer).await;
        }
    }

    /// What other nodes tell this one, until the process stops.
    pub async fn hear(&self, heard: impl Fn(&[u8])) {
        if let Broker::Nats(nats) = self {
            nats.hear(heard).await;
        }
    }

    /// Whether a caller may wait here for a reply of another node.
    pub fn answer_to(&self) -> Option<String> {
        match self {
            Broker::Nats(nats) => Some(nats.answer_to()),
            Broker::PubSub(_) | Broker::CloudTasks(_) => None,
        }
    }
}

// === impl Handle ===

impl Handle {
    /// It is done with: returns when the broker knows.
    pub async fn ack(&self) -> Result<(), LedgerError> {
        match self {
            Handle::Nats(handle) => handle.ack().await,
            Handle::PubSub(handle) => handle.ack().await,
            Handle::Push(handle) => {
                handle.answer(true);
                Ok(())
            }
        }
    }
}
