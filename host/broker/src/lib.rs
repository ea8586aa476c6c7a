//! Who runs what, and how that ends. A `Lease` is the right to run one delivery; ending it consumes it. The state itself is in
//! the ledger; with a broker, events wait there (`carrier`), and the ledger keeps what became of them.
#![deny(unsafe_code)]

mod broker;
mod carrier;
mod cloud_tasks;
mod connect;
mod lanes;
mod nats;
mod parcel;
mod pubsub;
mod push;
mod rest;
mod seal;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

pub use broker::{Broker, Handle, Taker};
pub use carrier::{Arrival, Begun};
use carrier::{Carried, Carrier};
pub use connect::connect;
pub use parcel::{Parcel, Unopened};
pub use push::Handle as PushHandle;
pub use seal::Seal;

use landfall_ledger::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, Ledger, LedgerError, NewEvent,
    OpenState, Stored,
};
use landfall_model::{Clock, Event, EventId, LedgerTime, PushSpec};

/// The hook name under which refused messages are dead-lettered in the ledger.
pub const QUEUE: &str = landfall_ledger::UNDECODABLE;
const END_AGAIN: Duration = Duration::from_secs(1);
/// Between two extensions of the messages that a broker has handed to this node: a third of their deadline.
const BROKER_BEAT: Duration = Duration::from_secs(10);

/// The queue of one node, over its ledger.
pub struct Queue {
    ledger: Arc<dyn Ledger>,
    held: Arc<Mutex<HashSet<Fence>>>,
    /// When something may be due, by hook; whoever looks takes the entry out and puts the next one in.
    due: Mutex<HashMap<Arc<str>, LedgerTime>>,
    /// Rings when `due` changes.
    bell: tokio::sync::Notify,
    /// Where events wait, if not in the ledger.
    carrier: Option<Arc<Carrier>>,
    /// When the messages of the broker were extended last.
    broker_beaten: Mutex<Option<Instant>>,
}

/// The right to run one delivery, held on to while this lives. A lease that is dropped without a commit runs out by itself.
pub struct Lease {
    fence: Fence,
    event: Arc<Event>,
    ledger: Arc<dyn Ledger>,
    held: Arc<Mutex<HashSet<Fence>>>,
    /// By whom it was brought, if it was.
    carried: Option<Box<Carried>>,
}

/// What can be run now.
pub struct Due {
    /// The right to run it.
    pub lease: Lease,
    /// Of this delivery.
    pub replayed: bool,
}

// === impl Queue ===

impl Queue {
    /// Over this ledger, with events waiting in the broker if there is one; knows at once what an earlier start has left to do.
    pub async fn start(
        ledger: Arc<dyn Ledger>,
        broker: Option<Broker>,
    ) -> Result<Queue, LedgerError> {
        let due = ledger
            .hooks_with_work()
            .await?
            .into_iter()
            .map(|(hook, at)| (hook.into(), at))
            .collect();
        let carrier = broker.map(|broker| Arc::new(Carrier::new(ledger.clone(), broker)));
        Ok(Queue {
            ledger,
            held: Arc::default(),
            due: Mutex::new(due),
            bell: tokio::sync::Notify::new(),
            carrier,
            broker_beaten: Mutex::default(),
        })
    }

    /// The broker, if there is one.
    pub fn broker(&self) -> Option<&Arc<Broker>> {
        self.carrier.as_ref().map(|carrier| carrier.broker())
    }

    /// Whether events can be accepted, as far as is known.
    pub fn can_accept(&self) -> bool {
        self.ledger.can_accept() && self.broker().is_none_or(|broker| broker.is_there())
    }

