//! Two nodes with one PostgreSQL database: one of them searches, and each missed delivery comes once.

use landfall_tests::{Postgres, eventually};

use super::provider::Provider;
use super::{deliveries, github, reconciled};

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_nodes_searches() {
    let provider = Provider::start().await;
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let setup = github(&provider).env("LANDFALL_LEDGER_URL", &url);
    provider.list(deliveries());
    let (one, two) = tokio::join!(setup.copy().serving("in"), setup.copy().serving("in"));
    // Nothing was received, and four deliveries failed for GitHub.
    one.until_states("in", &["done"; 4]).await;
    eventually("the first search has ended", || async {
        for node in [&one, &two] {
            let answer = node.try_ask("/api/v1/hooks/in/reconcile").await;
            if answer.is_some_and(|answer| answer["report"]["running"] == false) {
                return Some(());
            }
        }
        None
    })
    .await;
    assert_eq!(provider.lists_read(), 3, "one search of three pages");
    assert_eq!(provider.contents_read(), 4);

    // Both search at once when they are asked to.
    let (of_one, of_two) = tokio::join!(
        reconciled(&one, &["--since", "3d"]),
        reconciled(&two, &["--since", "3d"])
    );
    for report in [of_one, of_two] {
        assert_eq!(report["accepted"], 0, "{report}");
        assert_eq!(report["known"], 4, "{report}");
    }
    assert_eq!(two.deliveries("in").await.len(), 4);

    // What is noted is counted as handlers' values are.
    let sql = "SELECT used.kv_bytes - sum(octet_length(kv.key) + octet_length(kv.value)), count(*) FROM landfall.kv JOIN landfall.used USING (hook) \
               WHERE hook = '_reconcile' GROUP BY used.kv_bytes";
    let name = url.rsplit('/').next().unwrap();
    assert_eq!(
        postgres.sql(name, sql).trim(),
        "0|5",
        "how far the search is, and four notes"
    );
}
