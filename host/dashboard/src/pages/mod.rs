//! The pages: one file each, with its view model and its handlers.

mod attempt;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod component;
pub(crate) mod data;
pub(crate) mod event;
pub(crate) mod events;
pub(crate) mod failures;
pub(crate) mod help;
pub(crate) mod missed;
pub(crate) mod overview;
pub(crate) mod recordings;
mod request;
mod row;
mod sample;
pub(crate) mod send;
pub(crate) mod shape;
mod tamper;
mod timeline;
pub(crate) mod tries;
mod values;
pub(crate) mod why;
