//! From an event to its disposition.
//!
//! `accept` stores an event and decides whether it runs at once. `schedule` starts events that wait
//! in the ledger, `consume` those that a broker delivers. `run` runs one attempt under a lease, and
//! `finish` commits its disposition. `work` decides between ledger and broker. `sync` is the short
//! path of mode `sync`. `flow` decides which events do not run, or wait.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod accept;
mod awaited_run;
mod broker_queue;
mod canary;
mod circuit;
mod consume;
mod dead_reason;
mod dispatcher;
mod due;
mod error;
mod finish;
mod flow;
mod gate;
mod lease;
mod outcome_format;
mod own_event;
mod panics;
mod rate;
mod record;
mod record_budget;
mod recordings;
mod repeats;
mod replies;
mod reply_format;
mod results;
mod run;
mod schedule;
mod shadow;
mod shadow_lines;
mod shadow_queue;
mod stranded;
mod sync;
mod trace;
mod unheld;
mod work;

pub use accept::{Answer, AnswerContent, Incoming};
pub use dispatcher::{Dispatcher, Observer, Targets};
pub use error::DispatchError;
pub use gate::HookStatus;
pub use landfall_broker::PushAnswer;
pub use landfall_engine::{RunSlots, Target, timeout};
