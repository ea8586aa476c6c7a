//! Opens what an operator sees of an event: its deliveries and its attempts.

use serde_json::Value;

use super::{SealedLedger, shown_instead};
use crate::seal::event;
use crate::seal::values::{self, StoredDelivery};
use crate::shown::{Listed, Shown};
use landfall_model::EventId;

// === impl SealedLedger ===

impl SealedLedger {
    pub(super) fn open_listed(&self, listed: Listed) -> Listed {
        let reason = match (listed.reason, listed.event.parse()) {
            (Some(reason), Ok(event)) => {
                let of = StoredDelivery {
                    event: &event,
                    number: listed.delivery,
                    is_replay: listed.replayed,
                };
                Some(self.open_reason(of, &reason))
            }
            (reason, _) => reason,
        };
        Listed { reason, ..listed }
    }

    pub(super) fn open_shown(&self, id: EventId, mut shown: Shown) -> Shown {
        let event = shown.event.take();
        if let Some(Ok(event)) = &event {
            shown.lacks_key = event::missing_key(&self.keys, event).is_some();
        }
        shown.event = event.map(|event| event.and_then(|event| self.open_event(event)));
        let deliveries = shown.deliveries.into_iter();
        shown.deliveries = deliveries.map(|one| self.open_listed(one)).collect();
        for attempt in &mut shown.attempts {
            let mut deliveries = shown.deliveries.iter();
            let delivery = deliveries.find(|one| one.delivery == attempt.delivery);
            let of = StoredDelivery {
                event: &id,
                number: attempt.delivery,
                is_replay: delivery.is_none_or(|one| one.replayed),
            };
            attempt.reason = self.open_reason(of, &attempt.reason);
            let record = std::mem::take(&mut attempt.record);
            attempt.record = match values::open_record(&self.keys, (of, attempt.number), record) {
                Ok(record) => record,
                Err(error) => {
                    if attempt.reason.is_empty() {
                        attempt.reason = shown_instead(error);
                    }
                    Value::Null
                }
            };
        }
        shown
    }
}
