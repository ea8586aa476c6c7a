//! Tests against a real file. This file has what they share.

mod attempts;
mod damage;
mod duplicates;
mod encryption;
mod flow;
mod flow_faults;
mod history;
mod lost_files;
mod privacy;
mod pruning;
mod recordings;
mod tries;
mod values;

use super::*;
use crate::flow_counts::{FlowCount, FlowNotes, FlowStep};
use crate::traits::{Deliveries, History, Kv, Notes};
use crate::{
    Accepted, AlreadyEnded, AttemptRecord, Claimed, Committed, Corrupt, DedupKey, Disposition,
    Filter, NewEvent, OpenState, Received, Refused, ReplayOrder, Replayed, Results, Started, Step,
    Stored, StoredTiming,
};
use landfall_model::{
    Admission, DeliveryState, Effects, Event, EventId, IdMatch, KvChange, KvExpected, KvValue,
    KvWrite, Quota, Row, Timing,
};

struct Opened {
    ledger: Sqlite,
    recovered: Recovered,
}

const DAY: Duration = Duration::from_secs(86_400);

const KEEP: Retention = Retention {
    deliveries: DAY,
    bodies: DAY,
    max_size: u64::MAX,
};

const SETTINGS: SqliteSettings = SqliteSettings {
    min_free_space: 0,
    reserve: 0,
    retention: KEEP,
    recover_with_data_loss: false,
};

fn open(dir: &Path) -> Opened {
    open_with(dir, SETTINGS)
}

fn open_with(dir: &Path, settings: SqliteSettings) -> Opened {
    let (ledger, recovered) = Sqlite::open(
        dir,
        settings,
        SystemTime::UNIX_EPOCH,
        Arc::new(|error: &LedgerError| panic!("{error}")),
    )
    .unwrap();
    Opened { ledger, recovered }
}

/// As after `kill -9`: the lock ends with the process.
async fn reopen(opened: Opened, dir: &Path) -> Opened {
    drop(opened);
    // The writer thread closes the file a moment later.
    for _ in 0..200 {
        if place::lock(dir).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    open(dir)
}

fn event(hook: &str, body: &str) -> Stored {
    let mut headers = http::HeaderMap::new();
    headers.append("x", "1".parse().unwrap());
    headers.append("x", http::HeaderValue::from_bytes(b"\xff").unwrap());
    Stored::new(Event {
        id: EventId::new(SystemTime::UNIX_EPOCH),
        hook: hook.into(),
        received_at: SystemTime::UNIX_EPOCH + Duration::from_millis(7),
        method: http::Method::POST,
        path: "/h".into(),
        query: Some("q=1".into()),
        headers,
        body: body.to_owned().into(),
        attributes: vec![("delivery-id".into(), "d".into())],
    })
}

fn new(stored: Stored) -> NewEvent {
    NewEvent {
        stored,
        dedup: None,
        order_key: None,
        delay: Duration::ZERO,
        run_now: false,
        dead: None,
        admission: Admission::Run,
    }
}

fn attempt(outcome: &'static str) -> AttemptRecord {
    let record = "{\"log\":[]}".into();
    AttemptRecord {
        started_ms: 1,
        duration_us: 2,
        outcome,
        reason: "because".into(),
        status: None,
        record,
    }
}

async fn accept(ledger: &Sqlite, new: NewEvent) -> Accepted {
    ledger.accept(new, Arc::default()).await.unwrap()
}

async fn claim(ledger: &Sqlite, hook: &str, max: usize) -> Vec<Claimed> {
    ledger
        .claim(vec![(hook.into(), max)])
        .await
        .unwrap()
        .remove(0)
        .1
}

async fn finish(ledger: &Sqlite, claimed: Claimed, ending: Disposition) -> bool {
    let event = Arc::new(claimed.event.unwrap().unwrap());
    ledger
        .finish(claimed.fence, event, attempt("x"), ending)
        .await
        .unwrap()
        == Committed::Stored
}

fn well(effects: Effects) -> Disposition {
    Disposition::Done(Results {
        effects,
        ..Results::empty(Quota {
            kv: 1 << 20,
            rows: 1 << 20,
        })
    })
}

fn order(events: Vec<EventId>) -> ReplayOrder {
    ReplayOrder {
        events: events.into_iter().map(|event| (event, None)).collect(),
        delay: Duration::ZERO,
        apart: Duration::ZERO,
        again: false,
        dry_run: false,
    }
}

async fn states(ledger: &Sqlite) -> Vec<(DeliveryState, u32, Option<String>)> {
    let filter = Filter {
        limit: 100,
        after: Some(0),
        ..Filter::default()
    };
    let listed = ledger.list(filter).await.unwrap();
    listed
        .into_iter()
        .map(|one| (one.state, one.attempt, one.reason))
        .collect()
}

fn identified(hook: &str, body: &str, id_match: IdMatch) -> NewEvent {
    NewEvent {
        dedup: Some(DedupKey {
            key: b"id-1".to_vec(),
            id_match,
            window: DAY,
        }),
        ..new(event(hook, body))
    }
}

fn joined(of: EventId, state: OpenState) -> Accepted {
    Accepted::Joined { of, state }
}
