//! From an event to its disposition. `accept` stores an event and decides who runs it, `run` runs one attempt under a lease, `finish`
//! commits its disposition; `sync` is the short way of mode `sync`. `schedule` and `consume` bring the events that wait in the ledger or
//! in a broker.
#![deny(unsafe_code)]

mod accept;
mod broker_queue;
mod circuit;
mod consume;
mod counters;
mod dispatcher;
mod due;
mod emitted;
mod error;
mod finish;
mod gate;
mod lease;
mod rate;
mod record;
mod record_budget;
mod repeats;
mod replies;
mod reply_format;
mod run;
mod schedule;
mod sync;
mod work;

pub use accept::{Answer, Incoming};
pub use counters::RepeatCounts;
pub use dispatcher::{Dispatcher, Targets};
pub use error::DispatchError;
pub use gate::HookStatus;
pub use landfall_broker::PushAnswer;
pub use landfall_engine::Target;
