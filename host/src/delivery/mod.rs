//! One attempt from event to record. Only `sync` exists: the caller waits, nothing is queued.

mod record;
mod sync;

pub use sync::Delivery;
