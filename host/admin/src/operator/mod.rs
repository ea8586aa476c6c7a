//! Operator commands on deliveries: replay, discard, retry now, and purge of a hook that no longer
//! exists. A request handles one bounded page. If the response has `next`, the client repeats the
//! request with `after` = `next` and the same `before`.

#[cfg(debug_assertions)]
mod hold_point;
mod order;
mod purge;
mod replay;
mod step;

pub(super) use purge::purge;
pub(super) use replay::replay;
pub(super) use step::{discard, retry_now};
