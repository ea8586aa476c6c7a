//! Learns the shapes of events: reads stored events some time after they were answered, and keeps
//! what it learns in the ledger. No request waits for it, and of the nodes that share a ledger, one
//! learns from the events of all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_config::NodeShapeTable;
use landfall_hooks::{Hook, Hooks};
use landfall_ledger::{Filter, Lead, Ledger, LedgerError, Parts};
use landfall_model::clock::to_ms;
use landfall_model::{Clock, Event, EventId, lock};
use landfall_shape::{BODY_MAX, Closed, Rules, Shape, TYPE_BYTES_MAX, TYPES_MAX};
use landfall_watch::ShapeReading;
use tokio::sync::Notify;

use crate::shape_job::{Done, Job};
use crate::shape_memory::Memory;
use crate::shape_store::{HookState, LEAD, OpenDifferences, Order, ShapeStore};

/// Another node learns after so many intervals,
const LEAD_INTERVALS: u32 = 4;
/// and after this time.
const LEAD_MIN: Duration = Duration::from_secs(5);
/// A hook without a new request is looked at every so many looks: its events may come from other
/// nodes, or from handlers.
const QUIET_LOOKS: u64 = 4;
/// Bodies that are read of one hook at a time, in bytes: 8 MiB.
const BODIES_MAX: i64 = 8 << 20;
/// Shapes that are kept in memory, in bytes: 32 MiB. Others are read again.
const MEMORY_MAX: usize = 32 << 20;
/// Counts are saved every so many looks; changes of shapes at once.
const SAVE_LOOKS: u64 = 4;
/// A node that does not learn reads this often what the other one knows.
const READ_EVERY: Duration = Duration::from_secs(30);
/// A hook that is missing for this long, and has no delivery, is forgotten,
const MISSING_MAX_MS: i64 = 600_000;
/// after this time also if it has some.
const GONE_MAX_MS: i64 = 86_400_000;
/// How often an order is looked for until it was carried out, and how long in all.
const ORDER_POLL: Duration = Duration::from_millis(50);
const ORDER_POLLS: usize = 100;

/// The learned shapes of a node.
pub(crate) struct Shapes {
    settings: NodeShapeTable,
    ledger: Arc<dyn Ledger>,
    pub(crate) store: ShapeStore,
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

/// Why a look ended early.
enum LookError {
    Ledger(LedgerError),
    /// Another node learns by now.
    Elsewhere,
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

    /// Stores an order for the node that learns, and waits some seconds until it was carried out.
    /// Returns whether it was.
    pub(crate) async fn give(&self, hook: &str, order: Order) -> Result<bool, LedgerError> {
        let number = EventId::new(self.clock.now());
        let key = self.store.add_order(hook, number, &order).await?;
        self.wake.notify_one();
        for _ in 0..ORDER_POLLS {
            if !self.store.has_order(&key).await? {
                return Ok(true);
            }
            tokio::time::sleep(ORDER_POLL).await;
        }
        Ok(false)
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
        *lock(&self.states) = Some(memory.hooks.clone());
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
                lead.is_own().then(|| Memory {
                    hooks,
                    ..Memory::default()
                })
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

        if memory.looks.is_multiple_of(SAVE_LOOKS) {
            self.save_all(memory).await?;
        }
        self.limit_memory(memory).await
    }

    /// Saves and drops all shapes if they use too much memory.
    async fn limit_memory(&self, memory: &mut Memory) -> Result<(), LookError> {
        let bytes: usize = memory.kept().map(|kept| kept.bytes).sum();
        if bytes > MEMORY_MAX {
            self.save_all(memory).await?;
            memory.shapes.clear();
        }
        Ok(())
    }

