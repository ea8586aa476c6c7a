//! Events that wait in a broker instead of the ledger. What is accepted goes there; what it brings is begun in the ledger, which knows
//! what has ended already; and only when the end is kept there does the broker hear of it. Whatever is lost on the way comes again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Due;
use super::broker::{Broker, Handle};
use super::parcel::Parcel;
use landfall_ledger::{
    Accepted, AlreadyEnded, Claimed, Fence, Ledger, LedgerError, NewEvent, OpenState, Received,
    Started, Stored,
};
use landfall_model::{Clock, Event, EventId, LedgerTime};

/// Handed over at once, of each hook.
const HAND_OVER_MAX: usize = 64;
/// What the broker has not taken is handed over again after this.
const HAND_OVER_AGAIN: Duration = Duration::from_secs(1);
/// What the broker cannot be told now it is told again so often; after that it brings the event again, and hears then.
const TELL_TIMES: u32 = 3;
const TELL_AGAIN: Duration = Duration::from_millis(500);

/// What cannot be begun in the ledger now is brought again after this.
const BEGIN_AGAIN: Duration = Duration::from_secs(1);

type Held = Arc<Mutex<HashMap<u64, Arc<Handle>>>>;

/// The broker, and everything that it has brought and has not heard of yet.
pub struct Carrier {
    ledger: Arc<dyn Ledger>,
    broker: Arc<Broker>,
    held: Held,
    next: AtomicU64,
}

/// An event that was brought, and is held on to while this lives.
pub struct Arrival(Box<Carried>);

/// The way back of an event that was brought.
pub(super) struct Carried {
    parcel: Parcel,
    carrier: Arc<Carrier>,
    handle: Arc<Handle>,
    key: u64,
}

/// What became of an arrival.
pub enum Begun {
    /// It is to be run.
    Runs {
        /// The right to.
        due: Due,
        /// An earlier event with the same identity and another body.
        conflict: Option<EventId>,
    },
    /// The event needs no attempt, and the broker knows.
    Over(AlreadyEnded),
    /// It is to wait.
    Waits(Arrival, Duration),
}

/// The same without the lease.
pub(super) enum Stands {
    Runs {
        fence: Fence,
        carried: Box<Carried>,
        conflict: Option<EventId>,
    },
    Over(AlreadyEnded),
    Waits(Arrival, Duration),
}

// === impl Carrier ===

impl Carrier {
    /// Holds nothing yet.
    pub fn new(ledger: Arc<dyn Ledger>, broker: Broker) -> Carrier {
        Carrier {
            ledger,
            broker: Arc::new(broker),
            held: Held::default(),
            next: AtomicU64::new(0),
        }
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Returns when the broker has stored the event, unless `given_up` has become true before that was begun. A duplicate of an event
    /// that the ledger knows is not published; one of a dead event is, under a name that the broker has not seen.
    pub async fn accept(
        &self,
        new: NewEvent,
        given_up: Arc<AtomicBool>,
    ) -> Result<Accepted, LedgerError> {
        if given_up.load(Ordering::Relaxed) {
            return Err(LedgerError::Busy);
        }
        let event = new.stored.event();
        let (id, hook) = (event.id, event.hook.clone());
        let known = match &new.dedup {
            Some(dedup) => {
                self.ledger
                    .find_duplicate(hook, dedup.clone(), *new.stored.digest(), id)
                    .await?
            }
            None => None,
        };
        let is_new_name = match known {
            Some(Accepted::Joined {
                state: OpenState::Replayed,
                ..
            }) => true,
            Some(repeat) => return Ok(repeat),
            None => false,
        };

        let answer_to = new.run_now.then(|| self.broker.answer_to()).flatten();
        let is_new = self
            .broker
            .publish(&Parcel {
                answer_to,
                is_new_name,
                ..Parcel::new(new)
            })
            .await?;
        // The broker reports a duplicate, but neither the earlier event nor its state.
        Ok(if is_new {
            Accepted::NEW
        } else {
            Accepted::Duplicate {
                of: id,
                reply: None,
            }
        })
    }

    /// Of what has been brought.
    pub fn arrival(self: &Arc<Carrier>, parcel: Parcel, handle: Handle) -> Arrival {
        let (key, handle) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(handle));
        self.held().insert(key, handle.clone());
        Arrival(Box::new(Carried {
            parcel,
            carrier: self.clone(),
            handle,
            key,
        }))
    }

