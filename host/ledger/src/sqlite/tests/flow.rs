//! Events that are filtered, and events that wait.

use super::*;
use crate::held::NOT_HELD;
use crate::{Deferred, Stranded};
use landfall_model::{BatchHold, DebounceHold, Hold, Keep};

pub(super) const SHORT: Duration = Duration::ZERO;
pub(super) const LONG: Duration = Duration::from_secs(3600);

pub(super) fn held(
    body: &str,
    debounce: Option<DebounceHold>,
    batch: Option<BatchHold>,
) -> NewEvent {
    NewEvent {
        admission: Admission::Hold(Hold { debounce, batch }),
        ..new(event("h", body))
    }
}

pub(super) fn debounce(key: &str, wait: Duration, keep: Keep) -> Option<DebounceHold> {
    Some(DebounceHold {
        key: key.as_bytes().to_vec(),
        wait,
        maximum: LONG,
        keep,
    })
}

pub(super) fn batch(count: u32, time: Duration) -> Option<BatchHold> {
    Some(BatchHold {
        key: Vec::new(),
        count,
        time,
        bytes_max: 1000,
        bytes: 10,
    })
}

pub(super) fn body(event: &Option<Result<Event, Corrupt>>) -> String {
    let event = event.as_ref().unwrap().as_ref().unwrap();
    String::from_utf8(event.body.to_vec()).unwrap()
}

async fn words(ledger: &Sqlite) -> Vec<&'static str> {
    let states = states(ledger).await;
    states.into_iter().map(|(state, ..)| state.word()).collect()
}

#[tokio::test]
async fn filtered_events_are_stored_as_ended() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let filtered = NewEvent {
        admission: Admission::Filtered("json /a is 1".into()),
        run_now: true,
        ..identified("h", "x", IdMatch::Id)
    };
    assert_eq!(accept(&ledger, filtered.clone()).await, Accepted::NEW);
    let found = states(&ledger).await;
    assert_eq!(
        found,
        [(DeliveryState::Filtered, 0, Some("json /a is 1".into()))]
    );
    assert!(claim(&ledger, "h", 9).await.is_empty());
    assert!(ledger.hooks_with_work().await.unwrap().is_empty());

    // A duplicate is none of a dead letter, and a replay runs it.
    let id = filtered.stored.event().id;
    let again = NewEvent {
        stored: event("h", "x"),
        ..filtered
    };
    let duplicate = Accepted::Duplicate {
        of: id,
        reply: None,
    };
    assert_eq!(accept(&ledger, again).await, duplicate);
    let replayed = ledger.replay(order(vec![id])).await.unwrap();
    assert_eq!(replayed, [Replayed::Queued("h".into())]);
    assert!(
        finish(
            &ledger,
            claim(&ledger, "h", 1).await.remove(0),
            well(Effects::default())
        )
        .await
    );
    assert_eq!(words(&ledger).await, ["filtered", "done"]);
    let counts = ledger.count().await.unwrap();
    let count = |state| {
        counts
            .iter()
            .find(|one| one.state == state)
            .unwrap()
            .deliveries
    };
    assert_eq!(
        (count(DeliveryState::Filtered), count(DeliveryState::Done)),
        (1, 1)
    );
}

#[tokio::test]
async fn one_of_a_debounced_group_runs() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for (keep, runs) in [(Keep::Last, "c"), (Keep::First, "a")] {
        for body in ["a", "b", "c"] {
            accept(&ledger, held(body, debounce("k", LONG, keep), None)).await;
        }
        assert!(claim(&ledger, "h", 9).await.is_empty());
        let next = ledger.hooks_with_work().await.unwrap();
        assert_eq!(next.len(), 1, "the scheduler looks again");

        // Now the group is due.
        accept(&ledger, held("d", debounce("k", SHORT, Keep::First), None)).await;
        let claimed = claim(&ledger, "h", 9).await;
        assert_eq!(claimed.len(), 1);
        let ran = body(&claimed[0].event);
        assert_eq!(ran, runs, "{keep:?}");
        let listed = ledger
            .list(Filter {
                limit: 1,
                ..Filter::default()
            })
            .await
            .unwrap();
        assert_eq!(
            listed[0].superseded_by.as_deref(),
            Some(
                claimed[0]
                    .event
                    .as_ref()
                    .unwrap()
                    .as_ref()
                    .unwrap()
                    .id
                    .to_string()
                    .as_str()
            )
        );
        for one in claimed {
            assert!(finish(&ledger, one, well(Effects::default())).await);
        }
    }
}

