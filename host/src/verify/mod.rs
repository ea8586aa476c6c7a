//! May this request in? Plain functions over the raw request and the secrets: no IO, no async, no clock of its own.
//!
//! A `Verifier` is built once from a `[verify]` table and its provider pack; `check` turns an `Unverified` request into a
//! `Verified` one or says why not. Only `check` can make a `Verified`, and only a `Verified` becomes an event.

mod challenge;
mod check;
mod pack;
mod place;
mod refusal;
mod request;
mod verifier;

pub use challenge::Answer;
pub use check::{Checked, check};
pub use pack::{Pack, pack_names};
pub use refusal::Refusal;
pub use request::{Unverified, Verified};
pub use verifier::{BuildError, Proof, Verifier};
