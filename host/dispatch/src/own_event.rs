//! Events of the node itself, such as alarms: they are stored and run like emitted events.

use landfall_model::Emission;

use super::dispatcher::Dispatcher;
use super::error::DispatchError;
use super::results::emitted_by;

impl Dispatcher {
    /// Stores an event that no handler has emitted, for the hook that it names. `by` is a name that
    /// no hook can have, such as `_watch`. Of several events with the same key, one is stored.
    /// Returns when the event is on stable storage, or in the broker.
    pub async fn emit_own(&self, by: &str, emission: Emission) -> Result<(), DispatchError> {
        let new = self.new_event(emission, emitted_by(by, 1));
        self.work.accept(new, Default::default()).await.map(drop)
    }
}
