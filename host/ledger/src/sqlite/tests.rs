//! The life of deliveries, against a real file.

use super::*;
use crate::traits::{Deliveries, History, Kv};
use crate::{
    Accepted, AlreadyEnded, AttemptRecord, Claimed, Committed, Corrupt, DedupKey, Disposition,
    Filter, NewEvent, OpenState, Received, Refused, ReplayOrder, Replayed, Results, Started,
    Stored,
};
use landfall_model::{
    DeliveryState, Effects, Event, EventId, IdMatch, KvChange, KvExpected, KvValue, KvWrite, Quota,
    Row,
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

#[tokio::test]
async fn an_event_ends_once() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let stored = event("h", "body");
    assert_eq!(
        accept(&opened.ledger, new(stored.clone())).await,
        Accepted::NEW
    );
    let opened = reopen(opened, dir.path()).await;
    let mut claimed = claim(&opened.ledger, "h", 10).await;
    assert!(
        claim(&opened.ledger, "h", 10).await.is_empty(),
        "it is leased"
    );
    let one = claimed.remove(0);
    let back = one.event.as_ref().unwrap().as_ref().unwrap();
    assert_eq!(format!("{back:?}"), format!("{:?}", stored.event()));
    let row = Row {
        table: "t".into(),
        text: "{}".into(),
    };
    let fence = one.fence;
    let effects = Effects {
        rows: vec![row],
        ..Effects::default()
    };
    assert!(finish(&opened.ledger, one, well(effects.clone())).await);
    let late = opened
        .ledger
        .finish(
            fence,
            Arc::new(stored.event().clone()),
            attempt("x"),
            well(effects),
        )
        .await;
    assert_eq!(late.unwrap(), Committed::LeaseLost, "a lease ends once");
    assert_eq!(
        opened
            .ledger
            .rows("h".into(), "t".into(), 0, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    let shown = opened
        .ledger
        .show(stored.event().id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (shown.deliveries[0].state, shown.attempts.len()),
        (DeliveryState::Done, 1)
    );
}

#[tokio::test]
async fn retries_wait_and_dead_letters_stay() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    accept(&ledger, new(event("h", "1"))).await;
    let one = claim(&ledger, "h", 1).await.remove(0);
    assert!(finish(&ledger, one, Disposition::Retry(Duration::from_millis(60))).await);
    assert!(claim(&ledger, "h", 1).await.is_empty());
    tokio::time::sleep(Duration::from_millis(80)).await;
    let again = claim(&ledger, "h", 1).await.remove(0);
    assert_eq!(again.fence.attempt, 2);
    assert!(finish(&ledger, again, Disposition::Dead("no".into())).await);
    assert!(claim(&ledger, "h", 1).await.is_empty());
    assert_eq!(
        states(&ledger).await,
        [(DeliveryState::Dead, 2, Some("no".into()))]
    );
}

#[tokio::test]
async fn three_lost_processes_make_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    accept(&opened.ledger, new(event("h", "1"))).await;
    for round in 1..=3 {
        assert_eq!(
            claim(&opened.ledger, "h", 1).await.len(),
            1,
            "round {round}"
        );
        opened = reopen(opened, dir.path()).await;
        assert_eq!(
            opened.recovered,
            Recovered {
                freed: 1,
                dead: usize::from(round == 3)
            }
        );
    }
    assert_eq!(
        states(&opened.ledger).await,
        [(DeliveryState::Dead, 3, Some("crashed-host".into()))]
    );
}

#[tokio::test]
async fn released_attempts_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    accept(&opened.ledger, new(event("h", "1"))).await;
    let one = claim(&opened.ledger, "h", 1).await.remove(0);
    opened
        .ledger
        .release(vec![one.fence], Duration::ZERO)
        .await
        .unwrap();
    let opened = reopen(opened, dir.path()).await;
    assert_eq!(opened.recovered.freed, 0);
    assert_eq!(
        claim(&opened.ledger, "h", 1).await.remove(0).fence.attempt,
        1
    );
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

