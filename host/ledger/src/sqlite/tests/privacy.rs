//! Erasure, retention of hooks, and encryption, down to the bytes of the files.

use super::*;
use crate::traits::{Ledger, RawRecords};
use crate::{
    Encryption, Erasure, LedgerKeys, NewRecording, RawKind, RecordedAttempt, RecordingFilter,
    Scrubbed, UnsealedValues, with_keys,
};
use landfall_model::{BatchHold, Hold, HookRetention, HookRetentions};

const CANARY: &str = "c4n4ry-0f-a-p3rson";
const FIRST_KEY: &[u8] = b"1111111111111111111111111111111111111111111111111111111111111111";
const SECOND_KEY: &[u8] = b"2222222222222222222222222222222222222222222222222222222222222222";

/// The files of the ledger that contain the text.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
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

fn canary(name: &str) -> String {
    format!("{CANARY}-{name}")
}

/// An event with a canary in each of its parts.
fn secret_event() -> Stored {
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

/// Stores the event and ends it with everything that an attempt can leave.
async fn store(ledger: &dyn Ledger, stored: Stored) {
    let hook = stored.event().hook.clone();
    ledger.accept(new(stored), Arc::default()).await.unwrap();
    end_next(ledger, hook).await;
}

/// Ends the next delivery of the hook with everything that an attempt can leave.
async fn end_next(ledger: &dyn Ledger, hook: Arc<str>) {
    let mut claimed = ledger.claim(vec![(hook, 1)]).await.unwrap();
    let claimed = claimed.remove(0).1.remove(0);
    let event = Arc::new(claimed.event.unwrap().unwrap());
    let recording = NewRecording {
        of: RecordedAttempt::OfLease(claimed.fence),
        event: event.id,
        hook: event.hook.clone(),
        keep: None,
        recording: format!("{{\"a\":\"{}\"}}", canary("recording")).into(),
    };
    let ending = Disposition::Done(Results {
        effects: secret_effects(),
        reply: Some(canary("reply").into()),
        ..Results::empty(Quota {
            kv: 1 << 20,
            rows: 1 << 20,
        })
    });
    let attempt = AttemptRecord {
        reason: canary("reason"),
        record: format!("{{\"log\":[\"{}\"]}}", canary("log")),
        ..attempt("done")
    };
    let stored = ledger.finish(claimed.fence, event, attempt, ending).await;
    assert_eq!(stored.unwrap(), Committed::Stored);
    let missing = ledger.store_recordings(vec![recording]).await;
    assert!(missing.unwrap().is_empty());
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

    assert_eq!(ledger.erase(vec![id], 1, false).await.unwrap(), dry);
    assert_eq!(ledger.scrub().await.unwrap(), Scrubbed::Clean);
    assert_eq!(files_with(dir.path(), CANARY), Vec::<String>::new());

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
    let erased = ledger.erase(vec![id], 1, false).await.unwrap();
    let Erasure::Erased(parts) = erased[0] else {
        panic!("{erased:?}");
    };
    assert_eq!((parts.attempts, parts.rows, parts.values), (0, 1, 1));
    assert_eq!(ledger.scrub().await.unwrap(), Scrubbed::Clean);
    assert_eq!(files_with(dir.path(), CANARY), Vec::<String>::new());
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
    let erased = ledger.erase(vec![id], 1, false).await.unwrap();
    assert!(matches!(erased[0], Erasure::Erased(_)));
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

async fn sealed(
    ledger: Sqlite,
    secrets: &[&'static [u8]],
) -> (Arc<dyn Ledger>, Encryption, Arc<Sqlite>) {
    let below = Arc::new(ledger);
    let keys = LedgerKeys::new(secrets.iter().map(|secret| ("env:KEY", *secret))).unwrap();
    let (ledger, encryption) = with_keys(below.clone(), Some(keys)).await.unwrap();
    (ledger, encryption.unwrap(), below)
}

async fn pass(encryption: &Encryption) -> u64 {
    let done = encryption.pass(Duration::ZERO, &|_| {}).await.unwrap();
    assert_eq!(done.left, 0, "{done:?}");
    done.encrypted
}

/// Everything that is read of the event is as it was stored.
async fn assert_readable(ledger: &dyn Ledger, stored: &Stored) {
    let id = stored.event().id;
    let shown = ledger.show(id).await.unwrap().unwrap();
    let event = shown.event.unwrap().unwrap();
    assert_eq!(Stored::new(event).head(), stored.head());
    assert_eq!(shown.attempts[0].reason, canary("reason"));
    assert_eq!(shown.attempts[0].record["log"][0], canary("log"));
    let rows = ledger.rows("h".into(), "t".into(), 0, 10).await.unwrap();
    assert_eq!(
        (&rows[0].row["a"], rows[0].damaged),
        (&canary("row").into(), false)
    );
    let values = ledger
        .values("h".into(), String::new(), String::new(), 10, 6)
        .await;
    let values = values.unwrap();
    assert_eq!(
        (values[0].bytes, &values[0].beginning[..]),
        (canary("value").len() as i64, &b"c4n4ry"[..])
    );
    let value = ledger.get("h".into(), "k".into()).await.unwrap().unwrap();
    assert_eq!(value.bytes, canary("value"));
    let sum = ledger.get("h".into(), "sum".into()).await.unwrap().unwrap();
    assert_eq!(sum.number(), Some(7));
    let parts = crate::Parts {
        event: true,
        attempts: true,
    };
    let delivery = shown.deliveries[0].delivery;
    let found = ledger.contents(vec![delivery], parts).await.unwrap();
    let event = found[&delivery].event.as_ref().unwrap();
    assert_eq!(event.body, stored.event().body);
    let filter = RecordingFilter {
        limit: 10,
        ..RecordingFilter::default()
    };
    let recordings = ledger.recordings(filter).await.unwrap();
    let recording = String::from_utf8(recordings[0].recording.clone()).unwrap();
    assert!(recording.contains(&canary("recording")), "{recording}");
}

#[tokio::test]
async fn encrypted_ledgers_have_no_plain_content() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, encryption, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let stored = secret_event();
    store(&*ledger, stored.clone()).await;
    assert_eq!(files_with(dir.path(), CANARY), Vec::<String>::new());
    assert_readable(&*ledger, &stored).await;

    // The digest of the body would tell what a short body is.
    let raw = below.raw(RawKind::Events, None, 10).await.unwrap();
    assert_ne!(raw[0].parts[2].as_deref(), Some(&stored.digest()[..]));
    assert_eq!(pass(&encryption).await, 0);
}

#[tokio::test]
async fn duplicates_of_encrypted_events_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, ..) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let body_key = |body: &str| event("h", body).digest().to_vec();
    for (key, id_match) in [
        (b"id\0a".to_vec(), IdMatch::IdAndBody),
        (body_key("a"), IdMatch::Id),
    ] {
        let one = |body: &str| NewEvent {
            dedup: Some(DedupKey {
                key: key.clone(),
                id_match,
                window: DAY,
            }),
            ..new(event("h", body))
        };
        let first = one("a");
        let id = first.stored.event().id;
        assert_eq!(
            ledger.accept(first, Arc::default()).await.unwrap(),
            Accepted::NEW
        );
        let again = ledger.accept(one("a"), Arc::default()).await.unwrap();
        assert!(
            matches!(again, Accepted::Joined { of, .. } if of == id),
            "{again:?}"
        );
        if id_match == IdMatch::IdAndBody {
            let other = ledger.accept(one("b"), Arc::default()).await.unwrap();
            assert!(matches!(other, Accepted::New { conflict: Some(of), .. } if of == id));
        }
    }
    assert_eq!(
        files_with(dir.path(), "\"path\":\"/h\""),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn duplicates_of_earlier_events_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let one = || {
        let stored = event("h", "a");
        NewEvent {
            dedup: Some(DedupKey {
                key: stored.digest().to_vec(),
                id_match: IdMatch::Id,
                window: DAY,
            }),
            ..new(stored)
        }
    };
    let first = one();
    let id = first.stored.event().id;
    accept(&opened.ledger, first).await;
    let (ledger, encryption, _below) = sealed(opened.ledger, &[FIRST_KEY]).await;
    assert_eq!(pass(&encryption).await, 1);
    let again = ledger.accept(one(), Arc::default()).await.unwrap();
    assert!(
        matches!(again, Accepted::Joined { of, .. } if of == id),
        "{again:?}"
    );
}

#[tokio::test]
async fn compared_values_are_found_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, ..) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    store(&*ledger, secret_event()).await;
    for (expected, is_stored) in [("other", false), (&*canary("value"), true)] {
        ledger
            .accept(new(event("h", "a")), Arc::default())
            .await
            .unwrap();
        let mut claimed = ledger.claim(vec![("h".into(), 10)]).await.unwrap();
        let claimed = claimed.remove(0).1.remove(0);
        let event = Arc::new(claimed.event.unwrap().unwrap());
        let effects = Effects {
            expected: vec![KvExpected {
                key: "k".into(),
                value: Some(KvValue::of(expected.to_owned().into())),
            }],
            ..Effects::default()
        };
        let ended = ledger
            .finish(claimed.fence, event, attempt("done"), well(effects))
            .await;
        assert_eq!(ended.unwrap() == Committed::Stored, is_stored, "{expected}");
    }
}