    /// Stores an event, unless `given_up` becomes true before that is begun. Must be awaited to its end. With a lease where the caller
    /// runs the event.
    pub async fn accept(
        &self,
        new: NewEvent,
        given_up: Arc<AtomicBool>,
    ) -> Result<(Accepted, Option<Lease>), LedgerError> {
        if let Some(carrier) = &self.carrier {
            return Ok((carrier.accept(new, given_up).await?, None));
        }

        let event = new.stored.event().clone();
        let accepted = self.ledger.accept(new, given_up).await?;
        match &accepted {
            Accepted::New {
                fence: Some(fence), ..
            } => {
                let lease = self.lease(*fence, event);
                return Ok((accepted, Some(lease)));
            }
            Accepted::New { fence: None, .. }
            | Accepted::Joined {
                state: OpenState::Replayed,
                ..
            } => self.is_due(&event.hook, self.ledger.now()),
            Accepted::Joined { .. } | Accepted::Duplicate { .. } => {}
        }

        Ok((accepted, None))
    }

    /// Something of this hook may be run at that time.
    pub fn is_due(&self, hook: &Arc<str>, at: LedgerTime) {
        let mut due = self
            .due
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let earliest = due.entry(hook.clone()).or_insert(at);
        *earliest = at.min(*earliest);
        drop(due);
        self.bell.notify_one();
    }

    /// The hooks that may have something due now, in no order.
    pub fn hooks_due(&self) -> Vec<Arc<str>> {
        let now = self.ledger.now();
        let due = self
            .due
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        due.iter()
            .filter(|(_, at)| **at <= now)
            .map(|(hook, _)| hook.clone())
            .collect()
    }

    /// Wakes whoever waits.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Until something may be due, was said to be, or `longest` has passed.
    pub async fn wait(&self, longest: Duration) {
        let now = self.ledger.now();
        let next = {
            let due = self
                .due
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            due.values()
                .filter(|at| **at > now)
                .map(|at| now.until(*at))
                .min()
        };
        let time = next
            .map_or(longest, |next| next.min(longest))
            .max(Duration::from_millis(1));
        tokio::time::timeout(time, self.bell.notified()).await.ok();
    }

    /// Takes what is due: of each hook up to its number.
    pub async fn claim(
        &self,
        hooks: Vec<(Arc<str>, usize)>,
    ) -> Result<Vec<(Arc<str>, Vec<Due>)>, LedgerError> {
        {
            // Whatever comes from now on rings again.
            let mut due = self
                .due
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            for (hook, _) in &hooks {
                due.remove(hook);
            }
        }
        let claims = match self.ledger.claim(hooks.clone()).await {
            Ok(claims) => claims,
            Err(error) => {
                hooks.iter().for_each(|(hook, _)| {
                    self.is_due(hook, self.ledger.now().plus(Duration::from_secs(1)))
                });
                return Err(error);
            }
        };
        landfall_model::kill_point!("claimed");
        let mut all = Vec::with_capacity(claims.len());
        for (hook, claimed, next) in claims {
            if let Some(next) = next {
                self.is_due(&hook, next);
            }
            let mut due = Vec::with_capacity(claimed.len());
            for one in claimed {
                due.extend(self.runnable(&hook, one).await);
            }
            all.push((hook, due));
        }
        Ok(all)
    }

    /// What cannot be run is dead, with the reason.
    async fn runnable(&self, hook: &Arc<str>, claimed: Claimed) -> Option<Due> {
        let Claimed {
            fence,
            event,
            replayed,
            ..
        } = claimed;
        let why = match event {
            Some(Ok(event)) => {
                return Some(Due {
                    lease: self.lease(fence, event),
                    replayed,
                });
            }
            Some(Err(_)) => "corrupt",
            None => "pruned",
        };
        tracing::error!(
            hook = &**hook,
            delivery = fence.delivery,
            why,
            "an event cannot be read back: it is dead"
        );
        if let Err(error) = self.ledger.bury_unread(fence, why.into()).await {
            tracing::error!(%error, delivery = fence.delivery, "a delivery cannot be ended");
        }
        None
    }

