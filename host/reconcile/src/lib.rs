//! Missed deliveries: what a provider could not deliver is listed in its API, and stored as the
//! events that the webhooks would have been.
//!
//! `reconciler` starts the runs: by schedule, or by command. `run` is one run: page by page, it
//! asks the ledger what is new and hands that to `dispatch`. `source` knows what to ask a provider
//! and how to read its answers, with one file for each provider and no IO. `api` makes the calls
//! and waits as `limit` says. `progress` keeps in the ledger how far a hook has come.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod api;
mod app_token;
mod error;
mod github;
mod limit;
mod link;
mod listing;
mod progress;
mod reconciler;
mod report;
mod run;
mod shopify;
mod source;
mod stripe;

pub use reconciler::{Reconciler, StartError};
pub use run::Order;
