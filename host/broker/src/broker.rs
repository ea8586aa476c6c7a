//! The two traits that every broker implements. A broker has an envelope once `publish` says so,
//! and delivers it, more than once if need be, until the message is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::envelope::Envelope;
use super::error::{BrokerError, DecodeError};

/// The longest wait for the acknowledgement of a published envelope. A caller waits no longer than
/// its hook's `answer_within`; that bound is kept by `landfall-dispatch`.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// A broker that events wait in.
pub trait Broker: Send + Sync + 'static {
    /// Returns when the envelope is on the broker's stable storage. After an error it may or may
    /// not be there.
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Pulls messages for the consumer until it is stopping. A broker that pushes returns at once.
    fn receive(self: Arc<Self>, consumer: Arc<dyn Consumer>) -> BoxFuture<'static, ()>;

    /// The message in the body of a call that the broker has made. A broker that does not push
    /// refuses every body.
    fn receive_push(self: Arc<Self>, body: &[u8]) -> Result<Pushed, DecodeError>;

    /// Stores a pushed message that cannot be decoded among the dead letters, if the broker has a
    /// place for them.
    fn dead_letter_undecodable<'a>(
        &'a self,
        bytes: &'a [u8],
        reason: &'a str,
    ) -> BoxFuture<'a, Result<DeadLetterPlace, BrokerError>>;

    /// What the broker promises, and on which settings that rests: a sentence each.
    fn describe(&self) -> BoxFuture<'_, Vec<String>>;

    /// Asks the broker whether it can be used, if nothing else tells. `is_available` then has the
    /// answer.
    fn check_health(&self) -> BoxFuture<'_, ()>;

    /// Why the broker cannot be used now, if it cannot.
    fn health_error(&self) -> BoxFuture<'_, Option<BrokerError>>;

    /// Whether the broker could be used when it was last asked.
    fn is_available(&self) -> bool;

    /// How long a message is deferred whose hook is paused or missing.
    fn paused_hook_delay(&self) -> Duration;

    /// The way by which nodes send each other replies. `None`: the broker has none, and no caller
    /// waits for the reply of another node.
    fn replies(&self) -> Option<&dyn ReplyChannel>;
}

/// A message that a broker has delivered. Acknowledging it in one of the three ways consumes it; a
/// message that is dropped is redelivered.
pub trait Message: Send + Sync + 'static {
    /// The event and what travels with it.
    fn envelope(&self) -> &Envelope;

    /// The event needs nothing more. Returns when the broker knows.
    fn ack(self: Arc<Self>) -> BoxFuture<'static, Result<(), BrokerError>>;

    /// The broker delivers the event again.
    fn nack(self: Arc<Self>, redelivery: Redelivery)
    -> BoxFuture<'static, Result<(), BrokerError>>;

    /// The event is a dead letter: a copy goes to the broker's dead letters, if it has any, and the
    /// message is acknowledged.
    fn dead_letter(self: Arc<Self>, reason: String) -> BoxFuture<'static, Result<(), BrokerError>>;

    /// The event is still being worked on: the broker must not redeliver it yet.
    fn extend(&self) -> BoxFuture<'_, Result<(), BrokerError>>;
}

/// The part of the node that runs what a broker delivers.
pub trait Consumer: Send + Sync + 'static {
    /// The hooks that events are wanted for.
    fn hooks(&self) -> Vec<Arc<str>>;
    /// `None`: there is no such hook.
    fn capacity(&self, hook: &str) -> Option<Capacity>;
    /// Whether no more messages are wanted.
    fn is_stopping(&self) -> bool;
    /// Runs the event of a message.
    fn handle(&self, message: Arc<dyn Message>);
    /// Counts and records a message that cannot be used. `id` is the broker's id of it.
    fn reject(&self, error: &DecodeError, id: &str);
}

/// Replies from the node that ran an event to the node that holds the caller's connection. Best
/// effort.
pub trait ReplyChannel: Send + Sync {
    /// The address of this node.
    fn reply_to(&self) -> String;
    /// Sends a reply to the node with this address.
    fn publish_reply<'a>(&'a self, reply_to: &'a str, reply: Vec<u8>) -> BoxFuture<'a, ()>;
    /// Hands on the replies that are sent to this node, until the process stops.
    fn subscribe_replies<'a>(
        &'a self,
        on_reply: &'a (dyn Fn(&[u8]) + Send + Sync),
    ) -> BoxFuture<'a, ()>;
}

/// Where the dead letters of a broker are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterPlace {
    /// In the broker.
    Broker,
    /// The broker has no place for them. The caller stores them in the ledger.
    Ledger,
}

/// When, and for which attempt, a message is delivered again.
#[derive(Debug, Clone, Copy)]
pub struct Redelivery {
    /// Not before this time has passed.
    pub after: Duration,
    /// The number of the attempt, from 1. The same number as before: the attempt was not made.
    pub attempt: u32,
    /// Whether the envelope must carry the number, since other nodes cannot look it up in the
    /// ledger.
    pub carry_attempt: bool,
}

/// A pushed message, and what the call that brought it is answered.
pub struct Pushed {
    /// The message.
    pub message: Arc<dyn Message>,
    /// The answer; closed without one if the message is dropped, which means `Redeliver`.
    pub answer: oneshot::Receiver<PushAnswer>,
}

/// The answer to a call of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushAnswer {
    /// The broker forgets the message.
    Done,
    /// The broker calls again.
    Redeliver,
}

/// How many events of a hook can start now.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// The number of events.
    pub free: usize,
    /// Events with the same order key run one after another.
    pub is_ordered: bool,
}
