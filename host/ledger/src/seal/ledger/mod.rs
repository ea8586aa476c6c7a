//! A ledger that encrypts what it stores: it seals the parts of each step, and opens what the
//! ledger below returns. Every other step passes through. Without keys it seals nothing, and says
//! what it cannot open: another node may have encrypted it.
//!
//! `deliveries`, `history`, `kv` and `unsealed` implement the traits of a ledger. The other files
//! seal and open what their methods take and return.

mod deliveries;
mod history;
mod identity;
mod kv;
mod opening;
mod recordings;
mod sealing;
mod shown;
mod tables;
mod tries;
mod unsealed;

use std::sync::Arc;

use ring::hmac;

use super::keys::{LedgerKeys, NotOpened};
use crate::error::LedgerError;
use crate::traits::Ledger;

/// Seals and opens what a ledger stores.
pub(super) struct SealedLedger {
    pub(super) inner: Arc<dyn Ledger>,
    pub(super) keys: Arc<LedgerKeys>,
    /// For digests of bodies, which stay the same when the keys rotate. `None`: there are no keys,
    /// and nothing is encrypted.
    pub(super) digests: Option<hmac::Key>,
}

// === impl SealedLedger ===

impl SealedLedger {
    /// A ledger that has no keys.
    pub(super) fn without_keys(inner: Arc<dyn Ledger>) -> SealedLedger {
        SealedLedger {
            inner,
            keys: Arc::new(LedgerKeys::none()),
            digests: None,
        }
    }

    fn encrypts(&self) -> bool {
        self.digests.is_some()
    }
}

/// What a value that cannot be opened means for the step that needs it.
fn refused(error: NotOpened) -> LedgerError {
    LedgerError::Other(match error {
        NotOpened::NoKey(key) => format!(
            "a stored value is encrypted with the key {key}, which ledger.encryption_keys of this node does not have: add it"
        ),
        NotOpened::Damaged => "an encrypted value is damaged".to_owned(),
    })
}

/// What people see in place of a value that cannot be opened.
fn shown_instead(error: NotOpened) -> String {
    match error {
        NotOpened::NoKey(key) => format!("(encrypted: this node does not have the key {key})"),
        NotOpened::Damaged => "(encrypted, and damaged)".to_owned(),
    }
}