#[tokio::test]
async fn other_body_is_another_event() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let with = |body: &str| identified("h", body, IdMatch::IdAndBody);
    let (first, second) = (with("a"), with("b"));
    let (id, other) = (first.stored.event().id, second.stored.event().id);
    assert_eq!(accept(&ledger, first).await, Accepted::NEW);
    assert_eq!(
        accept(&ledger, second).await,
        Accepted::New {
            fence: None,
            conflict: Some(id)
        }
    );

    // A retry of either is a duplicate of its own.
    let pending = OpenState::Pending(Duration::ZERO);
    assert_eq!(accept(&ledger, with("a")).await, joined(id, pending));
    let retry = with("b");
    let retry_id = retry.stored.event().id;
    assert_eq!(accept(&ledger, retry).await, joined(other, pending));

    assert_eq!(states(&ledger).await.len(), 2);
    let repeats = ledger.show(id).await.unwrap().unwrap().repeats;
    assert_eq!((repeats.duplicates, repeats.conflicts), (1, 1));
    assert_eq!(repeats.last_conflict, Some(other.to_string()));
    let repeats = ledger.show(other).await.unwrap().unwrap().repeats;
    assert_eq!(
        (repeats.last_duplicate, repeats.conflicts),
        (Some(retry_id.to_string()), 0)
    );
}

#[tokio::test]
async fn identity_alone_decides_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let first = identified("h", "a", IdMatch::Id);
    let id = first.stored.event().id;
    assert_eq!(accept(&ledger, first).await, Accepted::NEW);
    let again = accept(&ledger, identified("h", "b", IdMatch::Id)).await;
    assert_eq!(again, joined(id, OpenState::Pending(Duration::ZERO)));
    assert_eq!(
        accept(&ledger, identified("other", "a", IdMatch::Id)).await,
        Accepted::NEW,
        "of each hook"
    );
    assert_eq!(states(&ledger).await.len(), 2);
}

#[tokio::test]
async fn identity_is_forgotten_after_its_window() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let short = || {
        let dedup = DedupKey {
            key: b"k".to_vec(),
            id_match: IdMatch::Id,
            window: Duration::from_millis(1),
        };
        NewEvent {
            dedup: Some(dedup),
            ..new(event("h", "a"))
        }
    };
    assert_eq!(accept(&ledger, short()).await, Accepted::NEW);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(accept(&ledger, short()).await, Accepted::NEW);
}

#[tokio::test]
async fn duplicate_follows_the_first_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let again = || identified("h", "a", IdMatch::IdAndBody);
    let first = again();
    let id = first.stored.event().id;
    accept(&ledger, first).await;

    let running = claim(&ledger, "h", 1).await.remove(0);
    assert_eq!(
        accept(&ledger, again()).await,
        joined(id, OpenState::Running)
    );
    finish(&ledger, running, Disposition::Dead("no".into())).await;

    assert_eq!(
        accept(&ledger, again()).await,
        joined(id, OpenState::Replayed),
        "the dead one runs again"
    );
    let replay = claim(&ledger, "h", 1).await.remove(0);
    assert!(replay.replayed);
    assert_eq!(replay.event.as_ref().unwrap().as_ref().unwrap().id, id);

    let reply = Some(b"the reply".to_vec());
    let done = Disposition::Done(Results {
        reply: reply.clone(),
        ..Results::empty(Quota { kv: 0, rows: 0 })
    });
    finish(&ledger, replay, done).await;
    let expected = Accepted::Duplicate { of: id, reply };
    assert_eq!(accept(&ledger, again()).await, expected);
    assert_eq!(
        ledger.show(id).await.unwrap().unwrap().repeats.duplicates,
        3
    );
}

#[tokio::test]
async fn duplicate_of_a_lost_body_runs() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let again = || identified("h", "a", IdMatch::IdAndBody);
    accept(&opened.ledger, again()).await;
    let one = claim(&opened.ledger, "h", 1).await.remove(0);
    finish(&opened.ledger, one, Disposition::Dead("no".into())).await;
    let opened = reopen(opened, dir.path()).await;
    drop(opened);
    tokio::time::sleep(Duration::from_millis(100)).await;
    Connection::open(dir.path().join("ledger.db"))
        .unwrap()
        .execute("DELETE FROM payloads", [])
        .unwrap();

    let Opened { ledger, .. } = open(dir.path());
    let only_copy = again();
    let id = only_copy.stored.event().id;
    assert_eq!(accept(&ledger, only_copy).await, Accepted::NEW);
    assert_eq!(
        accept(&ledger, again()).await,
        joined(id, OpenState::Pending(Duration::ZERO))
    );
}