#[tokio::test]
async fn a_full_batch_ends_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for body in ["a", "b", "c", "d"] {
        accept(&ledger, held(body, None, batch(3, LONG))).await;
    }
    assert_eq!(
        words(&ledger).await,
        ["pending", "waiting", "waiting", "waiting"]
    );
    let mut claimed = claim(&ledger, "h", 9).await;
    assert_eq!(claimed.len(), 1);
    let one = claimed.remove(0);
    let members: Vec<String> = one.members.iter().map(body).collect();
    assert_eq!(
        (body(&one.event).as_str(), members),
        ("a", vec!["b".to_owned(), "c".to_owned()])
    );

    // A retry keeps them together.
    assert!(finish(&ledger, one, Disposition::Retry(Duration::ZERO)).await);
    let one = claim(&ledger, "h", 9).await.remove(0);
    assert_eq!(one.members.len(), 2);
    assert!(finish(&ledger, one, well(Effects::default())).await);
    assert_eq!(words(&ledger).await, ["done", "done", "done", "waiting"]);
    let listed = ledger
        .list(Filter {
            limit: 9,
            ..Filter::default()
        })
        .await
        .unwrap();
    assert_eq!(
        (listed[3].batch_size, listed[0].batch_size),
        (Some(3), Some(1))
    );
    assert_eq!(listed[1].batch.as_ref(), Some(&listed[3].event));
    assert_eq!(listed[0].waits_for, Some("batch"));
}

#[tokio::test]
async fn a_split_batch_runs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for body in ["a", "b", "c"] {
        accept(&ledger, held(body, None, batch(3, LONG))).await;
    }
    let one = claim(&ledger, "h", 9).await.remove(0);
    assert!(finish(&ledger, one, Disposition::Split("timeout".into())).await);
    assert_eq!(words(&ledger).await, ["pending", "pending", "pending"]);
    let claimed = claim(&ledger, "h", 9).await;
    assert_eq!(claimed.len(), 3);
    for one in claimed {
        assert!(one.members.is_empty());
        // The attempt of the batch does not count.
        let number = one.fence.attempt - one.deferred.count;
        assert_eq!((number, one.deferred.since), (1, Deferred::default().since));
        assert!(finish(&ledger, one, Disposition::Dead("no".into())).await);
    }
    assert_eq!(words(&ledger).await, ["dead", "dead", "dead"]);
}

#[tokio::test]
async fn crashing_batches_are_split() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    for body in ["a", "b"] {
        accept(&opened.ledger, held(body, None, batch(2, LONG))).await;
    }
    for _ in 0..3 {
        assert_eq!(claim(&opened.ledger, "h", 9).await.len(), 1);
        opened = reopen(opened, dir.path()).await;
    }
    assert_eq!(words(&opened.ledger).await, ["pending", "pending"]);
    let claimed = claim(&opened.ledger, "h", 9).await;
    assert!(claimed.iter().all(|one| one.members.is_empty()));
    assert_eq!(claimed.len(), 2);
}

#[tokio::test]
async fn groups_lead_to_batches() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for (body, key) in [("a", "k"), ("b", "k"), ("c", "l")] {
        accept(
            &ledger,
            held(body, debounce(key, SHORT, Keep::Last), batch(2, LONG)),
        )
        .await;
    }
    let mut claimed = claim(&ledger, "h", 9).await;
    assert_eq!(
        claimed.len(),
        1,
        "both groups are due, and the batch is full"
    );
    let one = claimed.remove(0);
    assert_eq!(
        (body(&one.event).as_str(), body(&one.members[0]).as_str()),
        ("b", "c")
    );
    assert_eq!(words(&ledger).await, ["superseded", "running", "waiting"]);
}

