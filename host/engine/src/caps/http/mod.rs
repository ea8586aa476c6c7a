//! `http`: whole calls through the hook's egress client, within the limits of the attempt.

mod call;
mod context;
mod hook;
mod record;
mod resources;
mod wasi;

pub(crate) use context::{Caller, Http};
pub(crate) use hook::{link, link_types};
pub(crate) use record::{ANSWER_BYTES_MAX, CallRecord, SENT_BYTES_MAX};
pub(crate) use resources::resource_bytes;
