//! Damaged groups, refused batches, and order keys whose deliveries were removed.

use super::flow::{LONG, SHORT, batch, body, debounce, held};
use super::*;
use crate::{Fence, Stranded};
use landfall_model::{BatchHold, Keep};

fn change(dir: &Path, sql: &str) {
    let other = Connection::open(dir.join("ledger.db")).unwrap();
    other.execute_batch(sql).unwrap();
}

fn damaged(ledger: &Sqlite) -> usize {
    let counts = ledger.take_flow_counts();
    let damaged = counts
        .iter()
        .filter(|one| one.step == FlowStep::Damaged)
        .map(|one| one.count);
    damaged.sum()
}

fn freed(count: usize) -> Stranded {
    Stranded {
        freed: vec![("h".into(), count)],
        next: None,
    }
}

#[tokio::test]
async fn damaged_groups_stop_nothing() {
    for damage in [
        "first = 'x'",
        "current = 'x'",
        "due = 'x'",
        "due = x'00'",
        "step = 9",
        "step = 'x'",
        "key = CAST(key AS TEXT)",
        "key = CAST(x'ff' AS TEXT)",
        "batch_key = x'00'",
        "batch_key = 7",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let Opened { ledger, .. } = open(dir.path());
        accept(&ledger, held("a", debounce("k", SHORT, Keep::Last), None)).await;
        accept(&ledger, new(event("g", "b"))).await;
        change(dir.path(), &format!("UPDATE held SET {damage}"));

        let hooks = vec![("h".into(), 9), ("g".into(), 9)];
        let claims = ledger.claim(hooks).await.unwrap();
        let of_others: Vec<usize> = claims.iter().map(|(_, all, _)| all.len()).collect();
        assert_eq!(of_others, [0, 1], "{damage}");
        ledger.hooks_with_work().await.unwrap();
        ledger.usage().await.unwrap();

        let step = ledger.free_stranded(None).await.unwrap();
        assert_eq!(step, freed(1), "{damage}");
        assert_eq!(damaged(&ledger), 1, "{damage}");
        let reason = states(&ledger).await[0].2.clone().unwrap();
        assert!(reason.contains("was damaged"), "{damage}: {reason}");
        let claimed = claim(&ledger, "h", 9).await;
        assert_eq!(body(&claimed[0].event), "a", "{damage}");
    }
}

#[tokio::test]
async fn backlogs_leave_out_damaged_times() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    accept(&ledger, held("a", debounce("k", LONG, Keep::Last), None)).await;
    change(dir.path(), "UPDATE held SET due = 'x'");
    let backlog = ledger.usage().await.unwrap().hooks.remove(0);
    assert_eq!((backlog.waiting, backlog.overdue), (1, Duration::ZERO));
}

#[tokio::test]
async fn a_damaged_hook_stops_no_repair() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for key in ["one", "two"] {
        accept(&ledger, held(key, debounce(key, LONG, Keep::Last), None)).await;
    }
    let damage = "DELETE FROM held; UPDATE deliveries SET hook = x'00' WHERE id = 1";
    change(dir.path(), damage);
    assert_eq!(ledger.free_stranded(None).await.unwrap(), freed(1));
    let claimed = claim(&ledger, "h", 9).await;
    assert_eq!(body(&claimed[0].event), "two");
}

#[tokio::test]
async fn damaged_groups_take_no_event() {
    for (hold, other, damage) in [
        (batch(9, LONG), None, "members = 'x'"),
        (batch(9, LONG), None, "due = 'x'"),
        (None, debounce("k", LONG, Keep::Last), "since = 'x'"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let Opened { ledger, .. } = open(dir.path());
        accept(&ledger, held("a", other.clone(), hold.clone())).await;
        change(dir.path(), &format!("UPDATE held SET {damage}"));
        // It begins a new group.
        accept(&ledger, held("b", other, hold)).await;
        assert_eq!(damaged(&ledger), 1, "{damage}");
        assert_eq!(ledger.free_stranded(None).await.unwrap(), freed(1));
        let claimed = claim(&ledger, "h", 9).await;
        assert_eq!((claimed.len(), body(&claimed[0].event).as_str()), (1, "a"));
    }
}

#[tokio::test]
async fn far_groups_are_due_now() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    accept(&ledger, held("a", None, batch(9, LONG))).await;
    accept(&ledger, held("b", debounce("k", LONG, Keep::Last), None)).await;
    let nothing = ledger.free_stranded(None).await.unwrap();
    assert_eq!(nothing, Stranded::default());
    assert!(claim(&ledger, "h", 9).await.is_empty());

    let month = 30 * 86_400_000_i64;
    change(
        dir.path(),
        &format!("UPDATE held SET due = due + {month} WHERE step = 2"),
    );
    let nothing = ledger.free_stranded(None).await.unwrap();
    assert_eq!(nothing, Stranded::default());
    let claimed = claim(&ledger, "h", 9).await;
    assert_eq!((claimed.len(), body(&claimed[0].event).as_str()), (1, "a"));
}

