//! What becomes of attempts: done, retried, dead, lost with their process.

use super::*;

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
async fn done_replays_resolve_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = event("h", "1");
    accept(&ledger, new(stored.clone())).await;
    accept(&ledger, new(event("h", "2"))).await;
    for one in claim(&ledger, "h", 2).await {
        assert!(finish(&ledger, one, Disposition::Dead("no".into())).await);
    }

    for ending in [Disposition::Dead("no".into()), well(Effects::default())] {
        ledger.replay(order(vec![stored.event().id])).await.unwrap();
        let replay = claim(&ledger, "h", 1).await.remove(0);
        assert!(finish(&ledger, replay, ending).await);
    }

    let states: Vec<DeliveryState> = states(&ledger)
        .await
        .into_iter()
        .map(|(state, ..)| state)
        .collect();
    let expected = [
        DeliveryState::Resolved,
        DeliveryState::Dead,
        DeliveryState::Resolved,
        DeliveryState::Done,
    ];
    assert_eq!(states, expected, "the other event is still dead");
}

#[tokio::test]
async fn events_start_when_they_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let started = |order_key: Option<&str>| NewEvent {
        run_now: true,
        order_key: order_key.map(str::to_owned),
        ..new(event("h", "1"))
    };
    let attempts = async |new| match accept(&opened.ledger, new).await {
        Accepted::New { fence, .. } => fence.map(|fence| fence.attempt),
        other => panic!("{other:?}"),
    };

    assert_eq!(attempts(started(None)).await, Some(1));
    assert_eq!(attempts(started(Some("key"))).await, Some(1));
    assert_eq!(attempts(started(Some("key"))).await, None, "it is blocked");
    assert!(claim(&opened.ledger, "h", 10).await.is_empty());

    let opened = reopen(opened, dir.path()).await;
    assert_eq!(
        opened.recovered,
        Recovered { freed: 2, dead: 0 },
        "the attempts count, and their events run again"
    );
    let again = claim(&opened.ledger, "h", 10).await;
    let attempts: Vec<u32> = again.iter().map(|one| one.fence.attempt).collect();
    assert_eq!(attempts, [2, 2]);
}