#[tokio::test]
async fn released_order_keys_run_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for body in ["a", "b", "c", "d"] {
        let new = NewEvent {
            order_key: Some("o".into()),
            ..held(body, None, batch(2, LONG))
        };
        accept(&ledger, new).await;
    }
    let mut first = claim(&ledger, "h", 9).await;
    assert_eq!(first.len(), 1, "the second batch waits for the first");
    assert!(finish(&ledger, first.remove(0), well(Effects::default())).await);
    let second = claim(&ledger, "h", 9).await;
    assert_eq!((second.len(), body(&second[0].event).as_str()), (1, "c"));
}

#[tokio::test]
async fn waiting_events_are_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let new = held("a", debounce("k", LONG, Keep::Last), None);
    let id = new.stored.event().id;
    accept(&ledger, new).await;
    let replayed = ledger.replay(order(vec![id])).await.unwrap();
    assert_eq!(replayed, [Replayed::Waiting]);
    let backlog = ledger.usage().await.unwrap().hooks.remove(0);
    assert_eq!((backlog.waiting, backlog.pending), (1, 0));
}

#[tokio::test]
async fn a_full_batch_is_closed_once() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    // Three groups are due at once. The first debounced event fills the batch, the second begins
    // another one under the same key.
    let debounced = |body, key| held(body, debounce(key, SHORT, Keep::Last), batch(2, SHORT));
    accept(&ledger, debounced("a", "1")).await;
    accept(&ledger, debounced("b", "2")).await;
    accept(&ledger, held("c", None, batch(2, SHORT))).await;

    let full = claim(&ledger, "h", 9).await.remove(0);
    assert_eq!(body(&full.event), "c");
    assert_eq!(full.members.iter().map(body).collect::<Vec<_>>(), ["a"]);
    let next = claim(&ledger, "h", 9).await.remove(0);
    assert_eq!((body(&next.event), next.members.len()), ("b".into(), 0));
}

#[tokio::test]
async fn half_a_purge_leaves_nothing_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for n in 0..60 {
        accept(&ledger, held(&n.to_string(), None, batch(60, LONG))).await;
    }
    assert_eq!(words(&ledger).await.len(), 60);
    // One step removes the event that carries the batch, and not the last of the others.
    assert_eq!(ledger.purge("h".into(), 1).await.unwrap().deliveries, 50);
    assert_eq!(words(&ledger).await, ["pending"; 10]);
}

#[tokio::test]
async fn stranded_events_run_alone() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for body in ["a", "b"] {
        accept(&ledger, held(body, None, batch(2, LONG))).await;
    }
    for body in ["c", "d"] {
        accept(&ledger, held(body, None, batch(9, LONG))).await;
    }
    accept(&ledger, held("e", debounce("k", LONG, Keep::Last), None)).await;

    // Whatever has a group or an open batch waits on.
    let before = ["pending", "waiting", "waiting", "waiting", "waiting"];
    assert_eq!(
        ledger.free_stranded(None).await.unwrap(),
        Stranded::default()
    );
    assert_eq!(words(&ledger).await, before);

    Connection::open(dir.path().join("ledger.db"))
        .unwrap()
        .execute("DELETE FROM held", [])
        .unwrap();
    let behind_all = Some(("h".to_owned(), 5));
    assert_eq!(
        ledger.free_stranded(behind_all).await.unwrap(),
        Stranded::default()
    );
    let step = ledger.free_stranded(None).await.unwrap();
    assert_eq!((step.freed, step.next), (vec![("h".to_owned(), 3)], None));
    let after = ["pending", "waiting", "pending", "pending", "pending"];
    assert_eq!(words(&ledger).await, after);
    let claimed = claim(&ledger, "h", 9).await;
    let members: Vec<usize> = claimed.iter().map(|one| one.members.len()).collect();
    assert_eq!(members.iter().sum::<usize>(), 1, "{members:?}");
    assert_eq!(claimed.len(), 4);
    // A batch that runs is open too.
    assert_eq!(
        ledger.free_stranded(None).await.unwrap(),
        Stranded::default()
    );
}

