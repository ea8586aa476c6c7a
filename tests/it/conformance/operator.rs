//! Cases about what an operator does with dead and waiting deliveries.

use landfall_tests::backend::Backend;
use landfall_tests::{Node, Setup, bundled, event_id, eventually, guest};
use serde_json::{Value, json};

use super::{OPEN, STORE, serving};

/// Another component for a hook, serving.
async fn replace(node: &Node, hook: &str, component: &str) {
    let digest = node.hook(hook).await.unwrap()["digest"].clone();
    node.put(
        &format!("{hook}.wasm"),
        std::fs::read(guest(component)).unwrap(),
    );
    node.until_changed(hook, &digest).await;
}

pub(super) async fn resolved_dead_letters_are_not_replayed(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}[retry]\nattempts = 1\n");
    let node = serving(
        &backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let mut events = Vec::new();
    for n in 0..2 {
        events.push(event_id(&node.deliver("/traps", &[], n.to_string()).await));
    }
    node.until_states("traps", &["dead", "dead"]).await;
    replace(&node, "traps", "answers_one").await;

    assert_eq!(
        node.order("/api/v1/replay", json!({ "events": [events[0]] }))
            .await["events"],
        1
    );
    let resolved = eventually("the replay has resolved it", || async {
        let all = node.deliveries("traps").await;
        let first = all
            .iter()
            .find(|one| one["event"] == *events[0] && one["replay_of"].is_null())?
            .clone();
        (first["state"] == "resolved").then_some((first, all))
    });
    let (first, all) = resolved.await;
    let replay = all
        .iter()
        .find(|one| one["delivery"] == first["resolved_by"])
        .unwrap();
    assert_eq!(
        (&replay["replay_of"], &replay["state"]),
        (&first["delivery"], &json!("done"))
    );

    let of_hook = json!({ "hook": "traps" });
    let dry = node
        .order(
            "/api/v1/replay",
            json!({ "hook": "traps", "dry_run": true }),
        )
        .await;
    assert_eq!(
        (&dry["events"], &dry["shown"][0]["event"]),
        (&json!(1), &json!(events[1])),
        "{dry}"
    );
    assert_eq!(
        node.order("/api/v1/replay", of_hook.clone()).await["events"],
        1
    );
    eventually("both are resolved", || async {
        let stats = node.ask("/api/v1/stats").await;
        let resolved = stats
            .as_array()?
            .iter()
            .find(|one| one["state"] == "resolved")?["deliveries"]
            .clone();
        (resolved == 2).then_some(())
    })
    .await;
    assert_eq!(node.order("/api/v1/replay", of_hook).await["events"], 0);
    assert_eq!(
        node.order("/api/v1/replay", json!({ "hook": "traps", "again": true }))
            .await["events"],
        2
    );
}

/// A hook with one event that waits an hour for its next attempt, and that event.
async fn waiting(backend: &Backend) -> (Node, String) {
    let file = format!(
        "mode = \"async\"\n{OPEN}[retry]\nattempts = 3\n\
         backoff = {{ first = \"1h\", factor = 1.0, max = \"1h\", jitter = 0.0 }}\n"
    );
    let node = serving(
        backend,
        Setup::new().hook("traps", &guest("traps"), &file),
        "traps",
    )
    .await;
    let event = event_id(&node.deliver("/traps", &[], "{}").await);
    eventually("its first attempt has failed", || async {
        let all = node.deliveries("traps").await;
        (all.first()?["due_in_ms"].as_u64()? > 60_000).then_some(())
    })
    .await;
    replace(&node, "traps", "answers_one").await;
    (node, event)
}

