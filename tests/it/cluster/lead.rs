//! What only one node does: its right, and the values that the right protects.

use std::sync::Arc;
use std::time::Duration;

use landfall_ledger::{Lead, Ledger, PostgresSettings};
use landfall_model::Retention;
use landfall_tests::relay::{Line, Relay};
use landfall_tests::{Postgres, eventually};

const WATCH: &str = "watch";
const HOUR: Duration = Duration::from_secs(3_600);

/// A ledger that keeps deliveries and bodies for so long.
pub(super) async fn open(url: &str, keep: Duration) -> Arc<dyn Ledger> {
    let retention = Retention {
        deliveries: keep,
        bodies: keep,
        max_size: u64::MAX,
    };
    let settings = PostgresSettings {
        url: url.to_owned(),
        tls: landfall_egress::tls(),
        retention,
    };
    landfall_ledger::connect(settings).await.unwrap()
}

async fn lead(ledger: &Arc<dyn Ledger>, lasts: Duration) -> Lead {
    ledger.lead(WATCH, lasts).await.unwrap()
}

async fn put(ledger: &Arc<dyn Ledger>, value: Option<&'static str>) -> bool {
    let value = value.map(|text| text.as_bytes().into());
    let stored = ledger.put_own(WATCH, "_watch", "h".into(), value).await;
    stored.unwrap()
}

/// A node that was suspended believes that it still has the right.
#[tokio::test(flavor = "multi_thread")]
async fn late_writes_of_a_leader_are_refused() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let (one, two) = (open(&url, HOUR).await, open(&url, HOUR).await);

    assert!(!put(&one, Some("0")).await, "no node has the right");
    assert_eq!(lead(&one, HOUR).await, Lead::Taken);
    assert_eq!(lead(&one, HOUR).await, Lead::Held);
    assert!(put(&one, Some("1")).await);
    assert_eq!(lead(&two, HOUR).await, Lead::Elsewhere);
    assert!(!put(&two, Some("2")).await);

    // The right of the first node ends, and the second one takes it.
    assert_eq!(lead(&one, Duration::ZERO).await, Lead::Held);
    assert_eq!(lead(&two, HOUR).await, Lead::Taken);
    assert!(put(&two, Some("2")).await);
    for late in [Some("late"), None] {
        assert!(!put(&one, late).await, "{late:?}");
    }
    let found = one.get("_watch".into(), "h".into()).await.unwrap();
    assert_eq!(found.expect("it was not deleted").bytes, "2");

    // The first one learns that it was not the only one, also if it did not ask meanwhile.
    assert_eq!(lead(&two, Duration::ZERO).await, Lead::Held);
    assert_eq!(lead(&one, HOUR).await, Lead::Taken);
    assert!(put(&one, None).await);
    assert!(
        one.get("_watch".into(), "h".into())
            .await
            .unwrap()
            .is_none()
    );
    one.close().await;
    two.close().await;
}

/// Asks for the right, whose answer is lost after the server has stored it.
async fn lose_answer(server: &Postgres, url: &str, ledger: &Arc<dyn Ledger>, relay: &Relay) {
    let database = url.rsplit('/').next().unwrap();
    let holder = "SELECT encode(value, 'hex') FROM landfall.kv WHERE hook = '_lead'";
    let (before, swallowed) = (server.sql(database, holder), relay.swallowed());

    relay.set(Line::Mute);
    let asking = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.lead(WATCH, HOUR).await }
    });
    eventually(
        "the server has stored the right, and has said so",
        || async {
            let is_stored = server.sql(database, holder) != before;
            (is_stored && relay.swallowed() > swallowed).then_some(())
        },
    )
    .await;
    relay.set(Line::Cut);
    let answer = asking.await.unwrap();
    assert!(answer.is_err(), "{answer:?}");
    relay.set(Line::Whole);
}

/// The answer of the first call that gets one.
async fn next_answer(ledger: &Arc<dyn Ledger>) -> Lead {
    eventually("the ledger answers again", || async {
        ledger.lead(WATCH, HOUR).await.ok()
    })
    .await
}

/// What a node remembers is old if another node had the right before the answer that was lost.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_are_taken_anew() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let relay = Relay::to(server.port()).await;
    let through = url.replace(
        &format!(":{}/", server.port()),
        &format!(":{}/", relay.port()),
    );
    let (one, two) = (open(&through, HOUR).await, open(&url, HOUR).await);
    // The statement is prepared, so that the only answer of the next call is that of its execution.
    assert_eq!(lead(&one, Duration::ZERO).await, Lead::Taken);
    assert_eq!(lead(&two, Duration::ZERO).await, Lead::Taken);

    lose_answer(server, &url, &one, &relay).await;
    assert_eq!(lead(&two, HOUR).await, Lead::Elsewhere, "one node has it");
    assert_eq!(next_answer(&one).await, Lead::Taken, "it has to read first");
    assert_eq!(lead(&one, HOUR).await, Lead::Held);
    assert!(put(&one, Some("1")).await);

    // The other node leads in between, and the answer to another taking is lost.
    assert_eq!(lead(&one, Duration::ZERO).await, Lead::Held);
    assert_eq!(lead(&two, HOUR).await, Lead::Taken);
    assert!(put(&two, Some("2")).await);
    assert_eq!(lead(&two, Duration::ZERO).await, Lead::Held);
    lose_answer(server, &url, &one, &relay).await;
    let late = eventually("the ledger answers again", || async {
        let value = Some("late".into());
        let stored = one.put_own(WATCH, "_watch", "h".into(), value);
        stored.await.ok()
    });
    assert!(!late.await, "its memory is older than the value");
    assert_eq!(next_answer(&one).await, Lead::Taken);
    let found = two.get("_watch".into(), "h".into()).await.unwrap();
    assert_eq!(found.expect("it was stored").bytes, "2");
    one.close().await;
    two.close().await;
}