#[tokio::test]
async fn plain_ledgers_can_be_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let stored = secret_event();
    store(&opened.ledger, stored.clone()).await;
    let (ledger, encryption, _below) = sealed(opened.ledger, &[FIRST_KEY]).await;
    assert_readable(&*ledger, &stored).await;
    assert_eq!(pass(&encryption).await, 6);
    assert_eq!(files_with(dir.path(), CANARY), Vec::<String>::new());
    assert_readable(&*ledger, &stored).await;
    let raw = ledger.usage().await.unwrap();
    assert!(raw.bytes > 0);
}

#[tokio::test]
async fn rotated_keys_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, encryption, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let stored = secret_event();
    store(&*ledger, stored.clone()).await;
    drop((ledger, encryption));

    let without = with_keys(below.clone(), None)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        without.contains("ledger.encryption_keys is not set"),
        "{without}"
    );
    let second = || LedgerKeys::new([("env:B", SECOND_KEY)]).unwrap();
    let wrong = with_keys(below.clone(), Some(second()))
        .await
        .err()
        .unwrap();
    assert!(wrong.to_string().contains("does not have it"), "{wrong}");

    let both = LedgerKeys::new([("env:B", SECOND_KEY), ("env:A", FIRST_KEY)]).unwrap();
    let (ledger, encryption) = with_keys(below.clone(), Some(both)).await.unwrap();
    assert_readable(&*ledger, &stored).await;
    assert_eq!(pass(&encryption.unwrap()).await, 6);

    let (ledger, encryption) = with_keys(below, Some(second())).await.unwrap();
    assert_readable(&*ledger, &stored).await;
    assert_eq!(pass(&encryption.unwrap()).await, 0);
    assert_eq!(files_with(dir.path(), CANARY), Vec::<String>::new());
}

