//! Recordings of attempts: stored with them, found, and removed with them.

use super::*;
use crate::{Fence, NewRecording, RecordedAttempt, RecordingFilter};
use landfall_model::HookRetentions;

fn recording(of: RecordedAttempt, text: &str) -> NewRecording {
    NewRecording {
        of,
        event: EventId::new(SystemTime::UNIX_EPOCH),
        hook: "h".into(),
        keep: None,
        recording: text.as_bytes().to_vec(),
    }
}

/// An event whose one attempt has ended. The lease of that.
async fn ended(ledger: &Sqlite, body: &str) -> (EventId, Fence) {
    let stored = event("h", body);
    let id = stored.event().id;
    accept(ledger, new(stored)).await;
    let one = claim(ledger, "h", 1).await.remove(0);
    let fence = one.fence;
    assert!(finish(ledger, one, well(Effects::default())).await);
    (id, fence)
}

async fn found(ledger: &Sqlite, filter: RecordingFilter) -> Vec<String> {
    let filter = RecordingFilter {
        limit: 10,
        ..filter
    };
    let found = ledger.recordings(filter).await.unwrap().into_iter();
    found
        .map(|one| String::from_utf8(one.recording).unwrap())
        .collect()
}

#[tokio::test]
async fn recordings_are_found_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (first, fence) = ended(&ledger, "1").await;
    let (second, _) = ended(&ledger, "2").await;
    let unknown = RecordedAttempt::FirstOf(EventId::new(SystemTime::UNIX_EPOCH));
    let missing = ledger
        .store_recordings(vec![
            recording(RecordedAttempt::OfLease(fence), "one"),
            recording(unknown, "none"),
            recording(RecordedAttempt::FirstOf(second), "two"),
        ])
        .await;
    assert_eq!(missing.unwrap(), [1]);

    let all = RecordingFilter::default;
    assert_eq!(found(&ledger, all()).await, ["two", "one"]);
    let of_hook = |hook: &str| RecordingFilter {
        hook: Some(hook.to_owned()),
        ..all()
    };
    assert_eq!(found(&ledger, of_hook("h")).await, ["two", "one"]);
    assert!(found(&ledger, of_hook("other")).await.is_empty());
    let of_event = RecordingFilter {
        event: Some(first),
        ..all()
    };
    assert_eq!(found(&ledger, of_event).await, ["one"]);
    let failed = RecordingFilter {
        is_failed: true,
        ..all()
    };
    // The attempts of these tests have the outcome `x`.
    assert_eq!(found(&ledger, failed).await, ["two", "one"]);
    let later = RecordingFilter {
        since_ms: Some(2),
        ..all()
    };
    assert!(found(&ledger, later).await.is_empty());

    let last = ledger.recordings(RecordingFilter { limit: 1, ..all() });
    let last = last.await.unwrap().remove(0);
    assert_eq!(last.event.unwrap().body, "2");
    let before = RecordingFilter {
        before: Some((last.delivery, last.attempt)),
        ..all()
    };
    assert_eq!(found(&ledger, before).await, ["one"]);
}

#[tokio::test]
async fn recordings_go_with_their_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (_, fence) = ended(&ledger, "1").await;
    let of = RecordedAttempt::OfLease(fence);
    ledger
        .store_recordings(vec![recording(of, "one")])
        .await
        .unwrap();
    ledger.purge("h".into(), 10).await.unwrap();
    assert!(found(&ledger, RecordingFilter::default()).await.is_empty());
}

#[tokio::test]
async fn expired_recordings_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let (_, fence) = ended(&ledger, "1").await;
    let one = NewRecording {
        keep: Some(Duration::ZERO),
        ..recording(RecordedAttempt::OfLease(fence), "one")
    };
    ledger.store_recordings(vec![one]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(found(&ledger, RecordingFilter::default()).await.is_empty());
    assert_eq!(ledger.prune(HookRetentions::default()).await.unwrap(), 1);
}
