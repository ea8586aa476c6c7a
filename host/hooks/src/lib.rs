//! The plugins directory: watched and polled, settled, loaded, swapped. A bad file keeps the last good one serving.
#![deny(unsafe_code)]

mod asks;
mod beneath;
mod hook;
mod keeper;
mod known;
mod load;
mod names;
mod packs;
mod readiness;
mod routes;
mod scan;
mod table;
mod watch;

pub use hook::{Hook, HookState, HookStatus, Serving};
pub use keeper::{Hooks, Setup};
pub use load::Platform;
pub use packs::packs;
pub use table::{Found, Table};
