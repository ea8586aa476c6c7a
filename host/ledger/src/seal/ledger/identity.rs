//! What duplicates are found by. It has no plain digest of a body, which would tell a reader of the
//! ledger whether a guessed body is right.

use ring::hmac;

use super::SealedLedger;
use landfall_model::DedupKey;

/// In an identity, this precedes the digest of the body as sent, which ends it.
const SENT: &[u8] = b"\0sent\0";
/// In an identity, this precedes the keyed digest that replaces a digest of a body.
const KEYED: &[u8] = b"\0sealed\0";
const DIGEST_BYTES: usize = 32;

// === impl SealedLedger ===

impl SealedLedger {
    /// What duplicates are compared by. It cannot be computed without the ledger's own key.
    pub(crate) fn digest(&self, digest: &[u8]) -> [u8; DIGEST_BYTES] {
        match &self.digests {
            Some(key) => {
                let mac = hmac::sign(key, digest);
                mac.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
            }
            None => digest.try_into().expect("SHA-256 has 32 bytes"),
        }
    }

    /// The identity with a keyed digest, if it is a digest of a body, or ends with one as sent. It
    /// has a mark, so that a pass finds those that were stored before the ledger was encrypted.
    pub(crate) fn keyed_identity(&self, key: &[u8]) -> Option<Vec<u8>> {
        if !self.encrypts() {
            return None;
        }
        let (start, digest) = key.split_at(key.len().checked_sub(DIGEST_BYTES)?);
        if !start.is_empty() && !start.ends_with(SENT) {
            return None;
        }
        let digest = self.digest(digest);
        Some([start, KEYED, &digest[..]].concat())
    }

    /// The identity, without a plain digest of the body.
    pub(super) fn identity(&self, key: Vec<u8>) -> Vec<u8> {
        self.keyed_identity(&key).unwrap_or(key)
    }

    /// The same for the identity of a delivery.
    pub(super) fn dedup(&self, dedup: DedupKey) -> DedupKey {
        DedupKey {
            key: self.identity(dedup.key),
            ..dedup
        }
    }
}
