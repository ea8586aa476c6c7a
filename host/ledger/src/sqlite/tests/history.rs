//! What operators see and replay.

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
    for index in ["due", "key", "running", "dead"] {
        let scan = format!(" INDEX deliveries_{index}");
        assert!(plan.iter().any(|line| line.ends_with(&scan)), "{plan:?}");
    }
    let scans = plan.iter().filter(|line| line.contains("deliveries"));
    assert_eq!(scans.count(), 4, "{plan:?}");
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
