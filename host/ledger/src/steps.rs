//! The steps of a delivery: what each step takes and returns, in SQLite and in Postgres.

use std::time::Duration;

use uuid::Uuid;

use landfall_model::{
    Admission, Corrupt, DedupKey, Effects, Event, EventId, LedgerTime, Quota, Stored,
};

/// How long a lease lasts without an extension. Applies to brokers and to the SQLite ledger, in
/// which only a restarted node is another owner.
pub const LEASE: Duration = Duration::from_secs(30);
/// The lease in a ledger that several nodes share.
pub const SHARED_LEASE: Duration = Duration::from_secs(7);
/// How often a node of a shared ledger extends its leases and frees the expired leases of other
/// nodes.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

// Other nodes take over within 10 s: the lease expires, and the next heartbeat of any node finds
// it.
const _: () = assert!(SHARED_LEASE.as_secs() + HEARTBEAT_INTERVAL.as_secs() < 10);
// A late heartbeat does not lose the leases.
const _: () = assert!(SHARED_LEASE.as_secs() >= 3 * HEARTBEAT_INTERVAL.as_secs());

/// After a damaged row has kept the deliveries of a hook from being claimed, they are claimed again
/// after this.
pub(crate) const CLAIM_AGAIN: Duration = Duration::from_secs(5);

/// Attempts in a row that ended with the process. After so many, the delivery is a dead letter.
pub const UNFINISHED_MAX: i64 = 3;

/// The hook of dead letters that hold messages which no node could decode. No hook file can have
/// this name.
pub const UNDECODABLE: &str = "_queue";

/// The right to run a delivery. The number of the attempt distinguishes it from earlier leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The number of the delivery.
    pub delivery: i64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// What happened to the event of a request.
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
        /// The reply of its handler, if it was stored, as the caller of `Disposition::Done` encoded
        /// it.
        reply: Option<Vec<u8>>,
    },
    /// The event repeats one that is still to be handled. It was not stored; its caller may wait
    /// for the reply to the earlier event.
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

    /// The event repeats the event `of`, whose latest delivery is `open` unless it has been
    /// handled.
    pub(super) fn repeat(of: EventId, open: Option<OpenState>, reply: Option<Vec<u8>>) -> Accepted {
        match open {
            Some(state) => Accepted::Joined { of, state },
            None => Accepted::Duplicate { of, reply },
        }
    }
}

/// How often a handler has deferred a delivery, and since when. These attempts do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deferred {
    /// The number of deferrals.
    pub count: u32,
    /// When the first of them was stored.
    pub since: Option<LedgerTime>,
}

/// A delivery that has been claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The lease.
    pub fence: Fence,
    /// Its earlier deferrals.
    pub deferred: Deferred,
    /// The event to run. `None` if its body has been pruned; an error if its checksum does not
    /// match. Still encrypted if this node does not have its key.
    pub event: Option<Result<Event, Corrupt>>,
    /// Whether this delivery is a replay of its event.
    pub replayed: bool,
    /// When it was due.
    pub due: LedgerTime,
    /// The other events of its batch, in the order of their arrival, in the same form as `event`.
    pub members: Vec<Option<Result<Event, Corrupt>>>,
}

/// What follows from the outcome of an attempt.
#[derive(Debug, Clone)]
pub enum Disposition {
    /// The event has been handled. The results are stored in the same transaction.
    Done(Results),
    /// The event runs again after this time.
    Retry(Duration),
    /// The event runs again after this time, and the attempt does not count.
    Defer(Duration),
    /// The event is a dead letter, for this reason. It does not run again by itself.
    Dead(String),
    /// The batch has failed, for this reason. Each of its events runs alone, at once.
    Split(String),
}

// === impl Disposition ===

impl Disposition {
    /// The time until the next attempt, if there is one.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Disposition::Retry(pause) | Disposition::Defer(pause) => Some(*pause),
            Disposition::Split(_) => Some(Duration::ZERO),
            Disposition::Done(_) | Disposition::Dead(_) => None,
        }
    }
}

/// What a successful attempt stores.
#[derive(Debug, Clone)]
pub struct Results {
    /// The rows and values.
    pub effects: Effects,
    /// The handler's emissions, as events of their target hooks.
    pub emitted: Vec<NewEvent>,
    /// The limits of the hook.
    pub quota: Quota,
    /// The handler's reply, in the caller's encoding, if duplicates get it again.
    pub reply: Option<Vec<u8>>,
}