#[tokio::test]
async fn pruned_dead_events_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        deliveries: Duration::ZERO,
        ..KEEP
    };
    let Opened { ledger, .. } = open_with(
        dir.path(),
        SqliteSettings {
            retention,
            ..SETTINGS
        },
    );
    let again = |id: &str| NewEvent {
        dedup: Some(DedupKey {
            key: id.into(),
            id_match: IdMatch::IdAndBody,
            window: DAY,
        }),
        ..new(event("h", "a"))
    };
    let done = again("done");
    let done_id = done.stored.event().id;
    for (new, ending) in [
        (done, well(Effects::default())),
        (again("dead"), Disposition::Dead("no".into())),
    ] {
        accept(&ledger, new).await;
        let one = claim(&ledger, "h", 1).await.remove(0);
        finish(&ledger, one, ending).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    ledger.prune().await.unwrap();
    assert!(states(&ledger).await.is_empty());
    assert_eq!(
        accept(&ledger, again("done")).await,
        Accepted::Duplicate {
            of: done_id,
            reply: None
        }
    );
    assert_eq!(
        accept(&ledger, again("dead")).await,
        Accepted::NEW,
        "a redelivery of what died runs"
    );
}

#[tokio::test]
async fn refused_events_may_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let again = || identified("h", "a", IdMatch::IdAndBody);
    accept(&ledger, again()).await;
    let one = claim(&ledger, "h", 1).await.remove(0);
    let event = Arc::new(one.event.unwrap().unwrap());
    let refused = AttemptRecord {
        status: Some(503),
        ..attempt("done")
    };
    ledger
        .finish(one.fence, event, refused, well(Effects::default()))
        .await
        .unwrap();
    assert_eq!(
        accept(&ledger, again()).await,
        Accepted::NEW,
        "the handler's reply was no 2xx"
    );
}

#[tokio::test]
async fn received_duplicates_do_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let received = |body: &str| Received {
        new: identified("h", body, IdMatch::IdAndBody),
        replay: None,
        number: 1,
    };
    let (first, other) = (received("a"), received("b"));
    let id = first.new.stored.event().id;
    let Started::Run {
        fence,
        conflict: None,
    } = ledger.start(first).await.unwrap()
    else {
        panic!("it begins")
    };
    assert_eq!(
        ledger.start(received("a")).await.unwrap(),
        Started::AlreadyEnded(AlreadyEnded::DuplicateOf(id))
    );
    let Started::Run {
        conflict: Some(first),
        ..
    } = ledger.start(other).await.unwrap()
    else {
        panic!("it begins")
    };
    assert_eq!(first, id);

    let event = Arc::new(event("h", "a").event().clone());
    ledger
        .finish(fence, event, attempt("x"), Disposition::Dead("no".into()))
        .await
        .unwrap();
    let again = received("a");
    let NewEvent { dedup, stored, .. } = &again.new;
    let known = ledger
        .find_duplicate(
            "h".into(),
            dedup.clone().unwrap(),
            *stored.digest(),
            stored.event().id,
        )
        .await;
    assert_eq!(known.unwrap(), Some(joined(id, OpenState::Replayed)));
    assert!(
        matches!(ledger.start(again).await.unwrap(), Started::Run { .. }),
        "in place of the dead one"
    );
}