    /// What a broker has brought, held on to from now on. None: there is no broker.
    pub fn arrival(&self, parcel: Parcel, handle: Handle) -> Option<Arrival> {
        Some(self.carrier.as_ref()?.arrival(parcel, handle))
    }

    /// Dead-letters a message that cannot be opened: in the broker, or in the ledger as an event of `QUEUE` that is never run. False: it
    /// could not be stored, and the broker must redeliver it.
    pub async fn bury_unopened(&self, bytes: &[u8], unopened: &Unopened) -> bool {
        let Some(broker) = self.broker() else {
            return false;
        };
        let (word, why) = unopened.parts();
        let buried = match broker.bury_unopened(bytes, why).await {
            Some(buried) => buried,
            None => {
                let new = unopened_event(bytes, word, why, Clock::System.now());
                self.ledger.accept(new, Arc::default()).await.map(drop)
            }
        };
        match buried {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a message cannot be dead-lettered yet: the broker will redeliver it");
                false
            }
        }
    }

    /// Begins what has been brought, if it is to be run now.
    pub async fn begin(&self, arrival: Arrival) -> Result<Begun, LedgerError> {
        let (event, replayed) = (arrival.event().clone(), arrival.is_replayed());
        match arrival.begin(&*self.ledger).await? {
            carrier::Stands::Runs {
                fence,
                carried,
                conflict,
            } => {
                let mut lease = self.lease(fence, event);
                lease.carried = Some(carried);
                Ok(Begun::Runs {
                    due: Due { lease, replayed },
                    conflict,
                })
            }
            carrier::Stands::Over(ended) => Ok(Begun::Over(ended)),
            carrier::Stands::Waits(arrival, pause) => Ok(Begun::Waits(arrival, pause)),
        }
    }

    /// Hands to the broker what the ledger has that is due, of hooks that are not held. How many events those were.
    pub async fn hand_over(
        &self,
        is_held: impl Fn(&Arc<str>) -> bool,
    ) -> Result<usize, LedgerError> {
        let Some(carrier) = &self.carrier else {
            return Ok(0);
        };
        let mut hooks = self.hooks_due();
        hooks.retain(|hook| !is_held(hook));
        if hooks.is_empty() || !carrier.broker().is_there() {
            return Ok(0);
        }
        {
            let mut due = self
                .due
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            due.retain(|hook, _| !hooks.contains(hook));
        }
        let handed = carrier
            .hand_over(hooks.clone())
            .await
            .map(|(handed, _)| handed);
        // There may be more; whoever looks finds what comes later.
        if let Ok(1..) = handed {
            hooks
                .iter()
                .for_each(|hook| self.is_due(hook, self.ledger.now()));
        }
        handed
    }

    fn lease(&self, fence: Fence, event: Event) -> Lease {
        self.held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .insert(fence);
        Lease {
            fence,
            event: Arc::new(event),
            ledger: self.ledger.clone(),
            held: self.held.clone(),
            carried: None,
        }
    }

    /// Holds on to every lease that lives, and frees those of others that have run out.
    pub async fn beat(&self) -> Result<usize, LedgerError> {
        let held: Vec<Fence> = self
            .held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .iter()
            .copied()
            .collect();
        if let Some(carrier) = &self.carrier {
            let has_broker = carrier.broker().is_there();
            if !has_broker || self.is_broker_beat_due() {
                carrier.broker().look().await;
                carrier.extend_all().await;
            }
        }
        let freed = self.ledger.beat(held).await?;
        Ok(freed)
    }

    /// Messages need to be extended less often than the leases of a shared ledger, and each extension is a call.
    fn is_broker_beat_due(&self) -> bool {
        let mut beaten = self
            .broker_beaten
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_due = beaten.is_none_or(|at| at.elapsed() >= BROKER_BEAT);
        if is_due {
            *beaten = Some(Instant::now());
        }
        is_due
    }

    /// Number of deliveries that this node has leased: those that run, and those whose result is not stored yet.
    pub fn leases(&self) -> usize {
        self.held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .len()
    }

    /// Looks into the ledger for what is due: whatever rang too early, or not at all, is found here.
    pub async fn look(&self) -> Result<(), LedgerError> {
        let found = self.ledger.hooks_with_work().await?;
        let mut due = self
            .due
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        for (hook, at) in found {
            let earliest = due.entry(hook.into()).or_insert(at);
            *earliest = at.min(*earliest);
        }
        Ok(())
    }

    /// Gives back every lease that lives, as if its attempt had not begun.
    pub async fn give_back(&self) -> Result<usize, LedgerError> {
        let held: Vec<Fence> = self
            .held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .drain()
            .collect();
        let count = held.len();
        self.ledger.release(held, Duration::ZERO).await?;
        if let Some(carrier) = &self.carrier {
            carrier.give_back_all().await;
        }
        Ok(count)
    }

    /// The ledger below.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }
}

