//! What handlers leave behind: values, rows and events for other hooks, kept with the success of the attempt, exactly once.

use std::sync::Arc;

use landfall_tests::{Node, Receiver, Setup, bundled, eventually, guest};
use serde_json::json;

const OPEN: &str = "\n[verify]\nscheme = \"none\"\n";

fn keeps(mode: &str) -> String {
    format!("mode = \"{mode}\"\n{OPEN}[allow]\nkv = true\n[retry]\nattempts = 30\n{QUICK}")
}

const QUICK: &str = "backoff = { first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }\n";

async fn said(node: &Node, query: &str) -> String {
    let answer = node.post(&format!("/keeps?{query}"), &[], "").await;
    assert_eq!(answer.0, 200, "{query}: {answer:?}\n{}", node.log());
    answer.1.replace('\n', " ")
}

#[tokio::test]
async fn values_are_kept_on_success_only() {
    let node = Setup::new()
        .hook("keeps", &guest("keeps"), &keeps("sync"))
        .serving("keeps")
        .await;
    assert_eq!(
        said(
            &node,
            "a.&a=1&a.&n+2&n+3&a-&a.&b=2&b?2=3&b?2=4&b.&c?=1&c?=2"
        )
        .await,
        "none set 1 2 5 deleted none set true false 3 true false"
    );
    assert_eq!(said(&node, "a.&b.&c.&n.&*&b*").await, "none 3 1 5 b,c,n b");
    for then in ["fail", "trap"] {
        assert!(
            node.post(&format!("/keeps?b=9&n+9&c-!{then}"), &[], "")
                .await
                .0
                >= 500
        );
        assert_eq!(
            said(&node, "b.&n.&c.").await,
            "3 5 1",
            "{then} changes nothing"
        );
    }
    assert_eq!(
        said(&node, "d=1&b-&*").await,
        "set deleted c,d,n",
        "staged ones are listed, deleted ones are not"
    );
    let wrong = node.post("/keeps?d=x&d+1", &[], "").await;
    assert_eq!(wrong.0, 503, "not a number: {wrong:?}");
    node.until_log("`d` is not a whole number").await;
    // Another hook sees nothing of it.
    node.put("other.wasm", std::fs::read(guest("keeps")).unwrap());
    node.put("other.toml", keeps("sync"));
    node.until("other", "serving").await;
    assert_eq!(node.post("/other?c.&*", &[], "").await.1, "none\n");
}

#[tokio::test]
async fn concurrent_counters_add_up() {
    let node = Arc::new(
        Setup::new()
            .hook("keeps", &guest("keeps"), &keeps("auto"))
            .serving("keeps")
            .await,
    );
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let node = node.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    assert!(matches!(
                        node.post("/keeps?n+1&n+2&c~", &[], "").await.0,
                        200 | 202
                    ));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    node.until_states("keeps", &["done"; 160]).await;
    assert_eq!(said(&node, "n.&c.").await, "480 160");
}

#[tokio::test]
async fn refusals_name_the_exceeded_quota() {
    let file = format!("{}\n[limits]\nkv = \"100B\"\n", keeps("sync"));
    let rows = format!(
        "{OPEN}[settings]\ntable = \"t\"\nfields = {{ n = \"/n\" }}\n[allow]\ntable = [\"t\"]\n[limits]\nrows = \"500B\"\n"
    );
    let setup = Setup::new().hook("keeps", &guest("keeps"), &file);
    let node = setup
        .hook("store", &bundled("store"), &rows)
        .serving("keeps")
        .await;
    node.until("store", "serving").await;
    let ninety = "x".repeat(90);
    assert_eq!(said(&node, &format!("a={ninety}")).await, "set");
    assert_eq!(node.post("/keeps?b=1234567890", &[], "").await.0, 500);
    node.until_log("the hook keeps more than [limits] kv = 100 B: raise it, or keep less")
        .await;
    assert_eq!(
        said(&node, &format!("a={}&b.", "y".repeat(90))).await,
        "set none",
        "the same room again"
    );
    assert_eq!(said(&node, "a-&b=1").await, "deleted set");
    let mut taken = 0;
    while node.post("/store", &[], "{\"n\":1}").await.0 == 202 {
        taken += 1;
    }
    node.until_log("the hook keeps more than [limits] rows = 500 B")
        .await;
    assert_eq!(node.rows("store", "t").await.len(), taken);
    assert!((1..50).contains(&taken), "{taken}");
}

