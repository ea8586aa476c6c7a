//! Erasure and the retention of hooks, down to the bytes of the files.

use super::*;
use crate::traits::Ledger;
use crate::{ErasedParts, Erasure, Fence, NewRecording, RecordedAttempt, Scrubbed};
use landfall_model::{BatchHold, Hold, HookRetention, HookRetentions};

pub(super) const CANARY: &str = "c4n4ry-0f-a-p3rson";

/// The files of the ledger that contain the text.
pub(super) fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().path());
    let has = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    names
        .filter(has)
        .map(|path| path.display().to_string())
        .collect()
}

pub(super) fn canary(name: &str) -> String {
    format!("{CANARY}-{name}")
}

/// An event with a canary in each of its parts.
pub(super) fn secret_event() -> Stored {
    let event = event("h", &canary("body")).into_event();
    let mut headers = event.headers.clone();
    headers.insert("y", canary("header").parse().unwrap());
    Stored::new(Event {
        path: format!("/{}", canary("path")),
        query: Some(canary("query")),
        headers,
        attributes: vec![("delivery-id".into(), canary("attribute"))],
        ..event
    })
}

/// Effects with a canary in each.
fn secret_effects() -> Effects {
    Effects {
        rows: vec![Row {
            table: "t".into(),
            text: format!("{{\"a\":\"{}\",\"n\":1.50}}", canary("row")),
        }],
        writes: vec![
            KvWrite {
                key: "k".into(),
                change: KvChange::Set(KvValue::of(canary("value").into()), None),
            },
            KvWrite {
                key: "sum".into(),
                change: KvChange::Add(7, None),
            },
        ],
        ..Effects::default()
    }
}

/// An attempt with a canary in each of its parts.
pub(super) fn secret_attempt() -> AttemptRecord {
    AttemptRecord {
        reason: canary("reason"),
        record: format!("{{\"log\":[\"{}\"]}}", canary("log")),
        ..attempt("done")
    }
}

/// Stores the event and ends it with everything that an attempt can leave.
pub(super) async fn store(ledger: &dyn Ledger, stored: Stored) {
    let hook = stored.event().hook.clone();
    ledger.accept(new(stored), Arc::default()).await.unwrap();
    end_next(ledger, hook).await;
}

/// Ends the next delivery of the hook with everything that an attempt can leave.
pub(super) async fn end_next(ledger: &dyn Ledger, hook: Arc<str>) {
    let mut claimed = ledger.claim(vec![(hook, 1)]).await.unwrap();
    let claimed = claimed.remove(0).1.remove(0);
    let event = Arc::new(claimed.event.unwrap().unwrap());
    let recording = secret_recording(claimed.fence, event.id);
    let ending = Disposition::Done(Results {
        effects: secret_effects(),
        reply: Some(canary("reply").into()),
        ..Results::empty(Quota {
            kv: 1 << 20,
            rows: 1 << 20,
        })
    });
    let ended = ledger.finish(claimed.fence, event, secret_attempt(), ending);
    let stored = ended.await;
    assert_eq!(stored.unwrap(), Committed::Stored);
    let missing = ledger.store_recordings(vec![recording]).await;
    assert!(missing.unwrap().is_empty());
}

fn secret_recording(fence: Fence, event: EventId) -> NewRecording {
    NewRecording {
        of: RecordedAttempt::OfLease(fence),
        event,
        hook: "h".into(),
        keep: None,
        recording: format!("{{\"a\":\"{}\"}}", canary("recording")).into(),
    }
}

/// Erases an event. Returns what was removed.
async fn erase(ledger: &Sqlite, id: EventId) -> ErasedParts {
    let erased = ledger.erase(vec![id], 1, false).await.unwrap();
    let Erasure::Erased(parts) = erased[0] else {
        panic!("{erased:?}");
    };
    parts
}

/// No file of the ledger has a canary, once it is scrubbed.
async fn assert_clean(ledger: &Sqlite, dir: &Path) {
    assert_eq!(ledger.scrub().await.unwrap(), Scrubbed::Clean);
    assert_eq!(files_with(dir, CANARY), Vec::<String>::new());
}

/// A recording that arrives after its event was erased is not stored.
async fn assert_late(ledger: &Sqlite, late: NewRecording) {
    let missing = ledger.store_recordings(vec![late]).await.unwrap();
    assert_eq!(missing, [0]);
}