    async fn learn_all(&self, memory: &mut Memory, now_ms: i64) -> Result<(), LookError> {
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
        let mut shapes = BTreeMap::new();
        for (event_type, _) in &events {
            if !shapes.contains_key(event_type) {
                self.load(memory, hook, event_type).await?;
                let kept = memory.kept_mut(hook, event_type);
                let shape = kept.map(|kept| kept.shape.clone());
                shapes.insert(event_type.clone(), shape.unwrap_or_default());
            }
        }
        let job = Job {
            shapes,
            events,
            rules,
        };
        match tokio::task::spawn_blocking(move || job.run()).await {
            Ok(done) => self.keep(memory, hook, done).await,
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
                    event_type,
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
        for (event_type, shape) in done.shapes {
            memory.put(hook, event_type.clone(), shape);
            memory.note_change(hook, &event_type);
        }
        if !done.changed.is_empty() {
            self.save(memory, hook).await?;
        }
        Ok(done.spent)
    }

    async fn close_differences(&self, memory: &mut Memory, now_ms: i64) -> Result<(), LookError> {
        for (hook, event_type) in memory.open_types() {
            let served = self.hooks.named(&hook);
            let rules = served.and_then(|served| self.rules(&served));
            let rules = rules.unwrap_or_else(|| self.node_rules());
            self.limit_memory(memory).await?;
            self.load(memory, &hook, &event_type).await?;
            let Some(kept) = memory.kept_mut(&hook, &event_type) else {
                continue;
            };
            let closed = kept.shape.close_differences(now_ms, &rules);
            // A shape that was damaged is learned anew: what was open is not any more.
            let is_anew = kept.shape.differences().is_empty();
            if closed.is_empty() && !is_anew {
                continue;
            }

            for (difference, why) in &closed {
                let why = match why {
                    Closed::Over => "the last events do not have it",
                    Closed::Adopted => "it is a part of the shape by now",
                };
                tracing::info!(
                    hook,
                    event_type,
                    "a difference from the shape has ended: {difference}: {why}"
                );
            }
            memory.note_change(&hook, &event_type);
            self.save(memory, &hook).await?;
        }
        Ok(())
    }

    async fn carry_out_orders(&self, memory: &mut Memory) -> Result<(), LookError> {
        for stored in self.store.orders().await? {
            let hook = &stored.hook;
            if let Some(order) = &stored.order {
                tracing::info!(hook, ?order, "an operator changes the shapes of a hook");
                self.carry_out(memory, hook, order).await?;
            }
            led(self.store.end_order(stored.key).await?)?;
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        memory: &mut Memory,
        hook: &str,
        order: &Order,
    ) -> Result<(), LookError> {
        let Some(state) = memory.hooks.get(hook) else {
            return Ok(());
        };
        let types = state.types.keys().filter(|one| order.is_about(one));
        let types: Vec<String> = types.cloned().collect();
        for event_type in types {
            match order {
                Order::Accept { .. } => {
                    self.load(memory, hook, &event_type).await?;
                    if let Some(kept) = memory.kept_mut(hook, &event_type) {
                        kept.shape.accept();
                        memory.note_change(hook, &event_type);
                    }
                }
                Order::Forget { .. } => {
                    memory.drop_type(hook, &event_type);
                    led(self.store.put_shape(hook, &event_type, None).await?)?;
                }
            }
        }
        self.save(memory, hook).await
    }

    /// Forgets hooks that are gone.
    async fn forget_missing(&self, memory: &mut Memory, now_ms: i64) -> Result<(), LookError> {
        let names = self.hooks.names();
        let present: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
        let known: Vec<String> = memory.hooks.keys().cloned().collect();
        for hook in known {
            let Some(state) = memory.hooks.get_mut(&hook) else {
                continue;
            };
            if present.contains(hook.as_str()) {
                if state.gone_ms.take().is_some() {
                    memory.unsaved.insert(hook);
                }
                continue;
            }

            let since = *state.gone_ms.get_or_insert(now_ms);
            memory.unsaved.insert(hook.clone());
            let gone = now_ms.saturating_sub(since);
            if gone >= GONE_MAX_MS || (gone >= MISSING_MAX_MS && self.is_purged(&hook).await?) {
                tracing::info!(hook, "the shapes of a hook that is gone are forgotten");
                memory.drop_hook(&hook);
                led(self.store.remove(&hook).await?)?;
            }
        }
        Ok(())
    }

    /// Whether the ledger has no delivery of the hook.
    async fn is_purged(&self, hook: &str) -> Result<bool, LedgerError> {
        let filter = Filter {
            hook: Some(hook.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        Ok(self.ledger.list(filter).await?.is_empty())
    }

    /// Reads the shape of a type into memory, if it is not there.
    async fn load(
        &self,
        memory: &mut Memory,
        hook: &str,
        event_type: &str,
    ) -> Result<(), LedgerError> {
        if memory.kept_mut(hook, event_type).is_none() {
            let stored = self.store.shape(hook, event_type).await?;
            let shape = stored.unwrap_or_else(Shape::new);
            memory.put(hook, event_type.to_owned(), shape);
        }
        Ok(())
    }

    async fn save_all(&self, memory: &mut Memory) -> Result<(), LookError> {
        while let Some(hook) = memory.unsaved.first().cloned() {
            self.save(memory, &hook).await?;
        }
        Ok(())
    }

    /// Saves the shapes of a hook that have changed, and then how far it was read.
    async fn save(&self, memory: &mut Memory, hook: &str) -> Result<(), LookError> {
        for (event_type, kept) in memory.shapes.get_mut(hook).into_iter().flatten() {
            if kept.is_unsaved {
                let shape = Some(&kept.shape);
                led(self.store.put_shape(hook, event_type, shape).await?)?;
                kept.is_unsaved = false;
            }
        }
        if let Some(state) = memory.hooks.get(hook) {
            led(self.store.put_state(hook, state).await?)?;
        }
        memory.unsaved.remove(hook);
        Ok(())
    }

    /// The rules of a hook. `None`: it is not learned.
    fn rules(&self, hook: &Hook) -> Option<Rules> {
        let (spec, node) = (&hook.spec.shape, self.node_rules());
        spec.learn.unwrap_or(self.settings.learn).then(|| Rules {
            min_events: spec.min_events.unwrap_or(node.min_events),
            min_ms: spec.min_time.map_or(node.min_ms, milliseconds),
            adopt_ms: spec.adopt_after.map_or(node.adopt_ms, milliseconds),
        })
    }

    fn node_rules(&self) -> Rules {
        Rules {
            min_events: self.settings.min_events as u64,
            min_ms: milliseconds(self.settings.min_time.0),
            adopt_ms: milliseconds(self.settings.adopt_after.0),
        }
    }
}

fn milliseconds(time: Duration) -> i64 {
    time.as_millis().try_into().unwrap_or(i64::MAX)
}

/// What was stored only if this node still learns.
fn led(is_stored: bool) -> Result<(), LookError> {
    if is_stored {
        Ok(())
    } else {
        Err(LookError::Elsewhere)
    }
}

// === impl LookError ===

impl From<LedgerError> for LookError {
    fn from(error: LedgerError) -> LookError {
        LookError::Ledger(error)
    }
}
