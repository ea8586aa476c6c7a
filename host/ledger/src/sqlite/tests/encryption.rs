//! Encryption, down to the bytes of the files.

use super::privacy::{CANARY, canary, end_next, files_with, secret_attempt, secret_event, store};
use super::*;
use crate::traits::{Ledger, RawRecords};
use crate::{Encryption, LedgerKeys, RawKind, RecordingFilter, with_keys};

const FIRST_KEY: &[u8] = b"1111111111111111111111111111111111111111111111111111111111111111";
const SECOND_KEY: &[u8] = b"2222222222222222222222222222222222222222222222222222222222222222";

async fn sealed(
    ledger: Sqlite,
    secrets: &[&'static [u8]],
) -> (Arc<dyn Ledger>, Encryption, Arc<Sqlite>) {
    let below = Arc::new(ledger);
    let (ledger, encryption) = sealed_over(&below, secrets).await;
    (ledger, encryption, below)
}

async fn sealed_over(
    below: &Arc<Sqlite>,
    secrets: &[&'static [u8]],
) -> (Arc<dyn Ledger>, Encryption) {
    let keys = LedgerKeys::new(secrets.iter().map(|secret| ("env:KEY", *secret))).unwrap();
    let (ledger, encryption) = with_keys(below.clone(), Some(keys)).await.unwrap();
    (ledger, encryption.unwrap())
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
    // The body as sent is another one than the stored one if `[redact]` removed values.
    let sent = *event("h", "as sent").digest();
    let body = event("h", "a").digest().to_vec();
    let redacted = [b"id\0a\0sent\0", &sent[..]].concat();
    let keys = [body, sent.to_vec(), redacted, b"id\0b".to_vec()];
    let one = |key: &Vec<u8>| NewEvent {
        dedup: Some(DedupKey {
            key: key.clone(),
            id_match: IdMatch::Id,
            window: DAY,
        }),
        ..new(event("h", "a"))
    };
    let mut ids = Vec::new();
    for key in &keys {
        let first = one(key);
        ids.push(first.stored.event().id);
        accept(&opened.ledger, first).await;
    }

    let (ledger, encryption, below) = sealed(opened.ledger, &[FIRST_KEY]).await;
    assert_eq!(pass(&encryption).await, 4 + 3, "events and identities");
    let plain = below.raw(RawKind::Identities, None, 10).await.unwrap();
    assert!(plain.is_empty(), "{plain:?}");
    for (key, id) in keys.iter().zip(ids) {
        let again = ledger.accept(one(key), Arc::default()).await.unwrap();
        assert!(
            matches!(again, Accepted::Joined { of, .. } if of == id),
            "{again:?}"
        );
    }
    assert_eq!(pass(&encryption).await, 0);
}

#[tokio::test]
async fn repeated_identities_keep_the_later_event() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let one = || NewEvent {
        dedup: Some(DedupKey {
            key: event("h", "as sent").digest().to_vec(),
            id_match: IdMatch::Id,
            window: DAY,
        }),
        ..new(event("h", "a"))
    };
    accept(&opened.ledger, one()).await;
    let (ledger, encryption, _below) = sealed(opened.ledger, &[FIRST_KEY]).await;

    // Before the pass, the earlier one is not recognised.
    let later = one();
    let id = later.stored.event().id;
    let accepted = ledger.accept(later, Arc::default()).await.unwrap();
    assert_eq!(accepted, Accepted::NEW);
    assert_eq!(pass(&encryption).await, 2);
    let again = ledger.accept(one(), Arc::default()).await.unwrap();
    assert!(
        matches!(again, Accepted::Joined { of, .. } if of == id),
        "{again:?}"
    );
}

#[tokio::test]
async fn records_belong_to_their_delivery() {
    for is_sync in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
        let stored = secret_event();
        let id = stored.event().id;
        if is_sync {
            let done = well(Effects::default());
            let recorded = ledger.record(stored, secret_attempt(), done).await;
            assert_eq!(recorded.unwrap(), Committed::Stored);
        } else {
            store(&*ledger, stored).await;
        }
        let replayed = ledger.replay(order(vec![id])).await.unwrap();
        assert!(matches!(replayed[0], Replayed::Queued(_)), "{replayed:?}");
        end_next(&*ledger, "h".into()).await;
        let attempts = ledger.show(id).await.unwrap().unwrap().attempts;
        let logs = attempts.iter().map(|one| one.record["log"][0].clone());
        assert_eq!(logs.collect::<Vec<_>>(), [canary("log"), canary("log")]);

        let options = super::super::work::WriteOptions::reclaim(super::super::work::Sync::Durable);
        let copy = |tx: &Connection| {
            let sql = "UPDATE attempts SET (record, reason) = (
                           SELECT o.record, o.reason FROM attempts o ORDER BY o.delivery LIMIT 1)
                       WHERE delivery = (SELECT max(delivery) FROM attempts)";
            tx.execute(sql, [])
        };
        below.writer.write(options, copy).await.unwrap();
        let attempts = ledger.show(id).await.unwrap().unwrap().attempts;
        assert_eq!(attempts[0].record["log"][0], canary("log"));
        assert!(attempts[1].record.is_null(), "{attempts:?}");
        assert_eq!(attempts[1].reason, "(encrypted, and damaged)");
    }
}

