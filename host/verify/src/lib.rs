//! Verifies webhooks: decides whether a request is authentic. Pure functions of the raw request,
//! the keys and the time, without IO, async or a clock.
//!
//! A `Verifier` is built once from a `[verify]` table and its provider pack. `check` turns an
//! `Unverified` request into a `Verified` one, or returns a `Refusal`. Only `check`, and
//! `recovered` for what the provider's own API returned, can make a `Verified`, and only a
//! `Verified` becomes an event. If a key document is missing, the refusal names its URL: the caller
//! fetches the document and checks again.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod algorithm;
mod answer;
mod answers;
mod auth_scheme;
mod builder;
mod carried_secret;
mod certificate;
mod challenge;
mod check;
pub mod conformance;
mod edit;
mod facts;
mod guide;
mod hint;
mod json_paths;
mod jwt;
mod key;
mod keys;
mod lookup;
mod multipart;
mod pack;
mod path_segments;
mod payload;
mod presumed_proof;
mod problems;
mod proof;
mod proof_names;
mod proof_places;
mod raw_json;
mod recovered;
mod refusal;
mod request;
mod sample;
mod schemes;
mod settings;
mod shared_secret;
mod shown;
mod sign;
mod sign_error;
mod signature;
mod unique_json;
mod verifier;
mod view;
mod window;

pub use answer::Answer;
pub use answers::{Accepted, AnswerRules};
pub use auth_scheme::AuthScheme;
pub use builder::BuildError;
pub use check::{
    Sender, SenderCheck, Verdict, check, check_or_return, check_sender, is_challenge, streaming_mac,
};
pub use facts::{form_fields, order_key, value_at};
pub use guide::{Guide, GuideError, guides};
pub use hint::hint;
pub use keys::{Keys, NoKeyDocuments, VerifyContext};
pub use lookup::{KeyGrant, Lookup};
pub use pack::{
    ConfigKey, Evidence, Pack, PackAnswer, PackError, Packs, ReplyBody, StatusPattern, pack_names,
};
pub use proof_names::ProofNames;
pub use recovered::{known_keys, recovered};
pub use refusal::{Reason, Refusal};
pub use request::{SignedBody, Unverified, Verified};
pub use sample::{SampleError, SampleRequest, SignedSample, sample, sample_challenges, sign_with};
pub use shown::{MaskedEvent, mask_of_unknown_hook};
pub use sign::sign;
pub use sign_error::SignError;
pub use signature::StreamingMac;
pub use verifier::Verifier;
pub use window::Window;

#[cfg(test)]
mod identity_tests;
#[cfg(test)]
mod language_tests;
