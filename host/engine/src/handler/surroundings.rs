//! What an attempt gets from its world, and what its recording says of that.

use std::sync::Arc;

use wasmtime::Store;

use super::Handler;
use super::world::World;
use crate::caps::settings::Settings;
use crate::environment::{EnvironmentError, Resolved};
use crate::masking;
use crate::recorder::Recorder;
use crate::recording::Given;
use crate::sources::Sources;
use crate::state::AttemptState;
use landfall_egress::Redactor;
use landfall_model::{Event, Outcome};

// === impl Handler ===

impl Handler {
    /// Whether `[record]` of the hook keeps the recording of an attempt with this outcome.
    pub fn keeps_recording(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Done(_) => self.record.takes_success(chance),
            _ => self.record.failures || self.record.takes_success(chance),
        }
    }

    /// The world of an attempt of a node. That of a batch is not recorded: its recording would
    /// belong to one of its events.
    pub(super) fn world(&self, event: &Event) -> World {
        if landfall_flow::is_batch(event) {
            return World::UNRECORDED;
        }

        let keeps_success = self.record.takes_success(chance);
        let memory = self.runtime.recordings.as_ref();
        let recorder = match memory.filter(|_| keeps_success || self.record.failures) {
            Some(memory) => Recorder::new(memory),
            None => Recorder::OFF,
        };
        World {
            recorder,
            keeps_success,
            recorded: None,
        }
    }

    /// The environment of the component.
    pub(super) fn environment_in(&self, world: &World) -> Result<Resolved, EnvironmentError> {
        match &world.recorded {
            None => self.environment.resolve(),
            Some(recorded) => Ok(Resolved {
                variables: recorded.environment(),
                redactor: masking::placeholder(),
            }),
        }
    }

    /// What the attempt in this store was given.
    pub(super) fn given(
        &self,
        store: &Store<AttemptState>,
        world: &World,
        event: Arc<Event>,
        number: u32,
    ) -> Given {
        let state = store.data();
        Given {
            event,
            number,
            component: self.inspected.digest.to_string(),
            settings: state.settings.table().clone(),
            environment: state.environment().to_vec(),
            secrets: self.secrets_of(store, world),
            redaction: self.redaction.clone(),
        }
    }

    /// What is removed from the recording of the attempt in this store.
    fn secrets_of(&self, store: &Store<AttemptState>, world: &World) -> Arc<Redactor> {
        let known = store.data().log.lines().redactor();
        match &world.recorded {
            Some(recorded) => recorded.with_filled(known),
            None => known,
        }
    }

    /// The clocks and the random numbers of the component.
    pub(super) fn sources_in(&self, world: &World) -> Sources {
        let recorder = &world.recorder;
        match (&world.recorded, self.runtime.fixed) {
            (Some(recorded), _) => Sources::Recorded(recorded.clone(), recorder.clone()),
            (None, Some(fixed)) => Sources::Fixed(fixed),
            (None, None) if recorder.is_on() => {
                Sources::Recording(recorder.clone(), self.runtime.clock)
            }
            (None, None) => Sources::Machine,
        }
    }

    pub(super) fn settings_in(&self, world: &World) -> Settings {
        match &world.recorded {
            None => self.settings.clone(),
            Some(recorded) => Settings::new(recorded.settings(self.settings.table())),
        }
    }
}

/// A random number from 0 to 1, without 1.
fn chance() -> f64 {
    let number = u32::from_le_bytes(landfall_model::random_bytes());
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}