#[tokio::test]
async fn events_without_their_key_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (old, _, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let both = LedgerKeys::new([("env:B", SECOND_KEY), ("env:A", FIRST_KEY)]).unwrap();
    let (both, _) = with_keys(below.clone(), Some(both)).await.unwrap();
    let stored = new(secret_event());
    both.accept(stored, Arc::default()).await.unwrap();

    // Nodes with the old key or none, which have not been started again yet.
    let plain: Arc<dyn Ledger> = below;
    for other in [old, plain] {
        let mut claimed = other.claim(vec![("h".into(), 1)]).await.unwrap();
        let claimed = claimed.remove(0).1.remove(0);
        assert!(claimed.event.unwrap().unwrap().is_sealed());
        let release = other.release(vec![claimed.fence], Duration::ZERO);
        release.await.unwrap();
    }
    end_next(&*both, "h".into()).await;
}

#[tokio::test]
async fn keys_of_later_starts_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let second = || LedgerKeys::new([("env:B", SECOND_KEY)]).unwrap();
    let both = || LedgerKeys::new([("env:B", SECOND_KEY), ("env:A", FIRST_KEY)]).unwrap();
    let (_, leader) = with_keys(below.clone(), Some(both())).await.unwrap();
    let leader = leader.unwrap();
    assert_eq!(pass(&leader).await, 0);

    // Until then, this node may have encrypted with the old key.
    with_keys(below.clone(), Some(both())).await.unwrap();
    let early = with_keys(below.clone(), Some(second())).await;
    let early = early.err().unwrap().to_string();
    assert!(early.contains("does not have it"), "{early}");
    assert_eq!(pass(&leader).await, 0);
    with_keys(below, Some(second())).await.unwrap();
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
    let erased = ledger.erase(vec![id], 1, false).await.unwrap();
    assert!(matches!(erased[0], Erasure::Erased(_)));

    let late = NewRecording {
        of: RecordedAttempt::OfLease(fence),
        event: id,
        hook: "h".into(),
        keep: None,
        recording: canary("recording").into(),
    };
    let missing = ledger.store_recordings(vec![late]).await.unwrap();
    assert_eq!(missing, [0]);
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
    let erased = ledger.erase(vec![member], 1, false).await.unwrap();
    assert!(matches!(erased[0], Erasure::Erased(_)));

    let late = NewRecording {
        of: RecordedAttempt::OfLease(fence),
        event: id,
        hook: "h".into(),
        keep: None,
        recording: canary("recording").into(),
    };
    let missing = ledger.store_recordings(vec![late]).await.unwrap();
    assert_eq!(missing, [0]);
}