#[tokio::test]
async fn emissions_are_queued_once_on_success() {
    let emits =
        format!("mode = \"async\"\n{OPEN}[allow]\nemit = [\"store\", \"later\"]\n[retry]\n{QUICK}");
    let store = format!(
        "mode = \"async\"\n{OPEN}[settings]\ntable = \"t\"\nfields = {{ n = \"/n\" }}\n[allow]\ntable = [\"t\"]\n"
    );
    let setup = Setup::new().hook("emits", &guest("emits"), &emits).hook(
        "store",
        &bundled("store"),
        &store,
    );
    let node = setup.serving("emits").await;
    node.until("store", "serving").await;
    let cause = node
        .post(
            "/emits?fail",
            &[("key", "k")],
            "store {\"n\":1}\nlater {\"n\":9}",
        )
        .await;
    assert_eq!(cause.0, 200, "{cause:?}");
    let stored = node.until_states("store", &["done"]).await;
    let shown = node
        .ask(&format!(
            "/api/v1/events/{}",
            stored[0]["event"].as_str().unwrap()
        ))
        .await;
    let has = |name: &str, value: &str| {
        shown["event"]["attributes"]
            .as_array()
            .unwrap()
            .contains(&json!([name, value]))
    };
    let caused_by: serde_json::Value = serde_json::from_str(&cause.1).unwrap();
    assert!(has("emitted-by", "emits") && has("hops", "1"), "{shown}");
    assert!(
        has("verified-by", "emit") && has("verified-by-scheme", "none"),
        "{shown}"
    );
    assert!(
        has("caused-by", caused_by["quick"].as_str().unwrap()),
        "{shown}"
    );
    assert_eq!(node.rows("store", "t").await.len(), 1);
    // A hook that is not there yet gets its events when it comes.
    node.until_states("later", &["pending"]).await;
    node.put("later.wasm", std::fs::read(bundled("store")).unwrap());
    node.put("later.toml", store.clone());
    node.until_states("later", &["done"]).await;
    // The same key again is the same event; another key is another.
    node.post("/emits", &[("key", "k")], "store {\"n\":1}")
        .await;
    node.post("/emits", &[("key", "l")], "store {\"n\":2}")
        .await;
    node.until_states("emits", &["done", "done", "done"]).await;
    node.until_states("store", &["done", "done"]).await;
    // What was not granted is refused to the handler.
    node.post("/emits", &[], "keeps {}").await;
    node.until_log("hook `keeps` is not in `[allow] emit`")
        .await;
}

#[tokio::test]
async fn only_the_failed_target_is_retried() {
    let (good, ill) = (Receiver::start().await, Receiver::start().await);
    ill.answer(503);
    let (to_good, to_ill) = (good.url("/in"), ill.url("/in"));
    let file = format!(
        "mode = \"async\"\n{OPEN}[settings]\ntargets = [\"{to_good}\", \"{to_ill}\"]\n[retry]\n{QUICK}[allow]\nemit = [\"out\"]\nhttp = [\"{to_good}\", \"{to_ill}\"]\n"
    );
    let node = Setup::new()
        .hook("out", &bundled("fan-out"), &file)
        .serving("out")
        .await;
    assert_eq!(
        node.post("/out", &[("x-kind", "k")], "{\"n\":1}").await.0,
        202
    );
    eventually("the ill target is called again", || async {
        (ill.got().len() >= 3).then_some(())
    })
    .await;
    ill.answer(200);
    node.until_states("out", &["done", "done", "done"]).await;
    assert_eq!(good.got().len(), 1, "{}", node.log());
    let last = ill.got().pop().unwrap();
    assert_eq!(last.body, b"{\"n\":1}");
    let keys: std::collections::BTreeSet<_> = ill
        .got()
        .iter()
        .map(|got| got.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys.len(), 1, "each try carries the same key");
    // One that is down for long keeps nothing from the others, and no new event waiting.
    ill.answer(503);
    for n in 0..30 {
        assert_eq!(
            node.post("/out", &[], format!("{{\"n\":{n}}}")).await.0,
            202
        );
    }
    eventually("it has failed often", || async {
        (ill.got().len() >= 100).then_some(())
    })
    .await;
    assert_eq!(node.post("/out", &[], "{\"n\":30}").await.0, 202);
    eventually("the good one has all", || async {
        (good.got().len() == 32).then_some(())
    })
    .await;
}