#[tokio::test]
async fn a_retry_closes_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for body in ["a", "b"] {
        accept(&ledger, held(body, None, batch(9, LONG))).await;
    }
    accept(&ledger, held("c", debounce("k", LONG, Keep::Last), None)).await;
    assert!(claim(&ledger, "h", 9).await.is_empty());
    let done = ledger.operate(Step::RetryNow, vec![2]).await.unwrap();
    assert_eq!(done, [2]);
    let claimed = claim(&ledger, "h", 9).await;
    assert_eq!((claimed.len(), claimed[0].members.len()), (1, 1));

    // The batch is closed: its member waits for its end.
    let done = ledger.operate(Step::RetryNow, vec![2, 3]).await.unwrap();
    assert_eq!(done, [3]);
    assert_eq!(claim(&ledger, "h", 9).await.len(), 1);
}

#[tokio::test]
async fn a_discard_frees_no_second_one() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for body in ["a", "b", "c", "d"] {
        let ordered = NewEvent {
            order_key: Some("o".into()),
            ..new(event("h", body))
        };
        accept(&ledger, ordered).await;
    }
    let first = claim(&ledger, "h", 9).await.remove(0);
    assert!(finish(&ledger, first, Disposition::Dead("no".into())).await);
    let second = claim(&ledger, "h", 9).await.remove(0);

    // The second one runs: neither a dead nor a blocked one makes room for another.
    let discard = Step::Discard("old".into());
    let done = ledger.operate(discard.clone(), vec![1, 3]).await.unwrap();
    assert_eq!(done, [1, 3]);
    assert!(claim(&ledger, "h", 9).await.is_empty());
    assert!(finish(&ledger, second, Disposition::Retry(LONG)).await);
    assert!(claim(&ledger, "h", 9).await.is_empty());

    // The one that was next makes room.
    assert_eq!(ledger.operate(discard, vec![2]).await.unwrap(), [2]);
    assert_eq!(claim(&ledger, "h", 9).await.len(), 1);
}

#[tokio::test]
async fn events_beyond_the_limit_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    Connection::open(dir.path().join("ledger.db"))
        .unwrap()
        .execute_batch(
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000)
             INSERT INTO held (hook, step, key, first, current, since, due, members, bytes)
             SELECT 'h', 1, CAST('other' || x AS BLOB), -x, -x, 0, 9000000000000000, 1, 0 FROM n",
        )
        .unwrap();
    accept(&ledger, held("a", debounce("k", LONG, Keep::Last), None)).await;
    assert_eq!(ledger.take_flow_counts(), [flow_count(FlowStep::Unheld)]);
    assert_eq!(states(&ledger).await[0].2.as_deref(), Some(NOT_HELD));
    let one = claim(&ledger, "h", 9).await.remove(0);
    assert!(finish(&ledger, one, Disposition::Retry(Duration::ZERO)).await);
    assert!(ledger.take_flow_counts().is_empty(), "it is counted once");

    // A group that is closed makes room for one.
    Connection::open(dir.path().join("ledger.db"))
        .unwrap()
        .execute("DELETE FROM held WHERE first = -1", [])
        .unwrap();
    accept(&ledger, held("b", debounce("k", LONG, Keep::Last), None)).await;
    accept(&ledger, held("c", debounce("l", LONG, Keep::Last), None)).await;
    let both = [
        flow_count(FlowStep::Debounced),
        flow_count(FlowStep::Unheld),
    ];
    assert_eq!(ledger.take_flow_counts(), both);
}

fn flow_count(step: FlowStep) -> FlowCount {
    FlowCount {
        hook: "h".into(),
        step,
        count: 1,
    }
}
