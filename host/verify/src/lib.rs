//! May this request in? Plain functions over the raw request, the keys and the time: no IO, no async, no clock of its own.
//!
//! A `Verifier` is built once from a `[verify]` table and its provider pack; `check` turns an `Unverified` request into a
//! `Verified` one or says why not. Only `check` can make a `Verified`, and only a `Verified` becomes an event. Where a key
//! lies at an address, the refusal names it: whoever asked fetches the document and asks again.
#![deny(unsafe_code)]

mod algorithm;
mod answers;
mod build;
mod certificate;
mod challenge;
mod check;
pub mod conformance;
mod guide;
mod hint;
mod jwt;
mod key;
#[cfg(test)]
mod language_tests;
mod lookup;
mod multipart;
mod pack;
mod payload;
mod refusal;
mod request;
mod sample;
mod schemes;
mod settings;
mod sign;
mod signature;
mod unique_json;
mod verifier;
mod view;
mod window;

pub use answers::{Accepted, AnswerRules};
pub use build::BuildError;
pub use challenge::Answer;
pub use check::{
    Keys, NoKeyDocuments, Sender, SenderCheck, Verdict, VerifyContext, check, check_or_return,
    check_sender, is_challenge, order_key, streaming_mac,
};
pub use guide::{Guide, guides};
pub use hint::hint;
pub use lookup::{KeyGrant, Lookup};
pub use pack::{
    ConfigKey, Evidence, Pack, PackAnswer, Packs, ReplyBody, SignedBody, StatusPattern, pack_names,
};
pub use refusal::{Reason, Refusal};
pub use request::{Unverified, Verified};
pub use sample::{SampleRequest, SignedSample, sample};
pub use sign::sign;
pub use signature::StreamingMac;
pub use verifier::{AuthScheme, Verifier};
pub use window::Window;

#[cfg(test)]
mod identity_tests;
