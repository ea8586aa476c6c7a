//! Seals and opens reports of `landfall try`. A group of a report has content of events; a summary
//! has none.

use super::{SealedLedger, refused};
use crate::error::LedgerError;
use crate::seal::values;
use crate::tries::{NewTry, TRY_GROUPS, TryPart};
use landfall_model::KvValue;

// === impl SealedLedger ===

impl SealedLedger {
    pub(super) fn seal_try(&self, mut new: NewTry) -> NewTry {
        if !self.encrypts() {
            return new;
        }
        for place in 0..new.groups.len() {
            let key = new.group_key(place);
            let json = std::mem::take(&mut new.groups[place].json);
            new.groups[place].json = self.seal_group(&key, json);
        }
        new
    }

    fn seal_group(&self, key: &str, json: Vec<u8>) -> Vec<u8> {
        let part = KvValue {
            is_text: true,
            bytes: json.into(),
        };
        let sealed = values::seal_value(&self.keys, TRY_GROUPS, key, part);
        sealed.bytes.to_vec()
    }

    pub(super) fn open_part(&self, owner: &str, part: TryPart) -> Result<TryPart, LedgerError> {
        let stored = KvValue {
            is_text: true,
            bytes: part.json.into(),
        };
        let opened = values::open_value(&self.keys, owner, &part.key, stored).map_err(refused)?;
        Ok(TryPart {
            key: part.key,
            json: opened.bytes.to_vec(),
        })
    }
}
