//! What a ledger is told and what it answers: the steps of a delivery, the same over SQLite and Postgres.

use std::time::Duration;

use uuid::Uuid;

use landfall_model::{Corrupt, DedupKey, Effects, Event, EventId, LedgerTime, Quota, Stored};

/// A delivery or message whose node is silent for so long is run again: in a ledger in a file, where only a new start is another
/// owner, and at brokers.
pub const LEASE: Duration = Duration::from_secs(30);
/// The same in a ledger that nodes share.
pub const SHARED_LEASE: Duration = Duration::from_secs(7);
/// How often a node of such a ledger extends its leases, and looks for those of nodes that are silent.
pub const SHARED_BEAT: Duration = Duration::from_secs(2);

// The others take over within 10 s: the lease runs out, and the next beat of any of them finds it.
const _: () = assert!(SHARED_LEASE.as_secs() + SHARED_BEAT.as_secs() < 10);
// A beat that is late does not cost the leases.
const _: () = assert!(SHARED_LEASE.as_secs() >= 3 * SHARED_BEAT.as_secs());

/// Attempts that took the process with them before a delivery is given up.
pub const UNFINISHED_MAX: i64 = 3;

/// The right to run a delivery, told apart from earlier ones by its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The delivery.
    pub delivery: i64,
    /// From 1.
    pub attempt: u32,
}

/// What became of a request's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The event was stored.
    New {
        /// The right to run its first attempt, if the caller asked for that (`NewEvent::run_now`).
        fence: Option<Fence>,
        /// An earlier event with the same identity and another body. Both run.
        conflict: Option<EventId>,
    },
    /// The event repeats one that has been handled. It was not stored.
    Duplicate {
        /// The earlier event.
        of: EventId,
        /// The reply of its handler, if it was stored, as the caller of `Disposition::Done` encoded it.
        reply: Option<Vec<u8>>,
    },
    /// The event repeats one that is still to be handled. It was not stored; its caller may wait for the reply to the earlier event.
    Joined {
        /// The earlier event.
        of: EventId,
        /// The state of its latest delivery.
        state: OpenState,
    },
}

/// The state of a delivery that a duplicate joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenState {
    /// The next attempt is due after this time.
    Pending(Duration),
    /// An attempt is running.
    Running,
    /// The delivery was dead. A duplicate of a dead delivery is a replay request.
    Replayed,
}

// === impl Accepted ===

impl Accepted {
    /// A stored event that nothing runs yet and that conflicts with no other.
    pub const NEW: Accepted = Accepted::New {
        fence: None,
        conflict: None,
    };

    /// The event repeats the event `of`, whose latest delivery is `open` unless it has been handled.
    pub(super) fn repeat(of: EventId, open: Option<OpenState>, reply: Option<Vec<u8>>) -> Accepted {
        match open {
            Some(state) => Accepted::Joined { of, state },
            None => Accepted::Duplicate { of, reply },
        }
    }
}

/// A delivery that has been claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The right to run it.
    pub fence: Fence,
    /// What to run; none where the body has been pruned; an error where it is not what was stored.
    pub event: Option<Result<Event, Corrupt>>,
    /// Of this delivery, not of the event.
    pub replayed: bool,
    /// When it was due.
    pub due: LedgerTime,
}

/// What follows from the outcome of an attempt.
#[derive(Debug, Clone)]
pub enum Disposition {
    /// The event has been handled. The results are stored in the same transaction.
    Done(Results),
    /// The event runs again after this time.
    Retry(Duration),
    /// The event is a dead letter, for this reason. It does not run again by itself.
    Dead(String),
}

// === impl Disposition ===

impl Disposition {
    /// The time until the next attempt, if there is one.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Disposition::Retry(pause) => Some(*pause),
            Disposition::Done(_) | Disposition::Dead(_) => None,
        }
    }
}

/// What a good attempt leaves.
#[derive(Debug, Clone)]
pub struct Results {
    /// Rows and values.
    pub effects: Effects,
    /// Its emissions, as events of their hooks.
    pub emitted: Vec<NewEvent>,
    /// Of the hook.
    pub quota: Quota,
    /// The handler's reply, where duplicates get it again: as the caller encodes it.
    pub reply: Option<Vec<u8>>,
}

// === impl Results ===

impl Results {
    /// Nothing is left.
    pub fn empty(quota: Quota) -> Results {
        Results {
            effects: Effects::default(),
            emitted: Vec::new(),
            quota,
            reply: None,
        }
    }

    /// Whether there is nothing to keep, nor to look at.
    pub(super) fn is_nothing(&self) -> bool {
        self.effects.is_empty() && self.effects.expected.is_empty() && self.emitted.is_empty()
    }
}

