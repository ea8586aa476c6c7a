//! Published reports of `landfall try`.

use super::*;
use crate::traits::RawRecords;
use crate::{
    Erasure, LedgerKeys, NewTry, NewTryGroup, Purged, RawKind, Scrubbed, TryParts, with_keys,
};
use landfall_model::HookRetention;

const CANARY: &str = "c4n4ry-0f-a-s4mple";
const KEY: &[u8] = b"3333333333333333333333333333333333333333333333333333333333333333";

/// A report of the hook `h` with a group for each of these events.
fn report(events: &[EventId]) -> NewTry {
    let groups = events.iter().map(|event| NewTryGroup {
        event: *event,
        json: format!("{{\"found\":\"{CANARY} {event}\"}}").into_bytes(),
    });
    NewTry {
        hook: "h".into(),
        id: EventId::new(SystemTime::UNIX_EPOCH),
        keep: DAY,
        retention: HookRetention::default(),
        summary: b"{\"same\":1}".to_vec(),
        groups: groups.collect(),
    }
}

/// Stores an event of the hook `h`, and ends its delivery.
async fn done(ledger: &Sqlite, body: &str) -> EventId {
    let stored = event("h", body);
    let id = stored.event().id;
    accept(ledger, new(stored)).await;
    let claimed = claim(ledger, "h", 1).await.remove(0);
    finish(ledger, claimed, well(Effects::default())).await;
    id
}

/// The values of all groups of a report, as one text.
async fn groups(ledger: &dyn History, id: EventId) -> String {
    let parts = ledger.try_parts(TryParts::Groups("h".into(), id)).await;
    let parts = parts.unwrap().into_iter();
    let texts = parts.map(|part| String::from_utf8(part.json).unwrap());
    texts.collect::<Vec<_>>().join("\n")
}

async fn summaries(ledger: &dyn History, hook: &str) -> usize {
    let parts = ledger.try_parts(TryParts::Summaries(hook.into())).await;
    parts.unwrap().len()
}

fn has_canary(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).unwrap();
    let mut bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default());
    bytes.any(|bytes| {
        bytes
            .windows(CANARY.len())
            .any(|part| part == CANARY.as_bytes())
    })
}

#[tokio::test]
async fn erased_samples_leave_their_reports() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (erased, kept) = (done(&ledger, "a").await, done(&ledger, "b").await);
    let unknown = EventId::new(SystemTime::UNIX_EPOCH);
    let new = report(&[erased, unknown, kept]);
    let id = new.id;
    assert_eq!(ledger.put_try(new.clone()).await.unwrap(), 2);
    assert!(groups(&ledger, id).await.contains(&erased.to_string()));

    let result = ledger.erase(vec![erased], 1, false).await.unwrap();
    let Erasure::Erased(parts) = result[0] else {
        panic!("{result:?}");
    };
    assert_eq!(parts.values, 0, "a group is no value of the handler");
    let left = groups(&ledger, id).await;
    assert!(!left.contains(&erased.to_string()), "{left}");
    assert!(left.contains(&kept.to_string()), "{left}");

    // A report that was made before the erasure, and is published after it.
    assert_eq!(ledger.put_try(new).await.unwrap(), 1);
    ledger.erase(vec![kept], 1, false).await.unwrap();
    assert_eq!(ledger.scrub().await.unwrap(), Scrubbed::Clean);
    assert!(!has_canary(dir.path()));
    assert_eq!(summaries(&ledger, "h").await, 1);
}

#[tokio::test]
async fn reports_of_one_hook_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let event = done(&ledger, "a").await;
    let (first, second) = (report(&[event]), report(&[event]));
    let (id, other) = (first.id, second.id);
    for new in [first, second] {
        ledger.put_try(new).await.unwrap();
    }
    // The name of this hook begins with that of the other one.
    let longer = NewTry {
        hook: "h2".into(),
        ..report(&[])
    };
    ledger.put_try(longer).await.unwrap();

    ledger.remove_try("h".into(), id).await.unwrap();
    assert_eq!(groups(&ledger, id).await, "");
    assert!(groups(&ledger, other).await.contains(CANARY));
    assert_eq!(summaries(&ledger, "h").await, 1);

    while ledger.purge("h".into(), 100).await.unwrap() != Purged::default() {}
    assert_eq!(groups(&ledger, other).await, "");
    assert_eq!(summaries(&ledger, "h").await, 0);
    assert_eq!(summaries(&ledger, "h2").await, 1);
}

#[tokio::test]
async fn samples_are_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Arc::new(open(dir.path()).ledger);
    let event = done(&plain, "a").await;
    let keys = LedgerKeys::new([("env:KEY", KEY)]).unwrap();
    let (ledger, _encryption) = with_keys(plain.clone(), Some(keys)).await.unwrap();
    let new = report(&[event]);
    let id = new.id;
    assert_eq!(ledger.put_try(new).await.unwrap(), 1);
    assert!(!has_canary(dir.path()));

    let parts = TryParts::Groups("h".into(), id);
    let opened = ledger.try_parts(parts.clone()).await.unwrap();
    assert!(String::from_utf8_lossy(&opened[0].json).contains(CANARY));
    let stored = plain.try_parts(parts).await.unwrap();
    assert!(!String::from_utf8_lossy(&stored[0].json).contains(CANARY));
    let raw = plain.raw(RawKind::Values, None, 10).await;
    assert!(raw.unwrap().iter().any(|one| one.hook == "_try-groups"));
}
