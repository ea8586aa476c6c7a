//! Brokers that events wait in between their acceptance and their end. `Broker` and `Message` are
//! the traits; each broker implements them in its own file or folder, and `connect` lists them and
//! chooses one by the scheme of its URL.
//!
//! A broker delivers at least once. What has happened to an event is in the ledger, which this
//! crate does not know.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod broker;
mod client;
mod cloud_tasks;
mod connect;
mod envelope;
mod error;
mod kind;
mod nats;
mod ordered;
mod pubsub;
mod push;
mod rest;
mod seal;

pub use broker::{
    Broker, Capacity, Consumer, DeadLetterPlace, Message, PushAnswer, Pushed, Redelivery,
    ReplyChannel,
};
pub use connect::plan;
pub use envelope::Envelope;
pub use error::{BrokerError, DecodeError, KeyError, SettingsError};
pub use kind::{BrokerPlan, ConnectOptions};
pub use seal::Seal;
