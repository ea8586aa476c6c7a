//! Opens what the steps of a delivery return: events to run, and the reply and the reason of an
//! earlier delivery.

use super::{SealedLedger, refused, shown_instead};
use crate::error::LedgerError;
use crate::seal::event;
use crate::seal::keys::{NotOpened, sealed_by, sealed_text};
use crate::seal::values::{self, StoredDelivery};
use crate::shown::{Filter, Listed, Pick};
use crate::steps::{Accepted, AlreadyEnded, Started};
use crate::traits::History;
use landfall_model::{Corrupt, Event, EventId};

// === impl SealedLedger ===

impl SealedLedger {
    pub(super) fn open_event(&self, event: Event) -> Result<Event, Corrupt> {
        let id = event.id;
        event::open(&self.keys, event).map_err(|error| {
            // What lacks a key is said where it is shown.
            let is_damaged = error == NotOpened::Damaged;
            let error = refused(error);
            if is_damaged {
                tracing::error!(event = %id, %error, "an encrypted event cannot be read");
            }
            Corrupt
        })
    }

    /// The same for an event to run. Without its key it stays encrypted: another node may have the
    /// key, and it must not become a dead letter.
    pub(super) fn open_claimed(&self, event: Event) -> Result<Event, Corrupt> {
        match event::missing_key(&self.keys, &event) {
            Some(_) => Ok(event),
            None => self.open_event(event),
        }
    }

    pub(super) async fn open_accepted(&self, accepted: Accepted) -> Accepted {
        match accepted {
            Accepted::Duplicate {
                of,
                reply: Some(reply),
            } if sealed_by(&reply).is_some() => Accepted::Duplicate {
                of,
                reply: self.open_reply(of, &reply).await,
            },
            accepted => accepted,
        }
    }

    /// `id`: the event that was to start.
    pub(super) async fn open_started(
        &self,
        id: EventId,
        started: Started,
    ) -> Result<Started, LedgerError> {
        Ok(match started {
            // Of the latest delivery.
            Started::AlreadyEnded(AlreadyEnded::Dead(why)) if sealed_text(&why).is_some() => {
                let latest = self.latest(id).await?;
                let why = latest.and_then(|latest| latest.reason);
                Started::AlreadyEnded(AlreadyEnded::Dead(why.unwrap_or_default()))
            }
            started => started,
        })
    }

    /// What people see of the reason of a delivery or attempt.
    pub(super) fn open_reason(&self, of: StoredDelivery<'_>, reason: &str) -> String {
        values::open_reason(&self.keys, of, reason).unwrap_or_else(shown_instead)
    }

    /// The reply of the latest delivery of an event. `None`: it cannot be opened, so that the
    /// caller gets the accepted answer.
    async fn open_reply(&self, event: EventId, reply: &[u8]) -> Option<Vec<u8>> {
        let latest = self.latest(event).await.ok().flatten()?;
        let of = StoredDelivery {
            event: &event,
            number: latest.delivery,
            is_replay: latest.replayed,
        };
        values::open_reply(&self.keys, of, reply).ok()
    }

    /// The latest delivery of an event.
    async fn latest(&self, event: EventId) -> Result<Option<Listed>, LedgerError> {
        let filter = Filter {
            event: Some(event),
            pick: Pick::Latest,
            limit: 1,
            ..Filter::default()
        };
        let found = self.list(filter).await?;
        Ok(found.into_iter().next())
    }
}
