//! Several nodes over one PostgreSQL: nodes are killed and stopped, the database is killed,
//! connections are cut; what was acknowledged is done, and what handlers leave is there once.

mod counts;
mod database;
mod lead;
mod leases;
mod retention;
mod tail;

use std::time::Duration;

use landfall_tests::{Postgres, Setup, bundled, event_id, eventually, guest};
use serde_json::json;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// Of the host.
const LEASE: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_queryable_and_pauses_shared() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let store =
        format!("mode = \"async\"\n{OPEN}[settings]\ntable = \"t\"\n[allow]\ntable = [\"t\"]\n");
    let fresh = Setup::new()
        .hook("store", &bundled("store"), &store)
        .env("LANDFALL_LEDGER_URL", &url);
    let (one, two) = tokio::join!(fresh.copy().serving("store"), fresh.copy().serving("store"));
    let odd = "{\"text\":\"a\\u0000b\",\"n\":1e400}";
    for body in ["{\"n\":1,\"who\":\"Ada\"}", odd] {
        assert_eq!(one.post("/store", &[], body).await.0, 202);
    }
    one.until_states("store", &["done", "done"]).await;
    let asked = "SELECT json->'body'->>'who' FROM landfall.rows WHERE json->'body'->>'n' = '1'";
    assert_eq!(server.sql(&database, asked), "Ada");
    let rows = two.rows("store", "t").await;
    assert!(
        rows.iter()
            .any(|row| row["row"]["body"].to_string().contains("\\u0000")),
        "{rows:?}"
    );
    // What one node is told, the other one knows within a beat; an event that waits is run by
    // either.
    one.order("/api/v1/hooks/store/pause", json!({})).await;
    eventually("the other node knows", || async {
        (two.hook("store").await?["paused"] == true).then_some(())
    })
    .await;
    assert_eq!(two.post("/store", &[], "{\"n\":3}").await.0, 202);
    two.order("/api/v1/hooks/store/resume", json!({})).await;
    two.until_states("store", &["done", "done", "done"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_states_are_refused() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let file = format!("mode = \"async\"\n{OPEN}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = Setup::new()
        .hook("in", &guest("answers_one"), &file)
        .env("LANDFALL_LEDGER_URL", &url)
        .serving("in")
        .await;
    let send = || node.post("/in", &[("id", "1")], "{}");
    let first = event_id(&send().await);
    node.until_states("in", &["done"]).await;

    server.sql(database, "UPDATE landfall.deliveries SET state = 9");
    assert_eq!(send().await.0, 503);
    node.until_log("the state of delivery 1 is damaged: 9")
        .await;
    node.until_log(&format!("landfall events replay {first}"))
        .await;
    // The operator sees it as dead, and can run its event again.
    node.until_states("in", &["dead"]).await;
    let order = json!({ "events": [first] });
    assert_eq!(node.order("/api/v1/replay", order).await["events"], 1);
    node.until_states("in", &["dead", "done"]).await;
    assert_eq!(event_id(&send().await), first);
}
