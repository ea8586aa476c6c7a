//! Learns from the newest events of each hook.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use landfall_ledger::{Filter, Parts};
use landfall_model::{Event, printable_start};
use landfall_shape::{BODY_MAX, Rules, TYPE_BYTES_MAX, TYPES_MAX};

use super::Shapes;
use super::job::{Done, Job};
use super::look_error::LookError;
use super::memory::Memory;

/// A hook without a new request is looked at every so many looks: its events may come from other
/// nodes, or from handlers.
const QUIET_LOOKS: u64 = 4;
/// Bodies that are read of one hook at a time, in bytes: 8 MiB.
const BODIES_MAX: i64 = 8 << 20;

// === impl Shapes ===

impl Shapes {
    pub(super) async fn learn_all(
        &self,
        memory: &mut Memory,
        now_ms: i64,
    ) -> Result<(), LookError> {
        let names = self.hooks.names();
        let start = names.partition_point(|name| **name <= *memory.last);
        let mut spent = Duration::ZERO;
        for name in names[start..].iter().chain(&names[..start]) {
            let Some(hook) = self.hooks.named(name) else {
                continue;
            };
            let Some(rules) = self.rules(&hook) else {
                continue;
            };
            let requests = hook.metrics.activity().requests;
            let is_quiet = memory.counted.insert(name.to_string(), requests) == Some(requests);
            if is_quiet && !memory.looks.is_multiple_of(QUIET_LOOKS) {
                continue;
            }

            spent += self.learn(memory, name, rules, now_ms).await?;
            self.limit_memory(memory).await?;
            if spent >= self.settings.budget.0 {
                memory.last = name.to_string();
                break;
            }
        }
        Ok(())
    }

    /// Learns from the newest events of one hook. Returns the time that this took.
    async fn learn(
        &self,
        memory: &mut Memory,
        hook: &str,
        rules: Rules,
        now_ms: i64,
    ) -> Result<Duration, LookError> {
        let position = memory.hooks.get(hook).map_or(0, |state| state.position);
        let filter = Filter {
            hook: Some(hook.to_owned()),
            floor: Some(position + 1),
            limit: self.settings.sample,
            ..Filter::default()
        };
        let listed = self.ledger.list(filter).await?;
        let Some(newest) = listed.first().map(|one| one.delivery) else {
            return Ok(Duration::ZERO);
        };

        let mut bytes = 0;
        let mut numbers = Vec::new();
        for one in listed.iter().filter(|one| !one.replayed) {
            if one.body_bytes > BODY_MAX as i64 {
                self.counts.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            bytes += one.body_bytes;
            if bytes > BODIES_MAX {
                break;
            }
            numbers.push(one.delivery);
        }
        let parts = Parts {
            event: true,
            ..Parts::default()
        };
        let mut contents = self.ledger.contents(numbers.clone(), parts).await?;
        numbers.reverse();
        let events: Vec<Event> = numbers
            .iter()
            .filter_map(|number| contents.remove(number)?.event)
            // Those of a search come from the provider's API, which may write them otherwise.
            .filter(|event| event.attribute("reconciled").is_none())
            .collect();

        let state = memory.hooks.entry(hook.to_owned()).or_default();
        state.position = newest;
        memory.unsaved.insert(hook.to_owned());
        let events = self.typed(memory, hook, events, now_ms);
        for (event_type, _) in &events {
            self.load(memory, hook, event_type).await?;
        }
        // They are moved, not copied, and `keep` moves them back.
        let mut shapes = BTreeMap::new();
        for (event_type, _) in &events {
            if let Some(kept) = memory.take(hook, event_type) {
                shapes.insert(event_type.clone(), kept);
            }
        }
        let job = Job {
            shapes,
            events,
            rules,
        };
        match tokio::task::spawn_blocking(move || job.run()).await {
            Ok(done) => self.keep(memory, hook, done).await,
            // The shapes are read from the ledger again.
            Err(error) => {
                tracing::error!(hook, %error, "events cannot be learned");
                Ok(self.settings.budget.0)
            }
        }
    }

    /// The events with their types. Those of a type for which there is no room are left out.
    fn typed(
        &self,
        memory: &mut Memory,
        hook: &str,
        events: Vec<Event>,
        now_ms: i64,
    ) -> Vec<(String, Event)> {
        let mut typed = Vec::with_capacity(events.len());
        for event in events {
            let event_type = event.attribute("event-type").unwrap_or_default().to_owned();
            if memory.makes_room(hook, &event_type, now_ms) {
                typed.push((event_type, event));
                continue;
            }
            self.counts.untyped.fetch_add(1, Ordering::Relaxed);
            if memory.warned.insert(hook.to_owned()) {
                tracing::warn!(
                    hook,
                    event_type = printable_start(&event_type, TYPE_BYTES_MAX),
                    "the shapes of some event types of this hook are not learned: at most {TYPES_MAX} are, with names of at most \
                     {TYPE_BYTES_MAX} bytes"
                );
            }
        }
        typed
    }

    async fn keep(
        &self,
        memory: &mut Memory,
        hook: &str,
        done: Done,
    ) -> Result<Duration, LookError> {
        let counts = &self.counts;
        counts.learned.fetch_add(done.learned, Ordering::Relaxed);
        counts.skipped.fetch_add(done.skipped, Ordering::Relaxed);
        for (event_type, difference) in &done.found {
            let event = &difference.event;
            tracing::info!(
                hook,
                event_type,
                event,
                "an event differs from its shape: {difference}"
            );
        }
        for (event_type, kept) in done.shapes {
            memory.put_back(hook, event_type, kept);
        }
        for event_type in &done.changed {
            memory.note_change(hook, event_type);
        }
        if !done.changed.is_empty() {
            self.save(memory, hook).await?;
        }
        Ok(done.spent)
    }
}