#[tokio::test]
async fn order_keys_run_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for (key, body) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")] {
        accept(
            &ledger,
            NewEvent {
                order_key: Some(key.into()),
                ..new(event("h", body))
            },
        )
        .await;
    }
    let body = |claimed: &Claimed| {
        claimed
            .event
            .as_ref()
            .unwrap()
            .as_ref()
            .unwrap()
            .body
            .clone()
    };
    let first = claim(&ledger, "h", 10).await;
    assert_eq!(first.iter().map(body).collect::<Vec<_>>(), ["1", "3"]);
    let mut first = first.into_iter();
    assert!(
        finish(
            &ledger,
            first.next().unwrap(),
            Disposition::Retry(Duration::ZERO)
        )
        .await
    );
    assert!(finish(&ledger, first.next().unwrap(), well(Effects::default())).await);
    for expected in ["1", "2", "4"] {
        let next = claim(&ledger, "h", 10).await;
        assert_eq!(next.iter().map(body).collect::<Vec<_>>(), [expected]);
        for one in next {
            assert!(finish(&ledger, one, Disposition::Dead("no".into())).await);
        }
    }
}

#[tokio::test]
async fn damaged_events_are_never_returned() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let stored = event("h", "body");
    accept(&opened.ledger, new(stored.clone())).await;
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    for change in [
        "payloads SET body = 'bodz'",
        "events SET hook = 'g'",
        "events SET received_ms = 8",
        "deliveries SET hook = 'g'",
    ] {
        other
            .execute_batch(&format!("SAVEPOINT s; UPDATE {change};"))
            .unwrap();
        let hook: String = other
            .query_row("SELECT hook FROM deliveries", [], |row| row.get(0))
            .unwrap();
        let mut found = leases::claim(&other, &hook, 1, b"me", LedgerTime(i64::MAX / 2))
            .unwrap()
            .0;
        assert_eq!(
            found.remove(0).event.unwrap().unwrap_err(),
            Corrupt,
            "{change}"
        );
        other.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
    }
}

#[tokio::test]
async fn young_events_are_found_by_their_ids() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let ms = |days: u32| i64::from(days) * DAY.as_millis() as i64;
    for days in [1, 1, 1, 10, 10] {
        let mut young = event("h", "body").event().clone();
        young.received_at = SystemTime::UNIX_EPOCH + DAY * days;
        // An emitted event: its attempt took an hour.
        young.id = EventId::new(young.received_at - Duration::from_secs(3600));
        accept(&ledger, new(Stored::new(young))).await;
    }
    for (days, floor) in [(0, 1), (1, 1), (2, 4), (10, 4), (11, i64::MAX)] {
        let found = ledger.floor_since(ms(days)).await.unwrap();
        assert_eq!(found, Some(floor), "{days} days");
    }
}

#[tokio::test]
async fn young_events_are_found_by_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let _opened = open(dir.path());
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    for (sql, values, index) in [
        (read::YOUNG_EVENTS, 2, "events USING COVERING INDEX"),
        (
            read::FIRST_DELIVERY,
            1,
            "deliveries USING COVERING INDEX deliveries_event (event>?)",
        ),
    ] {
        let mut select = other.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = select
            .query_map(rusqlite::params_from_iter(vec![1; values]), |row| {
                row.get(3)
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let search = format!("SEARCH {index}");
        assert!(
            plan.iter().any(|line| line.starts_with(&search)),
            "{plan:?}"
        );
    }
}

#[tokio::test]
async fn damaged_states_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let repeated = || identified("h", "a", IdMatch::Id);
    let first = repeated();
    let id = first.stored.event().id;
    accept(&ledger, first.clone()).await;
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();

    for damage in ["9", "-1", "'dead'"] {
        let change = format!("UPDATE deliveries SET state = {damage}");
        other.execute_batch(&change).unwrap();
        let NewEvent { dedup, stored, .. } = repeated();
        let dedup = dedup.unwrap();
        let (digest, new_id) = (*stored.digest(), stored.event().id);
        let received = Received {
            new: first.clone(),
            replay: None,
            number: 1,
        };
        let refused = [
            ledger.accept(repeated(), Arc::default()).await.err(),
            ledger
                .find_duplicate("h".into(), dedup, digest, new_id)
                .await
                .err(),
            ledger.start(received).await.err(),
        ];
        for error in refused {
            let said = error.expect("it is refused").to_string();
            assert!(said.contains("state of delivery 1 is damaged"), "{said}");
            assert!(
                said.contains(&format!("landfall events replay {id}")),
                "{said}"
            );
        }
        let events: i64 = other
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .unwrap();
        assert_eq!(events, 1, "nothing was stored");
    }

    let replayed = ledger.replay(order(vec![id])).await.unwrap();
    assert_eq!(replayed, [Replayed::Queued("h".into())]);
    assert_eq!(
        accept(&ledger, repeated()).await,
        joined(id, OpenState::Pending(Duration::ZERO))
    );
}

