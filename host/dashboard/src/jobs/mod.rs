//! Commands on many events: replay, discard or retry, at a rate, with progress and cancel. A job is
//! in memory: after a restart, what it has done stays done, and the rest is not done.

mod command;
mod count;
mod job;
mod list;
mod selection;

pub(crate) use command::Command;
pub(crate) use count::{Counted, EVENTS_MAX, Total};
pub(crate) use job::{End, Job, Pace, RATE_MAX, Starter};
pub(crate) use list::Jobs;
pub(crate) use selection::Selection;
