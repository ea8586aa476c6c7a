//! Events of the node itself, such as alarms: they are stored and run like emitted events.

use landfall_model::Emission;

use super::dispatcher::Dispatcher;
use super::error::DispatchError;
use super::results::emitted_by;

impl Dispatcher {
    /// Stores an event that no handler has emitted, for the hook that it names. `by` is a name that
    /// no hook can have, such as `_watch`. Of several events with the same key, one is stored.
    /// Returns when the event is on stable storage, or in the broker. Fails while the rules of
    /// `[redact]` of the hook are not known: the caller emits it again later.
    pub async fn emit_own(&self, by: &str, emission: Emission) -> Result<(), DispatchError> {
        let new = self
            .new_event(emission, emitted_by(by, 1))
            .map_err(DispatchError::UnknownRules)?;
        self.work.accept(new, Default::default()).await.map(drop)
    }
}
