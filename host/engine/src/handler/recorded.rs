//! Runs on the recording of an attempt: of `try`, and of shadows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Handler;
use super::world::World;
use crate::alike::masked_alike;
use crate::poll_budget::PollBudget;
use crate::recorded_world::RecordedWorld;
use crate::recorder::Recorder;
use landfall_model::{Attempt, Event, RecordedRun, Recording};

/// A shadow run that has ended.
pub struct ShadowRun {
    /// The run.
    pub run: RecordedRun,
    /// The processor time that it had, and the time that it waited by itself. The rest of its
    /// duration, it waited for a processor.
    pub own_time: Duration,
    /// It was ended at its limit.
    pub is_over: bool,
}

// === impl Handler ===

impl Handler {
    /// Runs an event on the recording of one of its attempts: outbound calls, `kv`, clocks, random
    /// numbers, settings and environment are the recorded ones, and no effect is applied. `event`
    /// is the stored event. The grants are those of this handler.
    pub async fn run_recorded(
        self: &Arc<Self>,
        event: &Event,
        recording: Arc<Recording>,
        limit: Duration,
    ) -> RecordedRun {
        let number = recording.attempt;
        let (world, recorded) = self.recorded_world(event, recording);
        let event = Arc::new(recorded.event(event));
        let attempt = self.run_in(world, event, number, limit).await;
        recorded_run(attempt, &recorded)
    }

    /// As `run_recorded`, in time that nothing else needs. Takes no permit: the caller bounds how
    /// many run. `None`: the host has panicked.
    pub async fn run_shadow(
        self: &Arc<Self>,
        event: Arc<Event>,
        recording: Arc<Recording>,
        limit: Duration,
    ) -> Option<ShadowRun> {
        let number = recording.attempt;
        // Masking reads the whole event and all of the run: that is no work for the executor.
        let handler = self.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            let (world, recorded) = handler.recorded_world(&event, recording);
            let event = Arc::new(recorded.event(&event));
            (world, recorded, event)
        });
        let (world, recorded, event) = prepared.await.ok()?;

        let budget = PollBudget::new(limit, self.runtime.slice);
        let attempt = self.clone().attempt(world, event, number, budget.clone());
        let attempt = Box::pin(attempt);
        let pool = &self.runtime.background;
        let attempt = pool.run_late(&self.schedule, &budget, attempt).await;
        let is_over = Instant::now() >= budget.until();
        let own_time = budget.own_time();

        let run = tokio::task::spawn_blocking(move || recorded_run(attempt, &recorded));
        Some(ShadowRun {
            run: run.await.ok()?,
            own_time,
            is_over,
        })
    }

    fn recorded_world(
        &self,
        event: &Event,
        recording: Arc<Recording>,
    ) -> (World, Arc<RecordedWorld>) {
        let settings = self.settings.table();
        let recorded = RecordedWorld::new(recording, event, settings, self.redaction.clone());
        let memory = self.runtime.recordings.clone().unwrap_or_default();
        let world = World {
            recorder: Recorder::new(&memory),
            keeps_success: true,
            recorded: Some(recorded.clone()),
        };
        (world, recorded)
    }
}

/// The run of an attempt on a recording, masked.
fn recorded_run(attempt: Attempt, recorded: &RecordedWorld) -> RecordedRun {
    let recording = attempt.recording.map(|recording| recording.finish());
    let run = RecordedRun {
        recording: recording.unwrap_or_default(),
        missing: recorded.missing(),
    };
    masked_alike(recorded.recording(), run)
}
