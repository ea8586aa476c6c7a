//! What only one node does: its right, and the values that the right protects.

use std::sync::Arc;
use std::time::Duration;

use landfall_ledger::{Lead, Ledger, PostgresSettings};
use landfall_model::Retention;
use landfall_tests::Postgres;

const WATCH: &str = "watch";
const HOUR: Duration = Duration::from_secs(3_600);

async fn open(url: &str) -> Arc<dyn Ledger> {
    let retention = Retention {
        deliveries: HOUR,
        bodies: HOUR,
        max_size: u64::MAX,
    };
    let settings = PostgresSettings {
        url: url.to_owned(),
        tls: landfall_egress::tls(),
        retention,
    };
    landfall_ledger::connect(settings).await.unwrap()
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
    let (one, two) = (open(&url).await, open(&url).await);
    let lead = async |ledger: &Arc<dyn Ledger>, lasts| ledger.lead(WATCH, lasts).await.unwrap();

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
