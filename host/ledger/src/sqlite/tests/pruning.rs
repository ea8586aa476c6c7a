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
    ledger.prune(Default::default()).await.unwrap();
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
    opened.ledger.prune(Default::default()).await.unwrap();
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
    opened.ledger.prune(Default::default()).await.unwrap();
    // The writer shrinks the file between two batches.
    opened.ledger.prune(Default::default()).await.unwrap();
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
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("hook `waits` uses most") && why.contains("is the hook paused?"),
        "nothing of its hook can make room: {why}"
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

fn rows_of(kib: usize) -> Disposition {
    let row = Row {
        table: "t".into(),
        text: format!("\"{}\"", "r".repeat(kib << 10)),
    };
    let effects = Effects {
        rows: vec![row],
        ..Effects::default()
    };
    let quota = Quota {
        kv: 0,
        rows: 1 << 30,
    };
    Disposition::Done(Results {
        effects,
        ..Results::empty(quota)
    })
}

/// Accepts and runs one event. Returns why it was refused, if so.
async fn run(ledger: &Sqlite, hook: &str, body: &str, ending: Disposition) -> Option<String> {
    if let Err(error) = ledger.accept(new(event(hook, body)), Arc::default()).await {
        return Some(error.to_string());
    }
    let claimed = claim(ledger, hook, 1).await.remove(0);
    let event = Arc::new(claimed.event.unwrap().unwrap());
    let committed = ledger.finish(claimed.fence, event, attempt("x"), ending);
    match committed.await.unwrap() {
        Committed::Stored => None,
        Committed::Refused(Refused::OverQuota(why), _) => {
            ledger
                .finish(
                    claimed.fence,
                    Arc::new(self::event(hook, body).event().clone()),
                    attempt("x"),
                    Disposition::Dead(why.clone()),
                )
                .await
                .unwrap();
            Some(why)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_displace_no_other_history() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        max_size: 4 << 20,
        ..KEEP
    };
    let settings = SqliteSettings {
        retention,
        ..SETTINGS
    };
    let ledger = open_with(dir.path(), settings).ledger;
    let large = "x".repeat(40_000);
    for number in 0..20 {
        run(
            &ledger,
            "quiet",
            &number.to_string(),
            well(Effects::default()),
        )
        .await;
        run(&ledger, "busy", &large, Disposition::Dead("no".into())).await;
    }

    let mut refused = None;
    for _ in 0..500 {
        refused = refused.or(run(&ledger, "store", "x", rows_of(20)).await);
    }
    let why = refused.expect("its rows are over the limit");
    assert!(
        why.contains("hook `store` uses most") && why.contains("events purge --hook store"),
        "{why}"
    );
    let hooks = |counts: Vec<crate::Count>, hook: &str| -> i64 {
        let own = counts.iter().filter(|count| count.hook == hook);
        own.map(|count| count.deliveries).sum()
    };
    let counts = ledger.count().await.unwrap();
    assert_eq!(hooks(counts.clone(), "quiet"), 20);
    assert_eq!(hooks(counts, "busy"), 20);
    for hook in ["quiet", "busy", "new"] {
        let refused = run(&ledger, hook, "x", well(Effects::default())).await;
        assert_eq!(refused, None, "{hook} is accepted");
    }
    assert!(ledger.can_accept());
}

#[tokio::test]
async fn full_ledgers_name_the_largest_hook() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        max_size: 1 << 20,
        ..KEEP
    };
    let settings = SqliteSettings {
        retention,
        ..SETTINGS
    };
    let ledger = open_with(dir.path(), settings).ledger;
    let large = event("paused", &"x".repeat(40_000));
    let fill = async || {
        for _ in 0..100 {
            let one = Stored::new(Event {
                id: EventId::new(SystemTime::UNIX_EPOCH),
                ..large.event().clone()
            });
            if let Err(error) = ledger.accept(new(one), Arc::default()).await {
                return error.to_string();
            }
        }
        panic!("the limit is not kept");
    };
    fill().await;
    let other = ledger
        .accept(new(event("other", "x")), Arc::default())
        .await;
    let why = other.unwrap_err().to_string();
    assert!(why.contains("hook `paused` uses most"), "{why}");

    // The writer looks after each step.
    ledger.prune(Default::default()).await.unwrap();
    ledger.prune(Default::default()).await.unwrap();
    assert!(!ledger.can_accept());
    let refusal = ledger.refusal().unwrap().to_string();
    assert!(refusal.contains("hook `paused` uses most"), "{refusal}");
    let described = describe_size(dir.path(), 1 << 20).unwrap_err().to_string();
    assert_eq!(described, refusal);

    // What runs makes room again.
    for _ in 0..5 {
        let one = claim(&ledger, "paused", 1).await.remove(0);
        finish(&ledger, one, well(Effects::default())).await;
    }
    ledger.prune(Default::default()).await.unwrap();
    ledger.prune(Default::default()).await.unwrap();
    assert!(ledger.can_accept());
}

#[tokio::test]
async fn history_bytes_are_counted_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    let history = || -> i64 {
        let sql = "SELECT history_bytes FROM used WHERE hook = 'h'";
        other.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let (first, second) = (event("h", "one"), event("h", "second"));
    let bytes = |stored: &Stored| (stored.head().len() + stored.event().body.len()) as i64;
    let record = attempt("x").record.len() as i64;

    accept(&ledger, new(first.clone())).await;
    accept(&ledger, new(second.clone())).await;
    assert_eq!(history(), bytes(&first) + bytes(&second));

    let one = claim(&ledger, "h", 1).await.remove(0);
    finish(&ledger, one, well(Effects::default())).await;
    assert_eq!(history(), bytes(&first) + bytes(&second) + record);

    ledger.purge("h".into(), 10).await.unwrap();
    assert_eq!(history(), 0, "all of it was removed");
}