#[tokio::test]
async fn erased_events_leave_their_fact() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = secret_event();
    let id = stored.event().id;
    store(&ledger, stored).await;
    assert!(!files_with(dir.path(), CANARY).is_empty());

    let dry = ledger.erase(vec![id], 1, true).await.unwrap();
    let Erasure::Erased(parts) = dry[0] else {
        panic!("{dry:?}");
    };
    assert_eq!((parts.attempts, parts.rows, parts.values), (1, 1, 1));
    assert!(ledger.show(id).await.unwrap().unwrap().event.is_some());

    assert_eq!(erase(&ledger, id).await, parts);
    assert_clean(&ledger, dir.path()).await;

    let shown = ledger.show(id).await.unwrap().unwrap();
    assert!(shown.event.is_none());
    assert_eq!(shown.deliveries[0].state, DeliveryState::Done);
    assert_eq!(
        shown.deliveries[0].erased_at.as_deref(),
        Some("1970-01-01T00:00:00.001Z")
    );
    assert_eq!(
        (shown.attempts.len(), shown.attempts[0].outcome.as_str()),
        (1, "done")
    );
    let sum = ledger.get("h".into(), "sum".into()).await.unwrap();
    assert_eq!(sum.unwrap().number(), Some(7), "several events add to it");
    assert_eq!(
        ledger.erase(vec![id], 1, false).await.unwrap(),
        [Erasure::Before]
    );
    let replayed = ledger.replay(order(vec![id])).await.unwrap();
    assert_eq!(replayed, [Replayed::Erased]);
}

/// An event that runs in a batch of two.
fn of_two(stored: Stored) -> NewEvent {
    let batch = BatchHold {
        key: Vec::new(),
        count: 2,
        time: DAY,
        bytes_max: 1000,
        bytes: 10,
    };
    NewEvent {
        admission: Admission::Hold(Hold {
            debounce: None,
            batch: Some(batch),
        }),
        ..new(stored)
    }
}

#[tokio::test]
async fn erased_members_leave_nothing_in_batches() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (first, second) = (event("h", "a"), secret_event());
    let id = second.event().id;
    for stored in [first, second] {
        accept(&ledger, of_two(stored)).await;
    }
    end_next(&ledger, "h".into()).await;

    // What the handler made of the batch is stored under its first event.
    let parts = erase(&ledger, id).await;
    assert_eq!((parts.attempts, parts.rows, parts.values), (0, 1, 1));
    assert_clean(&ledger, dir.path()).await;
}

#[tokio::test]
async fn erased_members_leave_no_reason() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (first, second) = (event("h", "a"), secret_event());
    let id = second.event().id;
    for stored in [first, second] {
        accept(&ledger, of_two(stored)).await;
    }
    let batch = claim(&ledger, "h", 1).await.remove(0);
    finish(&ledger, batch, Disposition::Split(canary("why"))).await;
    for one in claim(&ledger, "h", 2).await {
        let is_second = one.event.as_ref().is_some_and(|event| {
            let event = event.as_ref().unwrap();
            event.id == id
        });
        if is_second {
            let ending = Disposition::Done(Results::empty(Quota { kv: 0, rows: 0 }));
            finish(&ledger, one, ending).await;
        }
    }

    erase(&ledger, id).await;
    assert_clean(&ledger, dir.path()).await;
}

#[tokio::test]
async fn open_events_are_not_erased() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = secret_event();
    let id = stored.event().id;
    accept(&ledger, new(stored)).await;
    assert_eq!(
        ledger.erase(vec![id], 1, false).await.unwrap(),
        [Erasure::Open]
    );

    let dead = claim(&ledger, "h", 1).await.remove(0);
    finish(&ledger, dead, Disposition::Dead(canary("why"))).await;
    erase(&ledger, id).await;
    let states = states(&ledger).await;
    assert_eq!(
        states[0].0,
        DeliveryState::Discarded,
        "no dead letter is left"
    );
    let unknown = EventId::new(SystemTime::UNIX_EPOCH);
    assert_eq!(
        ledger.erase(vec![unknown], 1, false).await.unwrap(),
        [Erasure::Unknown]
    );
}

