//! The rules of scheme `signature`, built from a `[verify]` table.

use super::list::List;
use crate::algorithm::can_be_lengthened;
use crate::payload::Part;
use crate::window::Window;
use landfall_model::{Algorithm, Encoding, TimeUnit, ValueLocation};

/// The signature rules of one hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Locations of signatures. One of them must match.
    pub(crate) from: Vec<ValueLocation>,
    /// Constant text before the signature.
    pub(crate) prefix: String,
    /// How a header with several signatures is split.
    pub(crate) list: Option<List>,
    /// The algorithm. The request cannot choose another one.
    pub(crate) algorithm: Algorithm,
    /// Accepted method names before a signature, and their algorithms. If not empty, `algorithm` is
    /// not used.
    pub(crate) methods: Vec<(String, Algorithm)>,
    /// The provider's key set; `None` if the hook's secrets are the keys.
    pub(crate) key_set: Option<KeySet>,
    /// The encoding of a signature.
    pub(crate) encoding: Encoding,
    /// The signed text.
    pub(crate) payload: Vec<Part>,
    /// Alternative signed texts.
    pub(crate) alternatives: Vec<Vec<Part>>,
    /// Whether values must not contain the text that marks their end. False if a provider documents
    /// a payload without such marks.
    pub(crate) has_clear_cuts: bool,
    /// The signed time.
    pub(crate) time: Option<Time>,
    /// The location of the signed delivery id.
    pub(crate) id: Option<ValueLocation>,
    /// Headers that must have this value.
    pub(crate) require: Vec<(String, String)>,
}

/// A JSON web key set at a URL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeySet {
    /// The URL of the key set.
    pub(crate) url: String,
    /// Where the request names the key id; `None` means that every key is tried.
    pub(crate) id: Option<ValueLocation>,
}

/// The signed time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Time {
    /// The location of the time; `None` means in the list.
    pub(crate) from: Option<ValueLocation>,
    /// The unit or format of the time.
    pub(crate) unit: TimeUnit,
    /// The allowed distance from the current time.
    pub(crate) window: Window,
}

// === impl Signature ===

impl Signature {
    /// Every accepted signed text.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &[Part]> {
        std::iter::once(&self.payload)
            .chain(&self.alternatives)
            .map(Vec::as_slice)
    }

    /// Whether the signature allows length extension: a plain digest over a text that does not end
    /// with the secret.
    pub(super) fn can_be_lengthened(&self) -> bool {
        can_be_lengthened(self.algorithm)
            && self
                .payloads()
                .any(|payload| payload.last() != Some(&Part::Secret))
    }
}
