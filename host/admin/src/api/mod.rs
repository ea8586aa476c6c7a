//! `/api/v1`. `operations` lists every operation with its role; each of the other files has the
//! handlers and the types of a few of them.

// utoipa makes a public type of each handler.
#![allow(unreachable_pub)]

mod alarms;
pub(crate) mod attempt;
pub(crate) mod audit;
mod candidate;
mod check;
pub(crate) mod command;
pub(crate) mod delivery;
pub(crate) mod description;
pub(crate) mod document;
pub(crate) mod error;
mod event;
mod hooks;
mod missed;
pub(crate) mod no_hook;
mod node;
pub(crate) mod operations;
mod operator;
mod order_body;
pub(crate) mod params;
mod query_error;
mod recordings;
mod refusals;
mod rows;
pub(crate) mod search;
mod send;
mod shape;
pub(crate) mod state;
mod stats;
pub(crate) mod tail;
mod tail_gaps;
mod tries;
pub(crate) mod unknown;
mod unreadable;
