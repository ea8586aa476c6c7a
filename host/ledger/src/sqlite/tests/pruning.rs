//! What is removed, and when.

use super::*;

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