/// Whether a disposition was written. `L` is the lease, for a caller that gave it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed<L = ()> {
    /// It was.
    Stored,
    /// Another node has the lease by now. Nothing was written.
    LeaseLost,
    /// The results cannot be stored. Nothing was written, and the lease goes on.
    Refused(Refused, L),
}

/// What is kept of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Time of day, in ms since 1970.
    pub started_ms: i64,
    /// In microseconds.
    pub duration_us: i64,
    /// Its word.
    pub outcome: &'static str,
    /// For people.
    pub reason: String,
    /// Of the reply.
    pub status: Option<u16>,
    /// JSON: log, memory, calls.
    pub record: String,
}

// === impl AttemptRecord ===

impl AttemptRecord {
    /// Whether the handler's reply tells the caller that the event was not accepted.
    pub(super) fn refuses(&self) -> bool {
        self.status
            .is_some_and(|status| !(200..=299).contains(&status))
    }
}

/// What is to be accepted.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub stored: Stored,
    /// Under which key it may have come before.
    pub dedup: Option<DedupKey>,
    /// One at a time of the same.
    pub order_key: Option<String>,
    /// Not before this much time has passed.
    pub delay: Duration,
    /// It is begun in the same step, by whoever asks; or, where a broker carries it, somebody waits for the reply.
    pub run_now: bool,
    /// Why it is kept for people only, and not run.
    pub dead: Option<&'static str>,
}

/// An event that a broker has delivered, perhaps more than once.
#[derive(Debug, Clone)]
pub struct Received {
    /// The event. The broker says when it is due and which node runs it.
    pub new: NewEvent,
    /// The replay request that the broker delivers, if it is one.
    pub replay: Option<Uuid>,
    /// The number of the attempt, from 1, if the ledger does not know a higher one.
    pub number: u32,
}

/// Whether the attempt of a received event has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It has: the caller runs it.
    Run {
        /// The right to run it.
        fence: Fence,
        /// An earlier event with the same identity and another body. Both run.
        conflict: Option<EventId>,
    },
    /// The event needs no further attempt.
    AlreadyEnded(AlreadyEnded),
    /// The event is running, or is not due before this time has passed.
    Wait(Duration),
}

/// Why a received event needs no attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlreadyEnded {
    /// It has been handled.
    Done,
    /// It is a dead letter, for this reason.
    Dead(String),
    /// It repeats this earlier event.
    DuplicateOf(EventId),
}

/// What became of a wish to run an event again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// A new delivery, of this hook.
    Queued(String),
    /// It waits or runs already.
    Waiting,
    /// An operator has discarded it.
    Discarded,
    /// It has a later delivery than the one that the order names.
    Repeated,
    /// A message that no node could decode: no hook runs it.
    Undecodable,
    /// The event, or its body, is gone.
    Unknown,
}

/// The events to replay, and when.
#[derive(Debug, Clone)]
pub struct ReplayOrder {
    /// The events, and of each the delivery to repeat: if the event has a later one by now, another command repeated it.
    pub events: Vec<(EventId, Option<i64>)>,
    /// Delay of the first one.
    pub delay: Duration,
    /// Time between two of them.
    pub apart: Duration,
    /// Include events that an operator discarded.
    pub again: bool,
    /// Change nothing.
    pub dry_run: bool,
}

/// What an operator does to deliveries.
#[derive(Debug, Clone)]
pub enum Step {
    /// Discards dead and pending deliveries, with this reason.
    Discard(String),
    /// Makes pending deliveries due now.
    RetryNow,
}

/// Why effects are not kept although their attempt went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Somebody else has changed the value of this key meanwhile.
    Changed(String),
    /// The hook keeps as much as it may.
    OverQuota(String),
}

// === impl Refused ===

impl Refused {
    /// Where so many bytes more, beside those that are kept, are above a quota: of values, and of rows.
    pub(super) fn over(quota: &Quota, kv: (i64, i64), rows: (i64, i64)) -> Option<Refused> {
        let is_over = |(more, kept): (i64, i64), most: u64| more > 0 && kept + more > most as i64;
        let (key, most) = match (is_over(kv, quota.kv), is_over(rows, quota.rows)) {
            (true, _) => ("kv", quota.kv),
            (_, true) => ("rows", quota.rows),
            _ => return None,
        };
        let most = bytesize::ByteSize(most).display().iec();
        Some(Refused::OverQuota(format!(
            "the hook keeps more than [limits] {key} = {most}: raise it, or keep less"
        )))
    }
}