#[tokio::test]
async fn refused_batches_forget_every_identity() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let identified = |id: &str| NewEvent {
        dedup: Some(DedupKey {
            key: id.as_bytes().to_vec(),
            id_match: IdMatch::Id,
            window: DAY,
        }),
        ..held(id, None, batch(2, LONG))
    };
    for (status, is_new) in [(200, false), (503, true)] {
        let ids = [format!("{status}a"), format!("{status}b")];
        for id in &ids {
            accept(&ledger, identified(id)).await;
        }
        let one = claim(&ledger, "h", 9).await.remove(0);
        let answered = AttemptRecord {
            status: Some(status),
            ..attempt("done")
        };
        let event = Arc::new(one.event.unwrap().unwrap());
        ledger
            .finish(one.fence, event, answered, well(Effects::default()))
            .await
            .unwrap();
        for id in &ids {
            let again = accept(&ledger, identified(id)).await;
            assert_eq!(again == Accepted::NEW, is_new, "{id}: {again:?}");
        }
    }
}

fn ordered(new: NewEvent) -> NewEvent {
    NewEvent {
        order_key: Some("o".into()),
        ..new
    }
}

#[tokio::test]
async fn half_a_purge_blocks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for n in 0..60 {
        accept(&ledger, ordered(new(event("h", &n.to_string())))).await;
    }
    assert_eq!(ledger.purge("h".into(), 1).await.unwrap().deliveries, 50);
    let claimed = claim(&ledger, "h", 99).await;
    assert_eq!((claimed.len(), body(&claimed[0].event).as_str()), (1, "50"));
}

#[tokio::test]
async fn a_lost_lease_frees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let waiting = held("a", debounce("k", LONG, Keep::Last), None);
    accept(&ledger, ordered(waiting)).await;
    accept(&ledger, ordered(new(event("h", "b")))).await;
    let running = claim(&ledger, "h", 9).await.remove(0);
    ledger.operate(Step::RetryNow, vec![1]).await.unwrap();
    assert!(claim(&ledger, "h", 9).await.is_empty());

    let lost = Fence {
        attempt: 9,
        ..running.fence
    };
    ledger
        .dead_letter_unreadable(lost, "corrupt".into())
        .await
        .unwrap();
    assert!(claim(&ledger, "h", 9).await.is_empty(), "b still runs");
    assert!(finish(&ledger, running, well(Effects::default())).await);
    assert_eq!(body(&claim(&ledger, "h", 9).await[0].event), "a");
}

#[tokio::test]
async fn another_batch_key_begins_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let keyed = |key: &str| {
        batch(2, SHORT).map(|hold| BatchHold {
            key: key.as_bytes().to_vec(),
            ..hold
        })
    };
    // The event that waits in a debounced group keeps the batch that it was accepted for.
    let old = held("a", debounce("k", SHORT, Keep::Last), keyed("old"));
    accept(&ledger, old).await;
    accept(&ledger, held("b", None, keyed("old"))).await;
    accept(&ledger, held("c", None, keyed("new"))).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        for one in claim(&ledger, "h", 9).await {
            let mut batch: Vec<String> = one.members.iter().map(body).collect();
            batch.insert(0, body(&one.event));
            batch.sort();
            all.push(batch.concat());
        }
    }
    all.sort();
    assert_eq!(all.concat().len(), 3, "each event runs once: {all:?}");
    assert!(all.contains(&"c".to_owned()), "{all:?}");
}