#[tokio::test]
async fn circular_emissions_end() {
    let circle = |next: &str| {
        format!(
            "mode = \"async\"\n{OPEN}[settings]\nnext = \"{next}\"\n[allow]\nemit = [\"{next}\"]\n"
        )
    };
    let setup = Setup::new().hook("one", &guest("circles"), &circle("two"));
    let node = setup
        .hook("two", &guest("circles"), &circle("one"))
        .serving("one")
        .await;
    node.until("two", "serving").await;
    assert_eq!(node.post("/one", &[], "round").await.0, 202);
    let one = node
        .until_states("one", &["done", "done", "done", "done", "done"])
        .await;
    let two = node
        .until_states("two", &["done", "done", "done", "done", "dead"])
        .await;
    assert_eq!(
        (one[4]["reason"].clone(), &two[4]["reason"]),
        (json!(null), &json!("loop"))
    );
}

#[tokio::test]
async fn bad_responders_leave_the_usual_answer() {
    let file = format!(
        "mode = \"async\"\nanswer_within = \"5s\"\n{OPEN}[allow]\nemit = [\"emits\"]\n[dedup]\nid = {{ header = \"Id\" }}\n[accepted]\nstatus = 201\nheaders = {{ \"Content-Type\" = \"text/plain\", \"X-Was\" = \"kept\" }}\nbody = \"kept as {{event}}\"\n"
    );
    let node = Setup::new()
        .hook("emits", &guest("emits"), &file)
        .serving("emits")
        .await;
    let quick = node.post("/emits", &[("id", "1")], "").await;
    assert!(quick.0 == 200 && quick.1.contains("\"quick\""), "{quick:?}");
    let again = node.post("/emits", &[("id", "1")], "").await;
    assert_eq!(
        again.0, 200,
        "a duplicate is answered as the first: {again:?}"
    );
    for bad in ["trap", "slow"] {
        let response = node
            .client
            .post(node.url(&format!("/emits?{bad}")))
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["x-was"].to_str().unwrap()
            ),
            (201, "kept")
        );
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert!(
            response.text().await.unwrap().starts_with("kept as 0"),
            "{bad}"
        );
    }
    node.until_states("emits", &["done", "done", "done"]).await;
}

#[tokio::test]
async fn events_wait_for_missing_components() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[settings]\ntable = \"t\"\nfields = {{ n = \"/n\" }}\n[allow]\ntable = [\"t\"]\n"
    );
    let node = Setup::new()
        .hook("store", &bundled("store"), &file)
        .serving("store")
        .await;
    std::fs::remove_file(node.plugins().join("store.wasm")).unwrap();
    node.until("store", "unavailable").await;
    assert_eq!(node.post("/store", &[], "{\"n\":1}").await.0, 202);
    let waiting = node.until_states("store", &["pending"]).await;
    assert_eq!(waiting[0]["attempt"], 0, "no attempts are burnt");
    node.put("store.wasm", std::fs::read(bundled("store")).unwrap());
    node.until_states("store", &["done"]).await;
    assert_eq!(node.rows("store", "t").await.len(), 1);
}

#[tokio::test]
async fn contention_is_never_a_failure() {
    let file = format!("mode = \"async\"\n{OPEN}[allow]\nkv = true\n[retry]\nattempts = 1\n");
    let node = Setup::new()
        .hook("keeps", &guest("keeps"), &file)
        .serving("keeps")
        .await;
    node.order("/api/v1/hooks/keeps/pause", json!({})).await;
    for _ in 0..150 {
        assert_eq!(node.post("/keeps?c~", &[], "").await.0, 202);
    }
    node.order("/api/v1/hooks/keeps/resume", json!({})).await;
    let done = node.until_states("keeps", &["done"; 150]).await;
    assert!(
        done.iter().all(|one| one["attempt"] == 1),
        "an attempt that came second does not count"
    );
    assert!(
        !node.log().contains("every attempt fails"),
        "contention is no failure"
    );
}

#[tokio::test]
async fn events_wait_for_broken_components() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[allow]\nemit = [\"emits\"]\n[dedup]\nid = {{ header = \"Id\" }}\n"
    );
    let setup = Setup::new()
        .file("emits.wasm", b"\0asm\x0d\0\x01\0garbage")
        .file("emits.toml", &file);
    let node = setup.start().await;
    node.until("emits", "unavailable").await;
    let waits = node.post("/emits", &[("id", "0")], "").await;
    assert_eq!(waits.0, 202, "{waits:?}\n{}", node.log());
    node.put("emits.wasm", std::fs::read(guest("emits")).unwrap());
    node.until_states("emits", &["done"]).await;
    let first = node.post("/emits", &[("id", "1")], "").await;
    assert_eq!(
        node.post("/emits", &[("id", "1")], "").await,
        first,
        "the same answer, with the id of the first"
    );
}
