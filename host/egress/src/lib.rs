//! All outgoing calls: what may be called, which addresses may be reached, which credentials are
//! added.
//!
//! Each hook has a client of its own, so that a connection made under the grants of one hook never
//! serves another.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod address;
mod call;
mod client;
mod collect;
mod connector;
mod credentials;
mod excerpt;
mod exchange;
mod oauth1;
mod permitted;
mod policy;
mod pool;
mod redact;
mod redactor;
mod redirect;
mod replace;
mod request_headers;
mod segment;
pub mod sigv4;
mod spelling;
mod standard_webhooks;
mod streamed;
mod transport;
mod untrusted;
mod urls;

pub use call::Call;
pub use client::{Answerer, Client};
pub use collect::{BODY_BYTES_MAX, CollectError, collect};
pub use excerpt::excerpt;
pub use exchange::{Outgoing, OutgoingError, Received};
pub use permitted::Permitted;
pub use policy::Policy;
pub use pool::tls;
pub use redactor::Redactor;
pub use streamed::Streamed;
pub use urls::shown_url;
