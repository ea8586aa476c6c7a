//! Events with the identity of an earlier one.

use super::*;

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
        ..
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