/// An event for operators to inspect. It belongs to no hook, so that no replay runs it.
fn unopened_event(bytes: &[u8], word: &'static str, why: &str, now: SystemTime) -> NewEvent {
    let event = Event {
        id: EventId::new(now),
        hook: QUEUE.into(),
        received_at: now,
        method: http::Method::POST,
        path: PushSpec::PATH.into(),
        query: None,
        headers: http::HeaderMap::new(),
        body: bytes.to_vec().into(),
        attributes: vec![("refused-because".into(), why.into())],
    };
    NewEvent {
        stored: Stored::new(event),
        dedup: None,
        order_key: None,
        delay: Duration::ZERO,
        run_now: false,
        dead: Some(word),
    }
}

// === impl Lease ===

impl Lease {
    /// What to run.
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// From 1.
    pub fn attempt(&self) -> u32 {
        self.fence.attempt
    }

    /// Ends the lease: writes the attempt and its disposition to the ledger, then tells the broker.
    pub async fn commit(
        self,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed<Lease>, LedgerError> {
        match self.write(attempt, disposition.clone()).await? {
            Committed::Stored => {}
            Committed::LeaseLost => return Ok(Committed::LeaseLost),
            Committed::Refused(why, ()) => return Ok(Committed::Refused(why, self)),
        }

        if let Some(carried) = &self.carried {
            match disposition {
                Disposition::Done(results) => {
                    let emitted = results.emitted.iter();
                    carried
                        .done(emitted.map(|new| new.stored.event().hook.clone()).collect())
                        .await;
                }
                Disposition::Retry(pause) => carried.again(pause, self.fence.attempt + 1).await,
                Disposition::Dead(why) => carried.bury(&why).await,
            }
        }

        Ok(Committed::Stored)
    }

    /// Given back as if it had not begun, to be taken again after the pause.
    pub async fn again(self, pause: Duration) -> Result<(), LedgerError> {
        self.ledger.release(vec![self.fence], pause).await?;
        if let Some(carried) = &self.carried {
            carried.again(pause, self.fence.attempt).await;
        }
        Ok(())
    }

    /// Where a node listens that has a caller waiting for the reply.
    pub fn answer_to(&self) -> Option<&str> {
        self.carried.as_ref()?.answer_to()
    }

    async fn write(
        &self,
        attempt: AttemptRecord,
        disposition: Disposition,
    ) -> Result<Committed, LedgerError> {
        loop {
            match self
                .ledger
                .finish(
                    self.fence,
                    self.event.clone(),
                    attempt.clone(),
                    disposition.clone(),
                )
                .await
            {
                // The lease is held until there is room for its end.
                Err(
                    error @ (LedgerError::Full
                    | LedgerError::ReadOnly(_)
                    | LedgerError::Busy
                    | LedgerError::Unreachable(_)),
                ) => {
                    tracing::error!(%error, delivery = self.fence.delivery, "the end of an attempt cannot be kept yet");
                    tokio::time::sleep(END_AGAIN).await;
                }
                committed => return committed,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .remove(&self.fence);
    }
}
