//! What a ledger is told and what it answers: the steps of a delivery, the same over SQLite and Postgres.

use std::time::Duration;

use uuid::Uuid;

use super::stored::{Corrupt, Stored};
use landfall_model::{Effects, Event, EventId, IdMatch, LedgerTime, Quota};

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
/// How long a broker may bring a wish to run an event again twice.
const REPLAY_WINDOW: Duration = Duration::from_secs(7 * 86_400);

/// The right to run a delivery, told apart from earlier ones by its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The delivery.
    pub delivery: i64,
    /// From 1.
    pub attempt: u32,
}

/// What became of a new event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Stored; with a fence where it was to be run at once.
    New(Option<Fence>),
    /// Stored and run as an event of its own, although an earlier event has the same identity: the bodies differ.
    Conflict {
        /// As in `New`.
        fence: Option<Fence>,
        /// The earlier event.
        first: EventId,
    },
    /// An earlier event is the same delivery: this one was not stored.
    Duplicate(Duplicate),
}

/// The earlier event that a duplicate repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its id.
    pub first: EventId,
    /// The state of its latest delivery.
    pub state: FirstState,
    /// The handler's reply, where it was stored: as `answers::write` writes it.
    pub reply: Option<Vec<u8>>,
}

/// The state of the delivery that a duplicate repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstState {
    /// The next attempt is due after this much time.
    Pending(Duration),
    /// An attempt is running.
    Running,
    /// Handled.
    Done,
    /// It was dead; the duplicate has created a new delivery of it.
    Replayed,
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

/// How a lease ends.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Handled; what it leaves is kept in the same step.
    Done(Results),
    /// Again, after this.
    Retry(Duration),
    /// Never again by itself; the reason is for people.
    Dead(String),
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
    /// The handler's reply, where duplicates get it again: as `answers::write` writes it.
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

/// Whether an ending was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// It was.
    Kept,
    /// The lease is somebody else's by now: nothing was written.
    Lost,
    /// What it leaves cannot be kept: nothing was written, the lease goes on.
    Refused(Refused),
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

/// An event that a broker brings, maybe not for the first time.
#[derive(Debug, Clone)]
pub struct Brought {
    /// The event; when it is due, and who runs it, is the broker's to say.
    pub new: NewEvent,
    /// Which wish to run it again, if it is brought because of one.
    pub replay: Option<Uuid>,
    /// Of the attempt, from 1, where the ledger does not know better.
    pub number: u32,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// It is to be run now, by whoever asks.
    Begun {
        /// The right to run it.
        fence: Fence,
        /// An earlier event with the same identity and another body.
        conflict: Option<EventId>,
    },
    /// It has ended before. Why, where it is dead.
    Ended(Option<String>),
    /// An earlier event is the same delivery: that event's id.
    Duplicate(EventId),
    /// Somebody runs it, or it is not due yet: not before this much time has passed.
    Waits(Duration),
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
    /// The event, or its body, is gone.
    Unknown,
}

/// The events to replay, and when.
#[derive(Debug, Clone)]
pub struct ReplayOrder {
    /// Their ids.
    pub events: Vec<EventId>,
    /// Delay of the first one.
    pub delay: Duration,
    /// Time between two of them.
    pub apart: Duration,
    /// Include events that an operator discarded.
    pub again: bool,
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

/// A duplicate is known by this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupKey {
    /// The fields that identify the delivery, or the digest of the body.
    pub key: Vec<u8>,
    /// Whether a different body under the same key is another event.
    pub id_match: IdMatch,
    /// How long it counts.
    pub window: Duration,
}

// === impl DedupKey ===

impl DedupKey {
    /// A wish to run an event again, apart from the ids of providers.
    pub(super) fn of_replay(replay: &Uuid) -> DedupKey {
        let key = [b"replay\0", &replay.as_bytes()[..]].concat();
        DedupKey {
            key,
            id_match: IdMatch::Id,
            window: REPLAY_WINDOW,
        }
    }

    /// The key of one body under this identity; none where the identity alone decides.
    pub(super) fn of_body(&self, digest: &[u8; 32]) -> Option<DedupKey> {
        match self.id_match {
            IdMatch::Id => None,
            IdMatch::IdAndBody => {
                let key = [&self.key[..], b"\0body\0", digest].concat();
                Some(DedupKey {
                    key,
                    id_match: IdMatch::Id,
                    window: self.window,
                })
            }
        }
    }
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