#[tokio::test]
async fn a_replay_is_a_new_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = event("h", "1");
    accept(&ledger, new(stored.clone())).await;
    let one = claim(&ledger, "h", 1).await.remove(0);
    finish(&ledger, one, Disposition::Dead("no".into())).await;
    let unknown = EventId::from_bytes([0; 16]);
    let replayed = ledger
        .replay(order(vec![stored.event().id, unknown, stored.event().id]))
        .await
        .unwrap();
    assert_eq!(
        replayed,
        [
            Replayed::Queued("h".into()),
            Replayed::Unknown,
            Replayed::Waiting
        ]
    );
    let again = claim(&ledger, "h", 1).await.remove(0);
    assert!(again.replayed && again.fence.attempt == 1);
    assert_eq!(
        again.event.unwrap().unwrap().id.to_string(),
        stored.event().id.to_string()
    );
}

#[tokio::test]
async fn a_selected_delivery_is_repeated_once() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = event("h", "1");
    accept(&ledger, new(stored.clone())).await;
    let one = claim(&ledger, "h", 1).await.remove(0);
    let selected = one.fence.delivery;
    finish(&ledger, one, Disposition::Dead("no".into())).await;

    let selection = |dry_run| ReplayOrder {
        events: vec![(stored.event().id, Some(selected))],
        dry_run,
        ..order(Vec::new())
    };
    let queued = [Replayed::Queued("h".into())];
    for dry_run in [true, true, false] {
        assert_eq!(ledger.replay(selection(dry_run)).await.unwrap(), queued);
    }
    let waits = ledger.replay(selection(false)).await.unwrap();
    assert_eq!(waits, [Replayed::Waiting]);
    let two = claim(&ledger, "h", 1).await.remove(0);
    finish(&ledger, two, well(Effects::default())).await;
    // Another command has selected the first delivery before, and asks now.
    let repeated = ledger.replay(selection(false)).await.unwrap();
    assert_eq!(repeated, [Replayed::Repeated]);
    assert_eq!(
        ledger.replay(order(vec![stored.event().id])).await.unwrap(),
        queued
    );
}

#[tokio::test]
async fn undecodable_messages_are_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = event(crate::UNDECODABLE, "1");
    let dead = NewEvent {
        dead: Some("unreadable"),
        ..new(stored.clone())
    };
    accept(&ledger, dead).await;
    let replayed = ledger.replay(order(vec![stored.event().id])).await.unwrap();
    assert_eq!(replayed, [Replayed::Undecodable]);
}

#[tokio::test]
async fn damaged_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let refuse = || {
        Sqlite::open(
            dir.path(),
            SETTINGS,
            SystemTime::UNIX_EPOCH,
            Arc::new(|_: &LedgerError| {}),
        )
        .err()
        .unwrap()
        .to_string()
    };
    assert!(refuse().contains("belongs to another node"));
    drop(reopen(opened, dir.path()).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    std::fs::remove_file(dir.path().join("ledger.db-wal")).ok();
    std::fs::write(dir.path().join("ledger.db"), [7; 8192]).unwrap();
    let why = refuse();
    assert!(
        why.contains("ledger.db") && why.contains("restore a backup"),
        "{why}"
    );
}

#[tokio::test]
async fn a_full_disk_accepts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SqliteSettings {
        min_free_space: u64::MAX,
        ..SETTINGS
    };
    let (ledger, _) = Sqlite::open(
        dir.path(),
        settings,
        SystemTime::UNIX_EPOCH,
        Arc::new(|_: &LedgerError| {}),
    )
    .unwrap();
    assert!(!ledger.can_accept());
    assert_eq!(
        ledger
            .accept(new(event("h", "1")), Arc::default())
            .await
            .unwrap_err(),
        LedgerError::Full
    );
    assert!(states(&ledger).await.is_empty());
}