#[tokio::test]
async fn one_damaged_value_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    store(&*ledger, secret_event()).await;
    accept(&below, new(event("h", "a"))).await;
    let claimed = claim(&below, "h", 1).await.remove(0);
    let bytes = [&b"\0landfall-seal1\0"[..], &[0; 100]].concat();
    let broken = KvValue {
        is_text: false,
        bytes: bytes.into(),
    };
    let effects = Effects {
        writes: vec![KvWrite {
            key: "broken".into(),
            change: KvChange::Set(broken, None),
        }],
        ..Effects::default()
    };
    assert!(finish(&below, claimed, well(effects)).await);

    let page = ledger
        .values("h".into(), String::new(), String::new(), 10, 100)
        .await
        .unwrap();
    let found: Vec<_> = page
        .iter()
        .map(|value| (&*value.key, value.damaged, value.beginning.is_empty()))
        .collect();
    let expected = [
        ("broken", true, true),
        ("k", false, false),
        ("sum", false, false),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn handlers_never_get_sealed_values() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    store(&*ledger, secret_event()).await;
    let values = UnsealedValues::of(below);
    let sum = values.get("h".into(), "sum".into()).await.unwrap();
    assert_eq!(sum.unwrap().number(), Some(7));
    let refused = values.get("h".into(), "k".into()).await.unwrap_err();
    assert!(
        refused.to_string().contains("ledger.encryption_keys"),
        "{refused}"
    );
}

#[tokio::test]
async fn damaged_values_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let stored = secret_event();
    store(&*ledger, stored.clone()).await;
    let options = super::super::work::WriteOptions::reclaim(super::super::work::Sync::Durable);
    let change =
        |tx: &Connection| tx.execute("UPDATE payloads SET body = zeroblob(length(body))", []);
    below.writer.write(options, change).await.unwrap();
    let shown = ledger.show(stored.event().id).await.unwrap().unwrap();
    assert!(matches!(shown.event, Some(Err(Corrupt))));
}