    /// Events that the ledger has due, emitted or to be run again, go to the broker. How many, and how many it has not taken.
    pub async fn hand_over(&self, hooks: Vec<Arc<str>>) -> Result<(usize, usize), LedgerError> {
        let asked = hooks
            .into_iter()
            .map(|hook| (hook, HAND_OVER_MAX))
            .collect();
        let claimed = self
            .ledger
            .claim(asked)
            .await?
            .into_iter()
            .flat_map(|(_, claimed, _)| claimed);
        let sent = join_all(claimed.map(|one| self.send(one))).await;
        let (handed, kept): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(_, is_sent)| *is_sent);
        let fences =
            |list: Vec<(Fence, bool)>| list.into_iter().map(|(fence, _)| fence).collect::<Vec<_>>();
        landfall_model::kill_point!("handed-over");
        let counts = (handed.len(), kept.len());
        if counts != (0, 0) {
            self.ledger
                .hand_over(fences(handed), fences(kept), HAND_OVER_AGAIN)
                .await?;
        }
        Ok(counts)
    }

    /// All that is due of these. False: some of it has to wait here.
    async fn hand_over_all(&self, hooks: Vec<Arc<str>>) -> bool {
        loop {
            match self.hand_over(hooks.clone()).await {
                Ok((0, 0)) => return true,
                Ok((_, 0)) => {}
                Ok(_) => return false,
                Err(error) => {
                    tracing::warn!(%error, "what a handler emitted cannot be handed to the queue yet");
                    return false;
                }
            }
        }
    }

    async fn send(&self, claimed: Claimed) -> (Fence, bool) {
        let Claimed {
            fence,
            event,
            replayed,
            due,
        } = claimed;
        let Some(Ok(event)) = event else {
            self.end_unread(fence, "corrupt".into()).await;
            return (fence, false);
        };
        let order_key = event.attribute("order-key").map(str::to_owned);
        let new = NewEvent {
            stored: Stored::new(event),
            dedup: None,
            order_key,
            delay: Duration::ZERO,
            run_now: false,
            dead: None,
        };
        let replay = replayed.then(|| wish(&new, fence, due));
        match self
            .broker
            .publish(&Parcel {
                replay,
                ..Parcel::new(new)
            })
            .await
        {
            Ok(_) => (fence, true),
            Err(error @ (LedgerError::TooLarge { .. } | LedgerError::Unfit(_))) => {
                tracing::error!(%error, delivery = fence.delivery, "an event cannot be handed to the queue: it is dead");
                self.end_unread(fence, error.to_string()).await;
                (fence, false)
            }
            Err(error) => {
                tracing::error!(%error, delivery = fence.delivery, "an event cannot be handed to the queue: it waits");
                (fence, false)
            }
        }
    }

    async fn end_unread(&self, fence: Fence, why: String) {
        if let Err(error) = self.ledger.bury_unread(fence, why).await {
            tracing::error!(%error, delivery = fence.delivery, "a delivery cannot be ended");
        }
    }

    /// Tells the broker that everything it has brought is being worked on.
    pub async fn extend_all(&self) {
        let handles: Vec<_> = self.held().values().cloned().collect();
        if let Err(error) = self.broker.extend(&handles).await {
            tracing::warn!(%error, "the queue cannot be told that events are being worked on");
        }
    }

    /// Lets go of everything, to be brought again at once.
    pub async fn give_back_all(&self) {
        let handles: Vec<_> = self.held().drain().map(|(_, handle)| handle).collect();
        join_all(handles.iter().map(|handle| self.broker.give_back(handle))).await;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Handle>>> {
        self.held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The same for the same wish, however often it is sent.
fn wish(new: &NewEvent, fence: Fence, due: LedgerTime) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(new.stored.event().id.as_bytes());
    hash.update(fence.delivery.to_le_bytes());
    // A file may give the number of a delivery again that it has no more.
    hash.update(due.0.to_le_bytes());
    Uuid::from_slice(&hash.finalize()[..16]).expect("sixteen bytes are a UUID")
}

// === impl Arrival ===

impl Arrival {
    /// What was brought.
    pub fn event(&self) -> &Event {
        self.0.parcel.new.stored.event()
    }

    /// Somebody wants it to be run again.
    pub fn is_replayed(&self) -> bool {
        self.0.parcel.replay.is_some()
    }

    /// How often it has been brought.
    pub fn brought(&self) -> u32 {
        self.0.parcel.brought
    }

    /// It is not due before this much time has passed.
    pub fn waits_for(&self) -> Option<Duration> {
        self.0.parcel.due?.duration_since(Clock::System.now()).ok()
    }

    /// Not now: it comes again after this, as if it had not come.
    pub async fn put_off(self, pause: Duration) {
        self.0.again(pause, self.0.parcel.number).await;
    }

    pub(super) async fn begin(self, ledger: &dyn Ledger) -> Result<Stands, LedgerError> {
        let Parcel {
            new,
            replay,
            number,
            ..
        } = &self.0.parcel;
        let started = match ledger
            .start(Received {
                new: new.clone(),
                replay: *replay,
                number: *number,
            })
            .await
        {
            Ok(started) => started,
            Err(error) => {
                self.0.again(BEGIN_AGAIN, *number).await;
                return Err(error);
            }
        };
        match started {
            Started::Run { fence, conflict } => Ok(Stands::Runs {
                fence,
                carried: self.0,
                conflict,
            }),
            Started::Wait(pause) => Ok(Stands::Waits(self, pause)),
            Started::AlreadyEnded(AlreadyEnded::Done) => {
                // Before it is let go of, what it emitted is handed over, if that waits here still.
                let due = ledger
                    .hooks_with_work()
                    .await?
                    .into_iter()
                    .map(|(hook, _)| hook.into());
                self.0.done(due.collect()).await;
                Ok(Stands::Over(AlreadyEnded::Done))
            }
            Started::AlreadyEnded(ended) => {
                match &ended {
                    AlreadyEnded::Dead(why) => self.0.bury(why).await,
                    AlreadyEnded::Done | AlreadyEnded::DuplicateOf(_) => {
                        self.0.done(Vec::new()).await
                    }
                }
                Ok(Stands::Over(ended))
            }
        }
    }
}

// === impl Carried ===

impl Carried {
    /// It has ended well; what it emitted goes to the broker first, because nothing else may outlive this node. Until it has, the event
    /// that emitted it is not let go of: it comes again, and is found to have ended, or is run where nobody knows of that.
    pub async fn done(&self, emitted: Vec<Arc<str>>) {
        match emitted.is_empty() || self.carrier.hand_over_all(emitted).await {
            true => self.tell(Word::Ack).await,
            false => {
                self.tell(Word::Again(HAND_OVER_AGAIN, self.parcel.number))
                    .await
            }
        }
    }

    /// To be brought again after the pause, for the attempt of this number.
    pub async fn again(&self, pause: Duration, number: u32) {
        self.tell(Word::Again(pause, number)).await;
    }

    /// It has ended badly; a copy goes where the dead are.
    pub async fn bury(&self, why: &str) {
        self.tell(Word::Bury(why)).await;
    }

    /// Where a node listens that has a caller waiting for the reply.
    pub fn answer_to(&self) -> Option<&str> {
        self.parcel.answer_to.as_deref()
    }

    async fn tell(&self, word: Word<'_>) {
        for turn in 1..=TELL_TIMES {
            match self.say(word).await {
                Ok(()) => return,
                Err(error) if turn == TELL_TIMES => {
                    let event = self.parcel.new.stored.event().id;
                    tracing::warn!(%error, %event, "the queue does not know yet what became of an event: it brings it again");
                }
                Err(_) => tokio::time::sleep(TELL_AGAIN).await,
            }
        }
    }

    async fn say(&self, word: Word<'_>) -> Result<(), LedgerError> {
        let broker = &self.carrier.broker;
        match word {
            Word::Ack => self.handle.ack().await,
            Word::Again(pause, number) => {
                let resend = !self.carrier.ledger.is_shared();
                broker
                    .again(&self.parcel, &self.handle, pause, number, resend)
                    .await
            }
            Word::Bury(why) => {
                broker.bury(&self.parcel, why).await?;
                self.handle.ack().await
            }
        }
    }
}

/// What a broker is told.
#[derive(Clone, Copy)]
enum Word<'a> {
    Ack,
    Again(Duration, u32),
    Bury(&'a str),
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.carrier.held().remove(&self.key);
    }
}
