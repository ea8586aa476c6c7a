//! The admin API: health probes, hooks, events and operator commands, on its own listener. All but
//! the probes need the admin token. `routes` lists every route.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod events;
mod guard;
mod node;
mod operator;
mod query_error;
mod routes;
mod search;

pub use events::Events;
pub use guard::{Guard, Refused};
pub use node::{Admin, Scrape};
pub use routes::{answer_one, router};
