//! What a broker brings, from there to its attempt: it waits for a place within a bound, and is put off where its hook is not there
//! or held. Whatever is dropped on the way comes again by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::standing::Repeat;
use super::{Delivery, answers};
use landfall_broker::{Arrival, Begun, Broker, Handle, Lease, Parcel, PushHandle, Taker, Unopened};
use landfall_engine::{Permit, Target};
use landfall_ledger::AlreadyEnded;
use landfall_model::Outcome;

/// Held in memory without a place, at most.
const WAITING_MAX: usize = 1000;
/// For a place; after that it is put off for as long.
const PLACE_WITHIN: Duration = Duration::from_secs(5);
/// What is due sooner than this waits here.
const WAIT_HERE: Duration = Duration::from_secs(15);
/// Calls of a broker that nobody answered, before that is said.
const UNANSWERED: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Who runs it elsewhere has lost it, and that is known within a beat.
const RUNS_ELSEWHERE: Duration = Duration::from_secs(2);

/// Takes what a broker brings.
struct Arrivals(Arc<Delivery>);

impl Taker for Arrivals {
    fn hooks(&self) -> Vec<Arc<str>> {
        self.0.targets.names()
    }

    fn room(&self, hook: &str) -> Option<(usize, bool)> {
        let target = self.0.targets.find(hook)?;
        let left = WAITING_MAX.saturating_sub(self.0.arriving.load(Ordering::Relaxed));
        // What cannot be begun in the ledger would only come again.
        let waits = self.0.is_held(&hook.into()) || !self.0.queue.ledger().can_accept();
        let room = if waits {
            0
        } else {
            target.permits.free().min(left)
        };
        Some((room, target.order_of.is_some()))
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Relaxed)
    }

    fn take(&self, parcel: Parcel, handle: Handle) {
        if let Some(arrival) = self.0.queue.arrival(parcel, handle) {
            tokio::spawn(self.0.clone().arrive(arrival));
        }
    }

    fn refuse(&self, unopened: &Unopened, id: &str) {
        self.0.refuse_message(unopened, id);
    }
}

impl Delivery {
    /// Takes what the broker brings, if there is one, until the process stops.
    pub async fn take_for_ever(self: Arc<Self>) {
        if let Some(broker) = self.queue.broker().cloned() {
            broker.bring(Arc::new(Arrivals(self))).await;
        }
    }

    /// What a broker has brought by calling; returns when it has ended. True: the broker is done with it.
    pub async fn pushed(self: &Arc<Self>, body: &[u8], brought: u32) -> bool {
        let Some(broker) = self.queue.broker() else {
            return false;
        };
        let parcel = match broker.open_push(body) {
            Ok(parcel) => Parcel { brought, ..parcel },
            Err(Unopened::Later(why)) => {
                tracing::error!(why, "a message of the queue cannot be verified yet");
                return false;
            }
            Err(unopened) => {
                self.refuse_message(&unopened, "");
                return self.queue.bury_unopened(body, &unopened).await;
            }
        };
        let (handle, answered) = PushHandle::new();
        let Some(arrival) = self.queue.arrival(parcel, Handle::Push(handle)) else {
            return false;
        };
        if self.arriving.load(Ordering::Relaxed) >= WAITING_MAX {
            return false;
        }
        tokio::spawn(self.clone().arrive(arrival));
        answered.await.unwrap_or(false)
    }

    async fn arrive(self: Arc<Self>, arrival: Arrival) {
        match self.place(&arrival).await {
            Err(pause) => arrival.put_off(pause).await,
            Ok((permit, target)) => self.begin_arrival(arrival, permit, target).await,
        }
    }

    /// A place for it; or how long it is to be put off.
    async fn place(&self, arrival: &Arrival) -> Result<(Permit, Target), Duration> {
        let _counted = Arriving::count(self);
        let hook = &arrival.event().hook;
        let held = self
            .queue
            .broker()
            .map(|broker| broker.hold())
            .unwrap_or_default();
        if let Some(wait) = arrival.waits_for() {
            if wait > WAIT_HERE {
                return Err(wait);
            }
            tokio::time::sleep(wait).await;
        }
        let target = self.targets.find(hook).ok_or(held)?;
        let permit = target
            .permits
            .acquire(PLACE_WITHIN)
            .await
            .map_err(|_| PLACE_WITHIN)?;
        // A rate is no reason to send it away and back.
        while self.begin(hook, &target, 1) == 0 {
            if self.is_stopping.load(Ordering::Relaxed) {
                return Err(Duration::ZERO);
            }
            if self.is_held(hook) {
                return Err(held);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok((permit, target))
    }

    async fn begin_arrival(self: Arc<Self>, arrival: Arrival, permit: Permit, target: Target) {
        let (id, hook) = (arrival.event().id, arrival.event().hook.clone());
        if arrival.brought() > UNANSWERED {
            tracing::warn!(hook = &*hook, event = %id, times = arrival.brought(), "the queue has called with this, and nobody answered");
        }
        let repeat = Repeat::of(arrival.event());
        match self.queue.begin(arrival).await {
            Ok(Begun::Runs { due, conflict }) => {
                landfall_model::kill_point!("arrived");
                if let Some(first) = conflict {
                    self.record_conflict(&hook, id, first);
                }
                let waiter = self.waiter(&due.lease);
                self.run(due.lease, permit, target, due.replayed, waiter)
                    .await;
            }
            Ok(Begun::Over(ended)) => {
                if let AlreadyEnded::DuplicateOf(first) = ended {
                    self.record_duplicate(&hook, repeat, first, false);
                }
                self.not_begun(&hook, 1);
            }
            Ok(Begun::Waits(arrival, pause)) => {
                self.not_begun(&hook, 1);
                drop(permit);
                arrival.put_off(pause.max(RUNS_ELSEWHERE)).await;
            }
            Err(error) => {
                self.not_begun(&hook, 1);
                tracing::error!(hook = &*hook, event = %id, %error, "an event cannot be begun: the queue brings it again");
            }
        }
    }

    /// Whoever waits for the reply, here or at another node.
    fn waiter(&self, lease: &Lease) -> Option<oneshot::Sender<Outcome>> {
        let id = lease.event().id;
        if self.waiters.has(id) {
            return None;
        }
        let broker = self.queue.broker()?.clone();
        let there = lease
            .answer_to()
            .filter(|there| broker.answer_to().as_deref() != Some(there))?
            .to_owned();
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move { tell(&broker, &there, id, answered.await).await });
        Some(answer)
    }

    /// Hands on what other nodes answer to callers that wait here, until the process stops.
    pub async fn answer_for_ever(self: Arc<Self>) {
        let Some(broker) = self.queue.broker().cloned() else {
            return;
        };
        let heard = |bytes: &[u8]| {
            let Some((id, reply)) = answers::read(bytes) else {
                return;
            };
            self.waiters.tell(id, &Outcome::Done(reply));
        };
        broker.hear(heard).await;
    }
}

async fn tell(
    broker: &Broker,
    there: &str,
    id: landfall_model::EventId,
    outcome: Result<Outcome, oneshot::error::RecvError>,
) {
    if let Ok(Outcome::Done(reply)) = outcome {
        broker.tell(there, answers::write(id, &reply)).await;
    }
}

/// One of the bounded number that waits for a place.
struct Arriving<'a>(&'a Delivery);

impl<'a> Arriving<'a> {
    fn count(delivery: &'a Delivery) -> Arriving<'a> {
        delivery.arriving.fetch_add(1, Ordering::Relaxed);
        Arriving(delivery)
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.0.arriving.fetch_sub(1, Ordering::Relaxed);
    }
}
