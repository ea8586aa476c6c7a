//! Components on their way: fetched from a file, a URL or a registry, installed into a plugins
//! directory with a hook file that pins their digest, and published to a registry.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod client;
mod error;
mod fetch;
mod fetched;
mod hook_file;
mod install;
mod registry;
mod shared;
mod signature;
mod source;

pub use error::DistributionError;
pub use fetch::fetch;
pub use fetched::Fetched;
pub use hook_file::{Callers, NewHookFile, updated};
pub use install::{install, signature_file};
pub use registry::{Pushed, Reference, ReferenceError, push};
pub use shared::other_users;
pub use signature::FoundSignature;
pub use source::{Source, SourceError};
