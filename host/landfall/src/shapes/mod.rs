//! Learns the shapes of events: reads stored events some time after they were answered, and keeps
//! what it learns in the ledger. No request waits for it, and of the nodes that share a ledger, one
//! learns from the events of all.

mod admin;
mod differences;
mod forgetting;
mod job;
mod learning;
mod look_error;
mod memory;
mod orders;
mod rules;
mod saving;
mod store;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_config::NodeShapeTable;
use landfall_hooks::Hooks;
use landfall_ledger::{Lead, Ledger};
use landfall_model::clock::to_ms;
use landfall_model::{Clock, lock};
use landfall_watch::ShapeReading;
use tokio::sync::Notify;

use self::look_error::{LookError, led};
use self::memory::Memory;
use self::store::{HookState, LEAD, OpenDifferences, ShapeStore};

pub(crate) use self::admin::ShapesOfNode;

/// Another node learns after so many intervals,
const LEAD_INTERVALS: u32 = 4;
/// and after this time.
const LEAD_MIN: Duration = Duration::from_secs(5);
/// Counts are saved every so many looks; changes of shapes at once.
const SAVE_LOOKS: u64 = 4;
/// Those of shapes that are known and have no difference, every so many looks.
const SAVE_KNOWN_LOOKS: u64 = 20;
/// A node that does not learn reads this often what the other one knows.
const READ_EVERY: Duration = Duration::from_secs(30);

/// The learned shapes of a node.
pub(crate) struct Shapes {
    settings: NodeShapeTable,
    ledger: Arc<dyn Ledger>,
    store: ShapeStore,
    hooks: Hooks,
    clock: Clock,
    /// What is known of each hook. `None`: it was not read yet.
    states: Mutex<Option<BTreeMap<String, HookState>>>,
    /// When it was read last because another node learns.
    read: Mutex<Option<Instant>>,
    wake: Notify,
    stops: AtomicBool,
    counts: Counts,
}

/// Events since the start of the node.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) learned: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) untyped: AtomicU64,
}

// === impl Shapes ===

impl Shapes {
    pub(crate) fn new(
        settings: NodeShapeTable,
        ledger: Arc<dyn Ledger>,
        hooks: Hooks,
        clock: Clock,
    ) -> Shapes {
        Shapes {
            settings,
            store: ShapeStore::new(ledger.clone()),
            ledger,
            hooks,
            clock,
            states: Mutex::default(),
            read: Mutex::default(),
            wake: Notify::new(),
            stops: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// What was counted since the start.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How the events of a hook differ from what was learned. `None`: that is not known yet.
    pub(crate) fn differences(&self, hook: &str) -> Option<ShapeReading> {
        let served = self.hooks.named(hook)?;
        if self.rules(&served).is_none() {
            return Some(ShapeReading::default());
        }
        let states = lock(&self.states);
        let state = states.as_ref()?.get(hook);
        let open = state.into_iter().flat_map(|state| state.types.values());
        let open: Vec<&OpenDifferences> = open.filter_map(|one| one.open.as_ref()).collect();
        let first = open.iter().min_by_key(|one| one.first_ms);
        Some(ShapeReading {
            open: open.iter().map(|one| one.count).sum(),
            first: first.map(|one| one.sentence.clone()).unwrap_or_default(),
        })
    }

    /// The number of event types of a hook that are learned.
    pub(crate) fn types(&self, hook: &str) -> usize {
        let states = lock(&self.states);
        let state = states.as_ref().and_then(|states| states.get(hook));
        state.map_or(0, |state| state.types.len())
    }

    /// Whether the events of a hook are learned.
    pub(crate) fn is_learned(&self, hook: &str) -> bool {
        let hook = self.hooks.named(hook);
        hook.is_some_and(|hook| self.rules(&hook).is_some())
    }

    /// Looks at every interval, until `stop` is called.
    pub(crate) async fn run(self: Arc<Shapes>) {
        let mut memory = None;
        while !self.stops.load(Ordering::Relaxed) {
            // Before that, hooks are missing that exist.
            if self.hooks.is_complete() {
                memory = self.step(memory).await;
            }
            let interval = self.settings.interval.0;
            tokio::time::timeout(interval, self.wake.notified())
                .await
                .ok();
        }

        if let Some(mut memory) = memory {
            self.save_all(&mut memory).await.ok();
            // Another node may learn at once.
            self.ledger.lead(LEAD, Duration::ZERO).await.ok();
        }
    }

    /// Ends `run`, which saves what is not saved.
    pub(crate) fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// One look, if this node learns. Returns what it remembers then.
    async fn step(&self, memory: Option<Memory>) -> Option<Memory> {
        let lasts = LEAD_MIN.max(self.settings.interval.0 * LEAD_INTERVALS);
        let lead = match self.ledger.lead(LEAD, lasts).await {
            Ok(lead) => lead,
            // What is in memory may still be the newest.
            Err(_) => return memory,
        };
        let mut memory = match memory.filter(|_| lead == Lead::Held) {
            Some(memory) => memory,
            None => self.restored(lead).await?,
        };

        match self.look(&mut memory).await {
            Ok(()) => {}
            Err(LookError::Ledger(error)) => {
                tracing::warn!(%error, "shapes cannot be learned now");
            }
            Err(LookError::Elsewhere) => {
                tracing::info!("another node learns the shapes by now");
                return None;
            }
        }
        if memory.take_news() {
            *lock(&self.states) = Some(memory.hooks.clone());
        }
        Some(memory)
    }

    /// What the ledger has, for a node that begins to learn. `None`: another node learns, or the
    /// ledger does not answer.
    async fn restored(&self, lead: Lead) -> Option<Memory> {
        if !lead.is_own() {
            let mut read = lock(&self.read);
            if read.is_some_and(|at| at.elapsed() < READ_EVERY) {
                return None;
            }
            *read = Some(Instant::now());
        }

        match self.store.states().await {
            Ok(hooks) => {
                *lock(&self.states) = Some(hooks.clone());
                lead.is_own().then(|| Memory::of(hooks))
            }
            Err(error) => {
                tracing::warn!(%error, "the learned shapes cannot be read yet");
                None
            }
        }
    }

    async fn look(&self, memory: &mut Memory) -> Result<(), LookError> {
        memory.looks += 1;
        let now_ms = to_ms(self.clock.now());
        self.carry_out_orders(memory).await?;
        self.close_differences(memory, now_ms).await?;
        self.learn_all(memory, now_ms).await?;
        while let Some((hook, event_type)) = memory.evicted.pop() {
            led(self.store.put_shape(&hook, &event_type, None).await?)?;
        }
        self.forget_missing(memory, now_ms).await?;

        if memory.looks.is_multiple_of(SAVE_KNOWN_LOOKS) {
            self.save_all(memory).await?;
        } else if memory.looks.is_multiple_of(SAVE_LOOKS) {
            for hook in memory.due_hooks() {
                self.save(memory, &hook).await?;
            }
        }
        self.limit_memory(memory).await
    }
}
