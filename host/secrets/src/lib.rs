//! Current values of secrets, key documents, and tokens. Everything is read ahead, so that no
//! request waits for a file or a server.
//!
//! `store` keeps the values and refreshes them. `reader` reads one value: from the environment or a
//! file (`local`), or from a server (`remote`, with one file for each service). `documents` keeps
//! the key documents that `verify` asks for.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod admin_token;
mod aws;
mod call;
mod documents;
mod error;
mod gcp;
mod local;
mod oauth2;
mod permit;
mod reader;
mod remote;
mod store;
mod tokens;
mod vault;

pub use admin_token::{AdminTokenError, admin_token_path, create_admin_token};
pub use documents::{BudgetError, KeyDocumentError, KeyDocuments, KeyRequest, TokenRequest};
pub use error::PairError;
pub use store::{Secrets, Sources};
