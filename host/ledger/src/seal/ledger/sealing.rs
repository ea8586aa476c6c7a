//! Seals what the steps of a delivery store: the event, its attempt, and the results of that.

use std::sync::Arc;

use super::{SealedLedger, refused};
use crate::error::LedgerError;
use crate::seal::event;
use crate::seal::values::{self, OfDelivery};
use crate::steps::{AttemptRecord, Disposition, NewEvent, Results};
use landfall_model::{Admission, Effects, EventId, KvChange, KvExpected, KvWrite, Row, Stored};

// === impl SealedLedger ===

impl SealedLedger {
    pub(super) fn seal_stored(&self, stored: Stored) -> Stored {
        if !self.encrypts() {
            return stored;
        }
        event::seal(&self.keys, &stored, self.digest(stored.digest()))
    }

    pub(super) fn seal_new_event(&self, new: NewEvent) -> NewEvent {
        if !self.encrypts() {
            return new;
        }
        let stored = self.seal_stored(new.stored);
        let id = stored.event().id;
        NewEvent {
            stored,
            dedup: new.dedup.map(|dedup| self.dedup(dedup)),
            admission: match new.admission {
                // The condition has a value of the event.
                Admission::Filtered(why) => {
                    let of = (&id, OfDelivery::First);
                    Admission::Filtered(values::seal_reason(&self.keys, of, &why))
                }
                admission => admission,
            },
            ..new
        }
    }

    pub(super) fn seal_attempt(
        &self,
        (event, of, number): (&EventId, OfDelivery, u32),
        attempt: AttemptRecord,
    ) -> AttemptRecord {
        if !self.encrypts() {
            return attempt;
        }
        AttemptRecord {
            reason: values::seal_reason(&self.keys, (event, of), &attempt.reason),
            record: values::seal_record(&self.keys, (event, of, number), &attempt.record),
            ..attempt
        }
    }

    /// Seals what an attempt stores, but for the values that it expects.
    pub(super) fn seal_disposition(
        &self,
        (id, hook, of): (&EventId, &str, OfDelivery),
        disposition: Disposition,
    ) -> Disposition {
        if !self.encrypts() {
            return disposition;
        }
        match disposition {
            Disposition::Done(results) => {
                Disposition::Done(self.seal_results((id, hook, of), results))
            }
            Disposition::Dead(why) => {
                Disposition::Dead(values::seal_reason(&self.keys, (id, of), &why))
            }
            Disposition::Split(why) => {
                Disposition::Split(values::seal_reason(&self.keys, (id, of), &why))
            }
            Disposition::Retry(_) | Disposition::Defer(_) => disposition,
        }
    }

    fn seal_results(
        &self,
        (id, hook, of): (&EventId, &str, OfDelivery),
        results: Results,
    ) -> Results {
        let Results {
            effects,
            emitted,
            quota,
            reply,
        } = results;
        let rows = effects.rows.into_iter().map(|Row { table, text }| {
            let text = values::seal_row(&self.keys, (id, hook, &table), &text);
            Row { table, text }
        });
        let writes = effects.writes.into_iter().map(|write| KvWrite {
            change: match write.change {
                KvChange::Set(value, expires_in) => {
                    let value = values::seal_value(&self.keys, hook, &write.key, value);
                    KvChange::Set(value, expires_in)
                }
                change => change,
            },
            key: write.key,
        });
        let emitted = emitted.into_iter().map(|new| self.seal_new_event(new));
        Results {
            effects: Effects {
                rows: rows.collect(),
                writes: writes.collect(),
                expected: effects.expected,
                emissions: effects.emissions,
            },
            emitted: emitted.collect(),
            quota,
            reply: reply.map(|reply| values::seal_reply(&self.keys, (id, of), &reply)),
        }
    }

    /// Replaces each expected value by what the ledger has stored for it: the ledger compares the
    /// stored bytes, which are others each time a value is sealed.
    pub(super) async fn expect_stored(
        &self,
        hook: &Arc<str>,
        disposition: Disposition,
    ) -> Result<Disposition, LedgerError> {
        let Disposition::Done(mut results) = disposition else {
            return Ok(disposition);
        };
        if !self.encrypts() {
            return Ok(Disposition::Done(results));
        }
        for KvExpected { key, value } in &mut results.effects.expected {
            if value.is_none() {
                continue;
            }
            let Some(stored) = self.inner.get(hook.clone(), key.clone()).await? else {
                continue;
            };
            let opened = values::open_value(&self.keys, hook, key, stored.clone());
            let opened = opened.map_err(refused)?;
            let is_same = value.as_ref().is_some_and(|one| one.bytes == opened.bytes);
            if is_same {
                *value = Some(stored);
            }
        }
        Ok(Disposition::Done(results))
    }
}