#[tokio::test]
async fn replies_and_reasons_are_found_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, ..) = sealed(open(dir.path()).ledger, &[FIRST_KEY]).await;
    let one = || NewEvent {
        dedup: Some(DedupKey {
            key: b"id\0a".to_vec(),
            id_match: IdMatch::Id,
            window: DAY,
        }),
        ..new(event("h", "a"))
    };
    ledger.accept(one(), Arc::default()).await.unwrap();
    end_next(&*ledger, "h".into()).await;
    let again = ledger.accept(one(), Arc::default()).await.unwrap();
    let Accepted::Duplicate { reply, .. } = again else {
        panic!("{again:?}");
    };
    assert_eq!(reply, Some(canary("reply").into_bytes()));

    let filtered = NewEvent {
        admission: Admission::Filtered(canary("why")),
        ..new(event("h", "b"))
    };
    let id = filtered.stored.event().id;
    ledger.accept(filtered, Arc::default()).await.unwrap();
    let shown = ledger.show(id).await.unwrap().unwrap();
    assert_eq!(shown.deliveries[0].reason, Some(canary("why")));
    assert_eq!(files_with(dir.path(), CANARY), Vec::<String>::new());
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
async fn keys_of_running_nodes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_, old, below) = sealed(open(dir.path()).ledger, &[FIRST_KEY, SECOND_KEY]).await;
    // A node with another first key, which has stored nothing yet.
    let (ledger, new) = sealed_over(&below, &[SECOND_KEY, FIRST_KEY]).await;
    assert_eq!(pass(&old).await, 0);
    store(&*ledger, secret_event()).await;
    let only = |key| LedgerKeys::new([("env:KEY", key)]).unwrap();
    let early = with_keys(below.clone(), Some(only(FIRST_KEY))).await;
    let early = early.err().unwrap().to_string();
    assert!(early.contains("does not have it"), "{early}");

    // The old node still encrypts with its first key.
    assert_eq!(pass(&new).await, 0);
    assert!(pass(&old).await > 0);
    let early = with_keys(below, Some(only(SECOND_KEY))).await;
    let early = early.err().unwrap().to_string();
    assert!(early.contains("does not have it"), "{early}");
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
async fn nodes_without_keys_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let below = Arc::new(open(dir.path()).ledger);
    let (plain, encryption) = with_keys(below.clone(), None).await.unwrap();
    assert!(encryption.is_none());
    let (ledger, _) = sealed_over(&below, &[FIRST_KEY]).await;
    let stored = secret_event();
    let id = stored.event().id;
    store(&*ledger, stored).await;

    let shown = plain.show(id).await.unwrap().unwrap();
    assert!(shown.lacks_key && matches!(shown.event, Some(Err(Corrupt))));
    let why = "(encrypted: this node does not have the key";
    let attempt = &shown.attempts[0];
    assert!(attempt.reason.starts_with(why), "{}", attempt.reason);
    let rows = plain.rows("h".into(), "t".into(), 0, 10).await.unwrap();
    let row = rows[0].row.as_str().unwrap();
    assert!(row.starts_with(why) && rows[0].damaged, "{row}");
    let values = plain
        .values("h".into(), String::new(), String::new(), 10, 100)
        .await
        .unwrap();
    assert!(values[0].damaged && values[0].beginning.is_empty());
    let filter = RecordingFilter {
        limit: 10,
        ..RecordingFilter::default()
    };
    let recordings = plain.recordings(filter).await.unwrap();
    assert!(recordings[0].event.is_none() && recordings[0].recording.is_empty());
    let all = format!("{shown:?} {rows:?} {values:?} {recordings:?}");
    assert!(!all.contains("landfall-seal"), "{all}");

    // Handlers never get ciphertext.
    let sum = plain.get("h".into(), "sum".into()).await.unwrap();
    assert_eq!(sum.unwrap().number(), Some(7));
    let refused = plain.get("h".into(), "k".into()).await.unwrap_err();
    assert!(
        refused.to_string().contains("ledger.encryption_keys"),
        "{refused}"
    );
}

#[tokio::test]
async fn ledgers_without_keys_stay_plain() {
    let dir = tempfile::tempdir().unwrap();
    let below = Arc::new(open(dir.path()).ledger);
    let (plain, _) = with_keys(below.clone(), None).await.unwrap();
    let stored = secret_event();
    store(&*plain, stored.clone()).await;
    assert_readable(&*plain, &stored).await;
    assert_readable(&*below, &stored).await;
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