#[tokio::test]
async fn emitted_events_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let parent = event("h", "a");
    let id = parent.event().id;
    accept(&ledger, new(parent)).await;
    let claimed = claim(&ledger, "h", 1).await.remove(0);
    let child = event("i", "b");
    let child_id = child.event().id;
    let ending = Disposition::Done(Results {
        emitted: vec![new(child)],
        ..Results::empty(Quota { kv: 0, rows: 0 })
    });
    finish(&ledger, claimed, ending).await;
    assert_eq!(ledger.emitted_by(vec![id], 10).await.unwrap(), [child_id]);
    assert!(
        ledger
            .emitted_by(vec![child_id], 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn scrubbed_ledgers_open_again() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    for _ in 0..3 {
        accept(&opened.ledger, new(event("h", "a"))).await;
        assert_eq!(opened.ledger.scrub().await.unwrap(), Scrubbed::Clean);
    }
    let opened = reopen(opened, dir.path()).await;
    accept(&opened.ledger, new(event("h", "b"))).await;
    assert_eq!(states(&opened.ledger).await.len(), 4);
}

#[tokio::test]
async fn hooks_have_their_own_retention() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    for hook in ["short", "long", "broken", "other"] {
        accept(&ledger, new(event(hook, "a"))).await;
        let claimed = claim(&ledger, hook, 1).await.remove(0);
        finish(&ledger, claimed, well(Effects::default())).await;
    }
    let own = |deliveries: u32| HookRetention {
        deliveries: Some(deliveries * DAY),
        ..HookRetention::default()
    };
    let short = HookRetention {
        bodies: Some(DAY),
        ..own(2)
    };
    let named = [
        ("short".into(), short),
        ("long".into(), own(9)),
        ("broken".into(), HookRetention::UNKNOWN),
        ("other".into(), HookRetention::default()),
    ];
    let hooks = Arc::new(HookRetentions {
        named: named.into(),
        ..HookRetentions::default()
    });
    let node = Retention {
        deliveries: 5 * DAY,
        bodies: 4 * DAY,
        max_size: u64::MAX,
    };

    let now = ledger.now();
    let left = async |days: f64| {
        let (hooks, now) = (hooks.clone(), now.plus(DAY.mul_f64(days)));
        let step = move |tx: &Connection| {
            super::super::retention::step(tx, &node, &hooks, now)?;
            let sql =
                "SELECT d.hook || CASE WHEN p.event IS NULL THEN '' ELSE '+' END FROM deliveries d
                       LEFT JOIN payloads p ON p.event = d.event ORDER BY d.hook";
            let mut select = tx.prepare(sql)?;
            let found = select.query_map([], |row| row.get::<_, String>(0))?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        let options = super::super::work::WriteOptions::reclaim(super::super::work::Sync::Relaxed);
        ledger.writer.write(options, step).await.unwrap().join(" ")
    };
    assert_eq!(left(0.5).await, "broken+ long+ other+ short+");
    assert_eq!(left(1.5).await, "broken+ long+ other+ short");
    assert_eq!(left(2.5).await, "broken+ long+ other+");
    assert_eq!(left(4.5).await, "broken+ long other");
    assert_eq!(left(5.5).await, "broken+ long");
    assert_eq!(left(100.0).await, "broken+");
}

/// Looks for hook files at this time. Returns the hooks that have had none for long enough.
async fn gone(ledger: &Sqlite, hooks: &HookRetentions, now: LedgerTime) -> Vec<String> {
    let hooks = hooks.clone();
    let look = move |tx: &Connection| super::super::missing::look(tx, &hooks, now);
    let options = super::super::work::WriteOptions::reclaim(super::super::work::Sync::Relaxed);
    ledger.writer.write(options, look).await.unwrap()
}

#[tokio::test]
async fn missing_hooks_are_counted_across_restarts() {
    const LOOK: Duration = Duration::from_secs(300);
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    for hook in ["away", "here"] {
        accept(&opened.ledger, new(event(hook, "a"))).await;
    }
    let mut hooks = HookRetentions {
        named: [("here".into(), HookRetention::default())].into(),
        missing_for: HookRetentions::MISSING_FOR,
    };
    let mut now = opened.ledger.now();
    let none: [&str; 0] = [];
    for look in 0..288 {
        assert_eq!(gone(&opened.ledger, &hooks, now).await, none, "{look}");
        if look % 100 == 99 {
            opened = reopen(opened, dir.path()).await;
        }
        now = now.plus(LOOK);
    }
    assert_eq!(gone(&opened.ledger, &hooks, now).await, ["away"]);

    // Its file is back, and vanishes again.
    let named = hooks.named.clone();
    hooks.named.insert("away".into(), HookRetention::default());
    assert_eq!(gone(&opened.ledger, &hooks, now).await, none);
    hooks.named = named;
    // Time in which no node looks counts little.
    for hours in [0_u32, 23, 23, 60, 23] {
        now = now.plus(hours * 12 * LOOK);
        assert_eq!(gone(&opened.ledger, &hooks, now).await, none, "{hours}");
    }
}

#[tokio::test]
async fn damaged_notes_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    accept(&opened.ledger, new(event("away", "a"))).await;
    let hooks = HookRetentions {
        missing_for: HookRetentions::MISSING_FOR,
        ..HookRetentions::default()
    };
    let now = opened.ledger.now();
    let none: [&str; 0] = [];
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    for damage in ["until = 'soon'", "value = 'many'", "key = x'ff'"] {
        assert_eq!(gone(&opened.ledger, &hooks, now).await, none, "{damage}");
        let change = format!("UPDATE kv SET {damage} WHERE hook = '_missing'");
        other.execute_batch(&change).unwrap();
        assert_eq!(gone(&opened.ledger, &hooks, now).await, none, "{damage}");
    }
}

#[tokio::test]
async fn late_recordings_of_erased_events_go() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let stored = event("h", "a");
    let id = stored.event().id;
    accept(&ledger, new(stored)).await;
    let claimed = claim(&ledger, "h", 1).await.remove(0);
    let fence = claimed.fence;
    finish(&ledger, claimed, well(Effects::default())).await;
    erase(&ledger, id).await;
    assert_late(&ledger, secret_recording(fence, id)).await;
}

#[tokio::test]
async fn late_recordings_of_batches_go() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (first, second) = (event("h", "a"), event("h", "b"));
    let (id, member) = (first.event().id, second.event().id);
    for stored in [first, second] {
        accept(&ledger, of_two(stored)).await;
    }
    let claimed = claim(&ledger, "h", 1).await.remove(0);
    let fence = claimed.fence;
    finish(&ledger, claimed, well(Effects::default())).await;
    erase(&ledger, member).await;
    assert_late(&ledger, secret_recording(fence, id)).await;
}
