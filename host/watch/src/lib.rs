//! When something is wrong with a hook, or with the node: alarms that open once and close once.
//!
//! Everything here is a function of what the caller has read and of the time that it passes in:
//! there is no IO and no clock. `Watch::look` compares the readings of all hooks with the rules of
//! docs/WATCH.md. Its state survives a restart as text (`Watch::unsaved`, `Watch::restore`), and is
//! bounded for each hook.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod alarm;
mod backlog;
mod challenge;
mod event;
mod expected;
mod hook;
mod hours;
mod latch;
mod node;
mod reading;
mod receiver;
mod refusals;
mod rhythm;
mod sentence;
mod watch;
mod window;

#[cfg(test)]
mod tests;

pub use alarm::{Alarm, Change};
pub use event::AlarmEvent;
pub use latch::Notice;
pub use reading::{Backlog, HookReading, HookRules, NodeReading, ShapeReading};
pub use receiver::receiver_of;
pub use watch::{Unsaved, Watch};
