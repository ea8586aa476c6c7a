//! Opens what an operator sees of the rows and the key-value data of a hook.

use std::sync::Arc;

use super::{SealedLedger, shown_instead};
use crate::error::LedgerError;
use crate::seal::keys::MAGIC;
use crate::seal::values;
use crate::shown::{StoredRow, StoredValue};
use crate::traits::Kv;

/// How much of each value is read at least, in bytes, to see whether it is sealed.
pub(super) const READ_MIN: usize = MAGIC.len();

// === impl SealedLedger ===

impl SealedLedger {
    /// Opens a row of a table of a hook.
    pub(super) fn open_row(&self, (hook, table): (&str, &str), row: &mut StoredRow) {
        let Ok(event) = row.event_id.parse() else {
            return;
        };
        let stored = std::mem::take(&mut row.row);
        match values::open_row(&self.keys, (&event, hook, table), stored) {
            Ok(opened) => row.row = opened,
            Err(error) => {
                row.row = shown_instead(error).into();
                row.damaged = true;
            }
        }
    }

    /// Replaces the beginning of a value that is sealed by the whole value: a part of it does not
    /// open.
    pub(super) async fn open_beginning(
        &self,
        hook: &Arc<str>,
        value: &mut StoredValue,
    ) -> Result<(), LedgerError> {
        if !value.beginning.starts_with(MAGIC) {
            return Ok(());
        }
        match self.get(hook.clone(), value.key.clone()).await {
            Ok(Some(whole)) => {
                value.bytes = whole.bytes.len() as i64;
                value.beginning = whole.bytes.to_vec();
            }
            // It has ended meanwhile.
            Ok(None) => value.beginning.clear(),
            // It does not open, or its checksum does not match.
            Err(LedgerError::Other(_)) => {
                value.damaged = true;
                value.beginning.clear();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
