//! The one way out of the process: what may be called, which addresses may be reached, what is added on the way.
//!
//! Each hook has a client of its own, so that no connection made under one hook's grants serves another.
#![deny(unsafe_code)]

mod address;
mod client;
mod collect;
mod connector;
mod credentials;
mod oauth1;
mod policy;
mod redact;
mod redirect;
mod shown;
pub mod sigv4;
mod untrusted;

pub use client::{Client, Outgoing, OutgoingError, Received, shown_url, tls};
pub use collect::{BODY_BYTES_MAX, CollectError, collect};
pub use credentials::Call;
pub use policy::Policy;
pub use redact::text as redacted;
pub use shown::beginning;
