//! What a node counts and measures, in the text format of Prometheus.
//!
//! `Metrics` are those of the node. Each hook has `HookMetrics`, whose series end with the hook.
//! `Gauges` are values that are read at the time of a scrape. The values of every label are a
//! closed set, or come from the hook files: no request can add a series.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod activity;
mod buckets;
mod gauges;
mod granted;
mod hook;
mod keys;
mod node;
mod outbound;
mod process;
mod requests;
mod series;
mod sharded_histogram;
mod snapshot;
mod words;

pub use gauges::Gauges;
pub use hook::{HookMetrics, HookTotals, RunningRequest};
pub use node::Metrics;
pub use outbound::OutboundMetrics;
pub use process::add_process;
pub use requests::RequestOutcome;
pub use snapshot::{Family, Point, PointValue};