// === impl Results ===

impl Results {
    /// Results that store nothing.
    pub fn empty(quota: Quota) -> Results {
        Results {
            effects: Effects::default(),
            emitted: Vec::new(),
            quota,
            reply: None,
        }
    }

    /// Whether there is nothing to store and no expected value to compare.
    pub(super) fn is_nothing(&self) -> bool {
        self.effects.is_empty() && self.effects.expected.is_empty() && self.emitted.is_empty()
    }
}

/// Whether a disposition was stored. `L` is the lease, which a refusal returns to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed<L = ()> {
    /// The disposition was stored.
    Stored,
    /// Another owner has the lease. Nothing was stored.
    LeaseLost,
    /// The results cannot be stored. Nothing was stored, and the lease remains valid.
    Refused(Refused, L),
}

/// The record of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Time of day, in ms since 1970.
    pub started_ms: i64,
    /// In microseconds.
    pub duration_us: i64,
    /// `done`, `retry`, `trap` …
    pub outcome: &'static str,
    /// A sentence for the operator.
    pub reason: String,
    /// The HTTP status of the reply.
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

/// An event to accept.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event in its stored form.
    pub stored: Stored,
    /// The identity that duplicates of the event share.
    pub dedup: Option<DedupKey>,
    /// Events with the same key run one at a time, in order.
    pub order_key: Option<String>,
    /// The time before the first attempt.
    pub delay: Duration,
    /// The caller runs the first attempt: the same step leases the delivery. With a broker: a
    /// caller waits for the reply.
    pub run_now: bool,
    /// Store the event as a dead letter, for this reason. It is not run.
    pub dead: Option<&'static str>,
    /// Whether the event runs. One that does not, or that waits, is not leased (`run_now`).
    pub admission: Admission,
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
    /// The attempt has started: the caller runs it.
    Run {
        /// The lease.
        fence: Fence,
        /// Earlier deferrals of the delivery.
        deferred: Deferred,
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
    /// The event has been handled.
    Done,
    /// The event is a dead letter, for this reason.
    Dead(String),
    /// The event repeats this earlier event.
    DuplicateOf(EventId),
}

/// The result of a replay request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// The event has a new delivery, of this hook.
    Queued(String),
    /// A delivery of the event is already pending or running.
    Waiting,
    /// An operator has discarded the event.
    Discarded,
    /// The event has a later delivery than the one that the request names.
    Repeated,
    /// The event holds a message that no node could decode. No hook can run it.
    Undecodable,
    /// An operator has erased what the event contained.
    Erased,
    /// The event is unknown, or its body has been pruned.
    Unknown,
}

/// A request to replay events.
#[derive(Debug, Clone)]
pub struct ReplayOrder {
    /// The events, and of each the delivery to repeat: if the event has a later one by now, another
    /// command repeated it.
    pub events: Vec<(EventId, Option<i64>)>,
    /// The delay of the first replay.
    pub delay: Duration,
    /// The time between two replays.
    pub apart: Duration,
    /// Include events that an operator discarded.
    pub again: bool,
    /// Only report what would happen.
    pub dry_run: bool,
}

/// An operator's command on deliveries.
#[derive(Debug, Clone)]
pub enum Step {
    /// Discards dead and pending deliveries, with this reason.
    Discard(String),
    /// Makes pending deliveries due now.
    RetryNow,
}

/// Why the effects of a successful attempt cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Another attempt has changed the value of this key since the handler read it.
    Changed(String),
    /// The hook has reached its quota: a sentence for the operator.
    OverQuota(String),
}

// === impl Refused ===

impl Refused {
    /// The refusal if values or rows exceed their quota. Each pair is the bytes to add and the
    /// bytes that are stored.
    pub fn over(quota: &Quota, kv: (i64, i64), rows: (i64, i64)) -> Option<Refused> {
        let (key, limit) = if exceeds(kv, quota.kv) {
            ("kv", quota.kv)
        } else if exceeds(rows, quota.rows) {
            ("rows", quota.rows)
        } else {
            return None;
        };

        let limit = bytesize::ByteSize(limit).display().iec();
        Some(Refused::OverQuota(format!(
            "the hook keeps more than [limits] {key} = {limit}: raise it, or keep less"
        )))
    }
}

/// Bytes that a hook removes are never refused.
fn exceeds((added, stored): (i64, i64), limit: u64) -> bool {
    added > 0 && stored + added > limit as i64
}
