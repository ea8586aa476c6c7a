//! What a `[verify]` table says of scheme `signature`.

use super::list::List;
use crate::payload::Part;
use crate::window::Window;
use landfall_model::{Algorithm, Encoding, TimeUnit, ValueLocation};

/// How requests are signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Places of signatures; any may match.
    pub from: Vec<ValueLocation>,
    /// Constant text before a single signature.
    pub prefix: String,
    /// How a header of several is split.
    pub list: Option<List>,
    /// Pinned: the request has no say in it.
    pub algorithm: Algorithm,
    /// Method names before a signature that are taken, and what each stands for. With one of them, `algorithm` means nothing.
    pub methods: Vec<(String, Algorithm)>,
    /// Where the provider's public keys are; none = the secrets are the keys.
    pub key_set: Option<KeySet>,
    /// Of a signature's bytes.
    pub encoding: Encoding,
    /// What is signed.
    pub payload: Vec<Part>,
    /// Other texts that count as well.
    pub alternatives: Vec<Vec<Part>>,
    /// A value must not hold the text that marks its end. Off where a provider documents a text without such marks.
    pub has_clear_cuts: bool,
    /// Where the signed time is; none in `from` = in the list.
    pub time: Option<Time>,
    /// Where the signed id is.
    pub id: Option<ValueLocation>,
    /// Headers that must have exactly this value.
    pub require: Vec<(String, String)>,
}

/// A set of public keys at an address.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySet {
    /// Of the JSON web key set.
    pub url: String,
    /// Where the request names the key; none = every key is tried.
    pub id: Option<ValueLocation>,
}

/// The signed time.
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    /// None = in the list.
    pub from: Option<ValueLocation>,
    /// How it is written.
    pub unit: TimeUnit,
    /// How far it may lie from now.
    pub window: Window,
}

// === impl Signature ===

impl Signature {
    /// Every text that may be signed.
    pub fn payloads(&self) -> impl Iterator<Item = &[Part]> {
        std::iter::once(&self.payload)
            .chain(&self.alternatives)
            .map(Vec::as_slice)
    }

    /// A plain digest can be continued without the secret, unless the text ends with the secret.
    pub(super) fn can_be_lengthened(&self) -> bool {
        can_be_lengthened(self.algorithm)
            && self
                .payloads()
                .any(|payload| payload.last() != Some(&Part::Secret))
    }
}
