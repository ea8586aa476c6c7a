//! Operator commands on deliveries: replay, discard, retry now, and purge of a hook that no longer
//! exists. A request handles one bounded page. If the response has `next`, the client repeats the
//! request with `after` = `next` and the same `before`.

pub(super) mod erase;
mod errors;
#[cfg(debug_assertions)]
mod hold_point;
pub(super) mod order;
pub(super) mod purge;
pub(super) mod replay;
pub(super) mod step;