pub(super) async fn discarded_deliveries_stay_discarded(backend: Backend) {
    let (mut node, event) = waiting(&backend).await;
    let of_event = json!({ "events": [event] });
    let without = node.order("/api/v1/discard", of_event.clone()).await;
    assert!(
        without["error"].as_str().unwrap().contains("say why"),
        "{without}"
    );
    let order = json!({ "events": [event], "reason": "the account is closed" });
    assert_eq!(
        node.order("/api/v1/discard", order.clone()).await["deliveries"],
        1
    );
    let again = node.order("/api/v1/discard", order).await;
    assert_eq!(
        (&again["deliveries"], &again["skipped"]),
        (&json!(0), &json!(1))
    );
    let unknown =
        json!({ "events": ["0192f3a4-0000-7000-8000-000000000000"], "reason": "unknown" });
    assert_eq!(
        node.order("/api/v1/discard", unknown).await["unknown"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    node.terminate();
    node.ended().await;
    let node = serving(&backend, node.killed(), "traps").await;
    let discarded = node.until_states("traps", &["discarded"]).await;
    assert_eq!(discarded[0]["discarded"], "the account is closed");
    let skipped = node.order("/api/v1/replay", of_event).await;
    assert_eq!(
        (&skipped["events"], &skipped["discarded"]),
        (&json!(0), &json!(1)),
        "{skipped}"
    );
    assert_eq!(
        node.order("/api/v1/replay", json!({ "hook": "traps" }))
            .await["events"],
        0
    );
}

pub(super) async fn discarded_deliveries_run_when_asked(backend: Backend) {
    let (node, event) = waiting(&backend).await;
    let order = json!({ "events": [event], "reason": "the account is closed" });
    assert_eq!(node.order("/api/v1/discard", order).await["deliveries"], 1);
    let again = json!({ "events": [event], "again": true });
    assert_eq!(node.order("/api/v1/replay", again).await["events"], 1);
    node.until_states("traps", &["resolved", "done"]).await;
}

pub(crate) async fn waiting_deliveries_run_at_once(backend: Backend) {
    let (node, _) = waiting(&backend).await;
    let dry = node
        .order(
            "/api/v1/retry-now",
            json!({ "hook": "traps", "dry_run": true }),
        )
        .await;
    assert_eq!(
        (&dry["deliveries"], dry["shown"].as_array().unwrap().len()),
        (&json!(1), 1),
        "{dry}"
    );
    assert_eq!(node.deliveries("traps").await[0]["state"], "pending");
    assert_eq!(
        node.order("/api/v1/retry-now", json!({ "hook": "traps" }))
            .await["deliveries"],
        1
    );
    let done = node.until_states("traps", &["done"]).await;
    assert_eq!(done[0]["attempt"], 2);
    assert_eq!(
        node.order("/api/v1/retry-now", json!({ "hook": "traps" }))
            .await["deliveries"],
        0
    );
}

pub(super) async fn purge_removes_a_gone_hook(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = serving(
        &backend,
        Setup::new().hook("store", &bundled("store"), &file),
        "store",
    )
    .await;
    for n in 0..2 {
        let n = n.to_string();
        assert_eq!(
            node.deliver("/store", &[("id", &n)], format!("{{\"n\":{n}}}"))
                .await
                .0,
            202
        );
    }
    node.until_states("store", &["done", "done"]).await;
    let report = publish_try(&node, "store", &[]).await;
    let of_hook = json!({ "hook": "store" });
    let refused = node.order("/api/v1/purge", of_hook.clone()).await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("hook `store` exists"),
        "{refused}"
    );

    for file in ["store.toml", "store.wasm"] {
        std::fs::remove_file(node.plugins().join(file)).unwrap();
    }
    eventually("the hook is gone", || async {
        node.hook("store").await.is_none().then_some(())
    })
    .await;
    let dry = node
        .order("/api/v1/purge", json!({ "hook": "store", "dry_run": true }))
        .await;
    assert_eq!(
        (&dry["deliveries"], &dry["rows"]),
        (&json!(2), &json!(2)),
        "{dry}"
    );
    assert_eq!(node.deliveries("store").await.len(), 2);
    eventually("all is removed", || async {
        (node
            .order("/api/v1/purge", json!({ "hook": "store" }))
            .await["done"]
            == true)
            .then_some(())
    })
    .await;
    // Nothing is left of it, so the node does not know it.
    let unknown = node
        .order("/api/v1/purge", json!({ "hook": "store", "dry_run": true }))
        .await;
    let said = unknown["error"].as_str().unwrap();
    assert!(said.contains("there is no hook `store`"), "{unknown}");
    let answer = node.admin_get(&report).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

/// Publishes a report of `landfall try` with a sample of each of these events. Its path.
async fn publish_try(node: &Node, hook: &str, events: &[&str]) -> String {
    let group = |event: &&str| {
        json!({
            "kind": "reply", "place": "body", "attempts": 1, "allowed": false, "follows": false,
            "sample": {
                "event": event, "delivery": 1, "attempt": 1, "masked": false, "recorded": "1", "found": format!("of {event}"),
            },
        })
    };
    let groups: Vec<Value> = events.iter().map(group).collect();
    let report = json!({
        "hook": hook, "component": "next.wasm", "digest": "0a".repeat(32), "attempts": 1, "same": 0, "allowed": 0,
        "differs": 1, "unanswered": 0, "truncated": 0, "not_run": {}, "groups": groups,
    });
    let path = format!("/api/v1/hooks/{hook}/publish-try");
    let published = node.order(&path, report).await;
    assert_eq!(published["groups"], events.len(), "{published}");
    let id = published["id"].as_str().unwrap();
    format!("/api/v1/hooks/{hook}/tries/{id}")
}

pub(super) async fn erased_events_keep_their_fact(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}");
    let setup = Setup::new().hook("store", &bundled("store"), &file);
    let node = serving(&backend, setup, "store").await;
    let gone = event_id(&node.deliver("/store", &[], "{\"n\":1}").await);
    let kept = event_id(&node.deliver("/store", &[], "{\"n\":2}").await);
    node.until_states("store", &["done", "done"]).await;
    let report = publish_try(&node, "store", &[&gone, &kept]).await;

    let order = json!({ "events": [gone] });
    let erased = node.order("/api/v1/erase", order.clone()).await;
    assert_eq!(
        (&erased["events"], &erased["rows"], &erased["values"]),
        (&json!(1), &json!(1), &json!(0)),
        "{erased}"
    );
    let left = node.ask(&report).await;
    assert_eq!(left["groups"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left["groups"][0]["sample"]["event"], kept, "{left}");
    assert!(erased["files"].is_string(), "{erased}");
    assert_eq!(
        node.order("/api/v1/erase", order.clone()).await["before"],
        1
    );
    assert_eq!(node.order("/api/v1/replay", order).await["erased"], 1);
    let shown = node.ask(&format!("/api/v1/events/{gone}")).await;
    assert!(shown["deliveries"][0]["erased_at"].is_string(), "{shown}");
    assert_eq!(shown["deliveries"][0]["state"], "done");
    assert_eq!(shown["attempts"][0]["outcome"], "done");
    assert_eq!(node.deliveries("store").await.len(), 2);
}

pub(super) async fn encrypted_events_run_and_are_found(backend: Backend) {
    let file = format!("mode = \"async\"\n{OPEN}{STORE}");
    let setup = Setup::new()
        .hook("store", &bundled("store"), &file)
        .env("LANDFALL_LEDGER_ENCRYPTION_KEYS", "env:LEDGER_KEY")
        .env("LEDGER_KEY", &"ab".repeat(32));
    let node = serving(&backend, setup, "store").await;
    let event = event_id(&node.deliver("/store", &[], "{\"n\":1}").await);
    node.until_states("store", &["done"]).await;
    let found = node.events("value=/n=1").await;
    assert_eq!((found.len(), &found[0]["event"]), (1, &json!(event)));
    let shown = node.ask(&format!("/api/v1/events/{event}")).await;
    assert_eq!(shown["event"]["body"]["text"], "{\"n\":1}");
    assert!(
        shown["attempts"][0]["record"]["component"].is_string(),
        "{shown}"
    );
    let report = publish_try(&node, "store", &[&event]).await;
    let report = node.ask(&report).await;
    let found = &report["groups"][0]["sample"]["found"];
    assert_eq!(*found, format!("of {event}"), "{report}");
}