#[tokio::test]
async fn done_bodies_are_pruned_first() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        bodies: Duration::ZERO,
        ..KEEP
    };
    let opened = open_with(
        dir.path(),
        SqliteSettings {
            retention,
            ..SETTINGS
        },
    );
    let (done, dead, waits) = (event("done", "1"), event("dead", "2"), event("waits", "3"));
    let dedup = Some(DedupKey {
        key: b"k".to_vec(),
        id_match: IdMatch::Id,
        window: DAY,
    });
    accept(
        &opened.ledger,
        NewEvent {
            dedup: dedup.clone(),
            ..new(done.clone())
        },
    )
    .await;
    accept(&opened.ledger, new(dead.clone())).await;
    accept(&opened.ledger, new(waits.clone())).await;
    let one = claim(&opened.ledger, "done", 1).await.remove(0);
    finish(&opened.ledger, one, well(Effects::default())).await;
    let one = claim(&opened.ledger, "dead", 1).await.remove(0);
    finish(&opened.ledger, one, Disposition::Dead("no".into())).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let has_body = async |ledger: &Sqlite, stored: &Stored| {
        ledger
            .show(stored.event().id)
            .await
            .unwrap()
            .map(|shown| shown.event.is_some())
    };
    opened.ledger.prune().await.unwrap();
    assert_eq!(has_body(&opened.ledger, &done).await, Some(false));
    assert_eq!(
        opened
            .ledger
            .replay(order(vec![done.event().id]))
            .await
            .unwrap(),
        [Replayed::Unknown],
        "there is nothing to replay"
    );
    for stored in [&dead, &waits] {
        assert_eq!(has_body(&opened.ledger, stored).await, Some(true));
    }
    drop(opened);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let retention = Retention {
        max_size: 1,
        ..KEEP
    };
    let opened = open_with(
        dir.path(),
        SqliteSettings {
            retention,
            ..SETTINGS
        },
    );
    opened.ledger.prune().await.unwrap();
    // The writer shrinks the file between two batches.
    opened.ledger.prune().await.unwrap();
    assert_eq!(
        has_body(&opened.ledger, &dead).await,
        None,
        "the hook with the most data loses its oldest"
    );
    assert_eq!(
        has_body(&opened.ledger, &waits).await,
        Some(true),
        "what is pending stays"
    );
    let refused = opened
        .ledger
        .accept(new(event("waits", "4")), Arc::default())
        .await;
    assert_eq!(
        refused,
        Err(LedgerError::OverBound(1)),
        "and nothing of its hook can make room"
    );
    let again = NewEvent {
        dedup,
        ..new(event("done", "1"))
    };
    let expected = Accepted::Duplicate {
        of: done.event().id,
        reply: None,
    };
    assert_eq!(
        accept(&opened.ledger, again).await,
        expected,
        "the id still counts"
    );
}

/// What is on the disk of a process that was killed: a copy, made while it runs.
fn copied(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-synced"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn logs_without_synced_frames_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    for number in 0..20 {
        accept(&opened.ledger, new(event("h", &number.to_string()))).await;
    }
    let whole = copied(dir.path());
    assert_eq!(states(&open(whole.path()).ledger).await.len(), 20);
    let log = std::fs::read(dir.path().join("ledger.db-wal")).unwrap();
    for at in (32..log.len())
        .step_by(log.len() / 40)
        .chain([0, 10, 17, 25])
    {
        let copy = copied(dir.path());
        let mut bad = log.clone();
        bad[at] ^= 4;
        std::fs::write(copy.path().join("ledger.db-wal"), bad).unwrap();
        let refused = Sqlite::open(
            copy.path(),
            SETTINGS,
            SystemTime::UNIX_EPOCH,
            Arc::new(|_: &LedgerError| {}),
        )
        .err();
        let why = refused
            .unwrap_or_else(|| panic!("bit {at} was not noticed"))
            .to_string();
        assert!(why.contains("--recover-with-data-loss"), "{why}");
    }
    let cut = copied(dir.path());
    std::fs::write(cut.path().join("ledger.db-wal"), &log[..log.len() / 2]).unwrap();
    assert!(
        Sqlite::open(
            cut.path(),
            SETTINGS,
            SystemTime::UNIX_EPOCH,
            Arc::new(|_: &LedgerError| {})
        )
        .is_err()
    );
    let settings = SqliteSettings {
        recover_with_data_loss: true,
        ..SETTINGS
    };
    let left = states(&open_with(cut.path(), settings).ledger).await.len();
    assert!((1..20).contains(&left), "{left}");
    assert!(cut.path().join("ledger.db-wal.damaged").exists());
}

