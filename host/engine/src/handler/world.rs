//! What surrounds an attempt: the world itself, of which a recording may be made, or a recording
//! that stands for it.

use std::sync::Arc;

use crate::recorded_world::RecordedWorld;
use crate::recorder::Recorder;
use landfall_model::Outcome;

/// What surrounds one attempt, and whether it is recorded.
pub(super) struct World {
    pub(super) recorder: Recorder,
    /// The attempt is recorded even if it ends as `done`.
    pub(super) keeps_success: bool,
    /// The recording that answers the component. `None`: the world itself.
    pub(super) recorded: Option<Arc<RecordedWorld>>,
}

// === impl World ===

impl World {
    /// The world itself, of which nothing is recorded.
    pub(super) const UNRECORDED: World = World {
        recorder: Recorder::OFF,
        keeps_success: false,
        recorded: None,
    };

    /// Whether the recording of an attempt with this outcome is kept.
    pub(super) fn keeps(&self, outcome: &Outcome) -> bool {
        let is_success = matches!(outcome, Outcome::Done(_));
        self.recorder.is_on() && (self.keeps_success || !is_success)
    }
}
