//! Learns from some events of one hook, on a thread for blocking work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::http::header::CONTENT_TYPE;
use landfall_model::Event;
use landfall_model::clock::to_ms;
use landfall_shape::{Difference, Learned, Rules, Sample};

use super::memory::{Kept, UnsavedPart};

/// Events of one hook that are learned outside of the executor.
pub(crate) struct Job {
    pub(crate) shapes: BTreeMap<String, Kept>,
    pub(crate) events: Vec<(String, Event)>,
    pub(crate) rules: Rules,
}

/// What came of a job.
pub(crate) struct Done {
    pub(crate) shapes: BTreeMap<String, Kept>,
    /// Types whose shape, or differences, have changed.
    pub(crate) changed: BTreeSet<String>,
    /// New differences, with their event types.
    pub(crate) found: Vec<(String, Difference)>,
    pub(crate) learned: u64,
    pub(crate) skipped: u64,
    pub(crate) spent: Duration,
}

// === impl Job ===

impl Job {
    pub(crate) fn run(self) -> Done {
        let begun = Instant::now();
        let mut done = Done {
            shapes: self.shapes,
            changed: BTreeSet::new(),
            found: Vec::new(),
            learned: 0,
            skipped: 0,
            spent: Duration::ZERO,
        };
        for (event_type, event) in self.events {
            let Some(kept) = done.shapes.get_mut(&event_type) else {
                continue;
            };
            let shape = &mut kept.shape;
            kept.unsaved = kept.unsaved.max(UnsavedPart::Counts);
            let (before, id) = (shape.differences().len(), event.id.to_string());
            let content_type = event.headers.get(CONTENT_TYPE);
            let sample = Sample {
                event: &id,
                body: &event.body,
                content_type: content_type.and_then(|value| value.to_str().ok()),
                at_ms: to_ms(event.received_at),
            };
            let learned = shape.learn(&sample, &self.rules);
            let new = shape.differences().iter().skip(before);
            done.found
                .extend(new.map(|new| (event_type.clone(), new.clone())));
            match learned {
                Learned::Skipped(why) => {
                    done.skipped += 1;
                    let hook = &*event.hook;
                    tracing::debug!(hook, event = id, why, "the body of an event is not learned");
                }
                Learned::Counted => done.learned += 1,
                Learned::Changed => {
                    done.learned += 1;
                    done.changed.insert(event_type);
                }
            }
        }
        done.spent = begun.elapsed();
        done
    }
}
