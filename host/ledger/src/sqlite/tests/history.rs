//! What operators see and replay.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn young_events_are_found_by_id() {
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
async fn backlogs_are_counted_by_partial_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let _opened = open(dir.path());
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    let sql = format!("EXPLAIN QUERY PLAN {}", read::backlogs_sql());
    let mut select = other.prepare(&sql).unwrap();
    let plan: Vec<String> = select
        .query_map([], |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for index in ["due", "key", "waiting", "running", "failed"] {
        let scan = format!(" INDEX deliveries_{index}");
        assert!(plan.iter().any(|line| line.ends_with(&scan)), "{plan:?}");
    }
    let scans = plan.iter().filter(|line| line.contains("deliveries"));
    assert_eq!(scans.count(), 5, "{plan:?}");
}

#[tokio::test]
async fn times_are_stored_with_events() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let timed = event("h", "1").with_timing(Timing {
        read_at: Instant::now().checked_sub(Duration::from_millis(5)),
        verify: Some(Duration::from_micros(120)),
    });
    let untimed = event("h", "2");
    for stored in [&timed, &untimed] {
        accept(&ledger, new(stored.clone())).await;
    }

    let timing = async |stored: &Stored| {
        let shown = ledger.show(stored.event().id).await.unwrap();
        shown.expect("the event is stored").timing
    };
    let found = timing(&timed).await;
    assert_eq!(found.verify_us, Some(120));
    assert!(found.stored_us.is_some_and(|us| us >= 5_000), "{found:?}");
    assert_eq!(timing(&untimed).await, StoredTiming::default());
}

#[tokio::test]
async fn counts_follow_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    let check = async |expected: &[(&str, DeliveryState, i64)]| {
        let sql = "SELECT hook, state, count(*) FROM deliveries GROUP BY hook, state ORDER BY hook, state";
        let mut select = other.prepare(sql).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let stored = select.query_map([], row).unwrap();
        let stored: Vec<(String, i16, i64)> = stored.collect::<Result<_, _>>().unwrap();
        let counted = ledger.count().await.unwrap();
        let counted: Vec<(String, i16, i64)> = counted
            .into_iter()
            .map(|count| (count.hook, count.state.number(), count.deliveries))
            .collect();
        assert_eq!(counted, stored);
        let expected: Vec<(String, i16, i64)> = expected
            .iter()
            .map(|(hook, state, count)| ((*hook).to_owned(), state.number(), *count))
            .collect();
        assert_eq!(counted, expected);
    };
    check(&[]).await;

    let events: Vec<Stored> = (0..4).map(|n| event("h", &n.to_string())).collect();
    for stored in &events {
        accept(&ledger, new(stored.clone())).await;
    }
    for body in ["a", "b"] {
        let ordered = NewEvent {
            order_key: Some("k".into()),
            ..new(event("ordered", body))
        };
        accept(&ledger, ordered).await;
    }
    let (pending, done) = (DeliveryState::Pending, DeliveryState::Done);
    check(&[("h", pending, 4), ("ordered", pending, 2)]).await;

    let mut claimed = claim(&ledger, "h", 3).await.into_iter();
    finish(&ledger, claimed.next().unwrap(), well(Effects::default())).await;
    for why in ["no", "never"] {
        let dead = Disposition::Dead(why.into());
        finish(&ledger, claimed.next().unwrap(), dead).await;
    }
    let answered = event("s", "1");
    let failed = Disposition::Dead("no".into());
    ledger
        .record(answered.clone(), attempt("reject"), failed)
        .await
        .unwrap();
    let (running, dead) = (DeliveryState::Running, DeliveryState::Dead);
    claim(&ledger, "h", 1).await;
    check(&[
        ("h", running, 1),
        ("h", done, 1),
        ("h", dead, 2),
        ("ordered", pending, 2),
        ("s", dead, 1),
    ])
    .await;
    let dead_letters: Vec<(String, u64)> = ledger
        .usage()
        .await
        .unwrap()
        .hooks
        .into_iter()
        .map(|hook| (hook.hook, hook.dead))
        .filter(|(_, dead)| *dead > 0)
        .collect();
    assert_eq!(
        dead_letters,
        [("h".to_owned(), 2)],
        "the caller of `s` knows"
    );

    // One is replayed and done, one discarded, the rest removed.
    let replayed = ledger.replay(order(vec![events[1].event().id])).await;
    assert_eq!(replayed.unwrap(), [Replayed::Queued("h".into())]);
    let again = claim(&ledger, "h", 1).await.remove(0);
    finish(&ledger, again, well(Effects::default())).await;
    let discarded = ledger.operate(Step::Discard("old".into()), vec![3]).await;
    assert_eq!(discarded.unwrap(), [3]);
    ledger.purge("ordered".into(), 100).await.unwrap();
    let (resolved, discarded) = (DeliveryState::Resolved, DeliveryState::Discarded);
    check(&[
        ("h", running, 1),
        ("h", done, 2),
        ("h", resolved, 1),
        ("h", discarded, 1),
        ("s", dead, 1),
    ])
    .await;
}

#[tokio::test]
async fn counts_read_no_done_deliveries() {
    let dir = tempfile::tempdir().unwrap();
    let _opened = open(dir.path());
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    let sql = format!("EXPLAIN QUERY PLAN {}", read::counts_sql());
    let mut select = other.prepare(&sql).unwrap();
    let plan: Vec<String> = select
        .query_map([], |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let whole = plan.iter().find(|line| line.ends_with("SCAN deliveries"));
    assert_eq!(whole, None, "{plan:?}");
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