fn set(key: &str, value: &str) -> KvWrite {
    KvWrite {
        key: key.into(),
        change: KvChange::Set(KvValue::of(value.to_owned().into()), None),
    }
}

#[tokio::test]
async fn effects_on_changed_values_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    accept(&ledger, new(event("h", "1"))).await;
    let one = claim(&ledger, "h", 1).await.remove(0);
    let (fence, event) = (one.fence, Arc::new(one.event.unwrap().unwrap()));
    let end = |effects: Effects| ledger.finish(fence, event.clone(), attempt("x"), well(effects));
    let expected = vec![KvExpected {
        key: "a".into(),
        value: Some(KvValue::of_number(1)),
    }];
    let row = Row {
        table: "t".into(),
        text: "{}".into(),
    };
    let late = Effects {
        rows: vec![row],
        writes: vec![set("a", "2")],
        expected,
        ..Effects::default()
    };
    assert_eq!(
        end(late).await.unwrap(),
        Committed::Refused(Refused::Changed("a".into()), ())
    );
    assert!(
        ledger
            .rows("h".into(), "t".into(), 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(ledger.get("h".into(), "a".into()).await.unwrap(), None);
    let add = KvWrite {
        key: "a".into(),
        change: KvChange::Add(-3),
    };
    let fine = Effects {
        writes: vec![add, set("b", "text"), set("c/1", ""), set("c/2", "")],
        ..Effects::default()
    };
    assert_eq!(
        end(fine).await.unwrap(),
        Committed::Stored,
        "the lease went on"
    );
    assert_eq!(
        ledger
            .get("h".into(), "a".into())
            .await
            .unwrap()
            .unwrap()
            .number(),
        Some(-3)
    );
    assert_eq!(
        ledger
            .keys("h".into(), "c/".into(), "c/1".into(), 9)
            .await
            .unwrap(),
        ["c/2"]
    );
    assert!(
        ledger
            .keys("g".into(), String::new(), String::new(), 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[test]
fn expired_values_free_their_quota() {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    let used = |connection: &Connection| -> i64 {
        connection
            .query_row("SELECT kv_bytes FROM used", [], |row| row.get(0))
            .unwrap()
    };
    let second = Some(Duration::from_secs(1));
    let brief = KvWrite {
        key: "kéy".into(),
        change: KvChange::Set(KvValue::of_number(41), second),
    };
    kv::write(&connection, "h", &[brief], LedgerTime(0)).unwrap();
    assert_eq!(used(&connection), 6);
    let add = KvWrite {
        key: "kéy".into(),
        change: KvChange::Add(1),
    };
    kv::write(
        &connection,
        "h",
        std::slice::from_ref(&add),
        LedgerTime(999),
    )
    .unwrap();
    let value = |at| {
        kv::get(&connection, "h", "kéy", LedgerTime(at))
            .unwrap()
            .map(|value| value.number().unwrap())
    };
    assert_eq!(
        (value(999), value(1000)),
        (Some(42), None),
        "adding leaves the expiry"
    );
    kv::write(&connection, "h", &[add], LedgerTime(2000)).unwrap();
    assert_eq!(
        (value(2000), value(i64::MAX)),
        (Some(1), Some(1)),
        "what has expired begins anew"
    );
    assert_eq!(used(&connection), 5);
    let brief = KvWrite {
        key: "k".into(),
        change: KvChange::Set(KvValue::of_number(1), second),
    };
    kv::write(&connection, "h", &[brief, set("l", "1")], LedgerTime(0)).unwrap();
    assert_eq!(kv::expire(&connection, LedgerTime(1000), 100).unwrap(), 1);
    assert_eq!(used(&connection), 7);
}
