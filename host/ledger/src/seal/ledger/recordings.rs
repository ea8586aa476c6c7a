//! Seals and opens the recordings of attempts.

use super::SealedLedger;
use crate::recordings::{NewRecording, RecordedAttempt, StoredRecording};
use crate::seal::values::{self, OfDelivery, StoredDelivery};

// === impl SealedLedger ===

impl SealedLedger {
    pub(super) fn seal_recordings(&self, new: Vec<NewRecording>) -> Vec<NewRecording> {
        if !self.encrypts() {
            return new;
        }
        let sealed = new.into_iter().map(|one| {
            let delivery = match one.of {
                RecordedAttempt::OfLease(fence) => OfDelivery::Number(fence.delivery),
                RecordedAttempt::FirstOf(_) => OfDelivery::First,
            };
            let of = (&one.event, delivery, one.of.number());
            let recording = values::seal_recording(&self.keys, of, &one.recording);
            NewRecording { recording, ..one }
        });
        sealed.collect()
    }

    pub(super) fn open_recording(&self, one: &mut StoredRecording) {
        let event = one.event.take();
        one.event = event.and_then(|event| self.open_event(event).ok());
        let stored = std::mem::take(&mut one.recording);
        // Without its event, it can neither be opened nor be run.
        let opened = one.event.as_ref().map(|event| {
            let of = StoredDelivery {
                event: &event.id,
                number: one.delivery,
                is_replay: one.is_replay,
            };
            values::open_recording(&self.keys, (of, one.attempt), stored)
        });
        one.recording = opened.and_then(Result::ok).unwrap_or_default();
    }
}
