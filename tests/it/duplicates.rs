//! Duplicates: one delivery runs once, however often it comes, and nothing that differs is taken for it.

use std::collections::BTreeSet;
use std::time::Duration;

use landfall_tests::{Node, Receiver, Setup, bundled, event_id, eventually, guest};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// A number of `/metrics`; 0 where the series is not there.
async fn metric(node: &Node, series: &str) -> u64 {
    let text = node.metrics().await;
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
        .unwrap_or(0)
}

async fn repeats(node: &Node, event: &str) -> Value {
    node.ask(&format!("/api/v1/events/{event}")).await["repeats"].clone()
}

#[tokio::test]
async fn all_fields_together_form_the_identity() {
    let dedup = "[dedup]\nid = [{ header = \"X-Channel\" }, { query = \"n\" }, { json = \"/id\" }, { param = \"team\" }]\n";
    let file = format!("mode = \"async\"\npath = \"/in/{{team}}\"\n{OPEN}{dedup}");
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    let send = |channel: &'static str, number: u8, id: u8, team: &'static str| {
        let (path, body) = (format!("/in/{team}?n={number}"), format!("{{\"id\":{id}}}"));
        let node = &node;
        async move { event_id(&node.post(&path, &[("x-channel", channel)], body).await) }
    };

    let first = send("a", 1, 1, "x").await;
    for other in [
        send("b", 1, 1, "x").await,
        send("a", 2, 1, "x").await,
        send("a", 1, 2, "x").await,
    ] {
        assert_ne!(other, first);
    }
    assert_ne!(send("a", 1, 1, "y").await, first);
    assert_eq!(send("a", 1, 1, "x").await, first);
    node.until_states("in", &["done"; 5]).await;
}

#[tokio::test]
async fn close_numbers_are_two_events() {
    let dedup = "[dedup]\nid = [{ json = \"/id\" }]\nmatch = \"id\"\n";
    let file = format!("mode = \"async\"\norder_by = {{ json = \"/id\" }}\n{OPEN}{dedup}");
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    let numbers = [
        "0.1",
        "0.10000000000000000001",
        "18446744073709551616",
        "18446744073709551617",
        "1.0",
        "1",
    ];
    let mut ids = BTreeSet::new();
    for number in numbers {
        let send = async |more: &str| {
            let body = format!("{{\"id\": {number}{more}}}");
            event_id(&node.post("/in", &[], body).await)
        };
        let first = send("").await;
        assert_eq!(send(",\"retry\":1").await, first, "{number}");
        let shown = node.ask(&format!("/api/v1/events/{first}")).await;
        let attributes = shown["event"]["attributes"].to_string();
        let id = format!("[\"delivery-id\",\"{number}\"]");
        assert!(attributes.contains(&id), "{attributes}");
        ids.insert(first);
    }
    assert_eq!(ids.len(), numbers.len(), "an event is lost: {ids:?}");
    node.until_states("in", &["done"; 6]).await;
}

#[tokio::test]
async fn duplicates_are_among_the_refusals() {
    let file = format!("mode = \"async\"\n{OPEN}[dedup]\nid = [{{ header = \"Id\" }}]\n");
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    let send = async || event_id(&node.post("/in", &[("id", "1")], "{}").await);
    let first = send().await;
    for _ in 0..30 {
        assert_eq!(send().await, first);
    }

    let all = node.ask("/api/v1/refusals").await;
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 10, "the last ones are kept: {all:?}");
    let (entry, text) = (&all[0], |key: &str| {
        all[0][key].as_str().unwrap_or_default().to_owned()
    });
    assert_eq!(
        (
            entry["hook"].as_str(),
            entry["reason"].as_str(),
            &entry["count"]
        ),
        (Some("in"), Some("duplicate"), &json!(30))
    );
    assert!(
        text("detail").contains(&first) && text("client_address").contains("127.0.0.1"),
        "{entry}"
    );
    assert!(
        text("hint").contains(&format!("landfall events replay {first}"))
            && text("hint").contains("in.toml"),
        "{entry}"
    );

    let explain = node.command().args(["explain", "in"]).output().unwrap();
    let said = String::from_utf8_lossy(&explain.stdout);
    assert!(
        explain.status.success() && said.contains("duplicate") && said.contains("30 like it"),
        "{said}"
    );
    assert_eq!(
        said.matches("duplicate delivery")
            .count()
            .max(said.matches("  duplicate").count()),
        1,
        "{said}"
    );
    // Further lines are held back: five in ten seconds, and a slow machine may need more than one
    // such window.
    let line = "duplicate delivery, not run again";
    eventually("five lines are written", || async {
        (node.log().matches(line).count() >= 5).then_some(())
    })
    .await;
    assert!(node.log().matches(line).count() <= 20, "{}", node.log());
}

#[tokio::test]
async fn pack_identity_counts_per_url() {
    let file = "mode = \"async\"\npath = \"/in/{tenant}\"\n[verify]\nprovider = \"acme\"\n";
    let setup = Setup::new().hook("in", &bundled("echo"), file);
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    let pack = format!("name = \"Acme\"\ndelivery_id = {{ header = \"Id\" }}\n{OPEN}");
    std::fs::write(setup.plugins().join("providers/acme.toml"), pack).unwrap();
    let node = setup.serving("in").await;
    let send = |path: &'static str| {
        let node = &node;
        async move { event_id(&node.post(path, &[("id", "1")], "{}").await) }
    };
    let first = send("/in/a").await;
    assert_ne!(send("/in/b").await, first, "another tenant");
    assert_ne!(send("/in/a?hook=2").await, first, "another subscription");
    assert_eq!(send("/in/a").await, first);
    node.until_states("in", &["done"; 3]).await;
}

#[tokio::test]
async fn refused_delivery_runs_again() {
    let file = format!("mode = \"auto\"\n{OPEN}[dedup]\nid = {{ header = \"Id\" }}\n");
    let node = Setup::new()
        .hook("in", &guest("replies"), &file)
        .serving("in")
        .await;
    let send = |status: &'static str| {
        let node = &node;
        async move {
            node.post("/in", &[("id", "1"), ("x-status", status)], "{}")
                .await
        }
    };
    assert_eq!(send("503").await.0, 503);
    node.until_states("in", &["done"]).await;
    assert_eq!(
        send("200").await.0,
        200,
        "the provider's retry is no duplicate"
    );
    assert_eq!(send("200").await.0, 202, "now it is");
    node.until_states("in", &["done", "done"]).await;
}

#[tokio::test]
async fn missing_field_means_no_identity() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[dedup]\nid = [{{ header = \"A\" }}, {{ header = \"B\" }}]\n"
    );
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    for _ in 0..2 {
        assert_eq!(node.post("/in", &[("a", "1")], "{}").await.0, 202);
    }
    node.until_states("in", &["done", "done"]).await;
}

#[tokio::test]
async fn alternatives_do_not_share_identities() {
    let file = format!(
        "mode = \"async\"\n{OPEN}[dedup]\nid = [[{{ header = \"Ce-Id\" }}], [{{ json = \"/id\" }}]]\n"
    );
    let node = Setup::new()
        .hook("in", &bundled("echo"), &file)
        .serving("in")
        .await;
    let in_header = event_id(&node.post("/in", &[("ce-id", "1")], "{}").await);
    let in_body = event_id(&node.post("/in", &[], "{\"id\":\"1\"}").await);
    assert_ne!(in_header, in_body);
    assert_eq!(
        event_id(&node.post("/in", &[("ce-id", "1")], "{}").await),
        in_header
    );
    assert_eq!(
        event_id(&node.post("/in", &[], "{\"id\":\"1\"}").await),
        in_body
    );
}

#[tokio::test]
async fn other_body_runs_unless_id_decides() {
    let by =
        |rule: &str| format!("mode = \"async\"\n{OPEN}[dedup]\nid = {{ header = \"Id\" }}\n{rule}");
    let setup = Setup::new().hook("both", &bundled("echo"), &by(""));
    let node = setup
        .hook("id", &bundled("echo"), &by("match = \"id\"\n"))
        .serving("both")
        .await;
    node.until("id", "serving").await;

    let first = event_id(&node.post("/both", &[("id", "7")], "{\"n\":1}").await);
    let other = event_id(&node.post("/both", &[("id", "7")], "{\"n\":2}").await);
    assert_ne!(other, first);
    assert_eq!(
        event_id(&node.post("/both", &[("id", "7")], "{\"n\":2}").await),
        other,
        "a retry of the second"
    );
    node.until_states("both", &["done", "done"]).await;
    assert_eq!(
        metric(&node, "landfall_conflicts_total{hook=\"both\"}").await,
        1
    );
    assert_eq!(repeats(&node, &first).await["last_conflict"], json!(other));
    let logged = |line: &Value| line["first"] == first.as_str() && line["event"] == other.as_str();
    node.logged("both ids", logged).await;

    let first = event_id(&node.post("/id", &[("id", "7")], "{\"attempt\":1}").await);
    assert_eq!(
        event_id(&node.post("/id", &[("id", "7")], "{\"attempt\":2}").await),
        first
    );
    node.until_states("id", &["done"]).await;
    assert_eq!(
        metric(
            &node,
            "landfall_duplicates_total{hook=\"id\",result=\"not-run\"}"
        )
        .await,
        1
    );
    let seen = repeats(&node, &first).await;
    assert_eq!(
        (&seen["duplicates"], &seen["conflicts"]),
        (&json!(1), &json!(0))
    );
    let listed = node
        .command()
        .args(["events", "list", "--hook", "id"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("1 not run as duplicates"), "{listed}");
    let duplicate = seen["last_duplicate"].as_str().unwrap().to_owned();
    node.logged("both ids", |line| {
        line["event"] == first.as_str() && line["duplicate"] == duplicate.as_str()
    })
    .await;
}

#[tokio::test]
async fn redelivery_of_a_dead_event_runs() {
    caller_gets_the_reply_of_the_replay(Setup::new()).await;
}

#[tokio::test]
async fn replays_may_end_before_their_caller_waits() {
    caller_gets_the_reply_of_the_replay(Setup::new().env("FAILPOINTS", "joins=sleep(1500)")).await;
}

async fn caller_gets_the_reply_of_the_replay(setup: Setup) {
    let file = format!(
        "mode = \"auto\"\n{OPEN}[retry]\nattempts = 1\n[dedup]\nid = {{ header = \"Id\" }}\n"
    );
    let node = setup.hook("in", &guest("traps"), &file).serving("in").await;
    let first = node.post("/in", &[("id", "7")], "{}").await;
    assert_eq!(first.0, 202);
    let first = event_id(&first);
    node.until_states("in", &["dead"]).await;

    let digest = node.hook("in").await.unwrap()["digest"].clone();
    node.put("in.wasm", std::fs::read(bundled("echo")).unwrap());
    node.until_changed("in", &digest).await;
    let (status, body) = node.post("/in", &[("id", "7")], "{}").await;
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &reply["event_id"]),
        (200, &json!(first)),
        "the caller gets the reply of the replay: {body}"
    );
    node.until_states("in", &["resolved", "done"]).await;
    assert_eq!(
        metric(
            &node,
            "landfall_duplicates_total{hook=\"in\",result=\"replayed\"}"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn duplicate_joins_the_running_delivery() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let mode = "mode = \"auto\"\nanswer_within = \"60s\"\n";
    let dedup = "[dedup]\nid = { header = \"Id\" }\n";
    let file = receiver.hook_of_waits(mode) + dedup;
    let node = Setup::new()
        .hook("slow", &guest("waits"), &file)
        .serving("slow")
        .await;
    let send = || node.post("/slow", &[("id", "7")], "{}");
    let all_have_come = async {
        eventually("two duplicates are counted", || async {
            let deliveries = node.deliveries("slow").await;
            (deliveries.first()?["duplicates"] == 2).then_some(())
        })
        .await;
        receiver.release();
    };
    let (first, second, third, ()) = tokio::join!(send(), send(), send(), all_have_come);
    assert_eq!(first, (200, "awake".to_owned()));
    assert_eq!((&second, &third), (&first, &first));
    let done = node.until_states("slow", &["done"]).await;
    assert_eq!(
        (&done[0]["attempt"], &done[0]["duplicates"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn duplicate_gets_the_first_reply_again() {
    let pack = format!("name = \"Acme\"\nrepeat_reply = true\n{OPEN}");
    let file =
        "mode = \"auto\"\n[verify]\nprovider = \"acme\"\n[dedup]\nid = { header = \"Id\" }\n";
    let setup = Setup::new().hook("calls", &bundled("echo"), file);
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    std::fs::write(setup.plugins().join("providers/acme.toml"), pack).unwrap();
    let node = setup.serving("calls").await;

    let first = node.post("/calls", &[("id", "7")], "{\"n\":1}").await;
    assert_eq!(first.0, 200);
    node.until_states("calls", &["done"]).await;
    assert_eq!(
        node.post("/calls", &[("id", "7")], "{\"n\":1}").await,
        first
    );

    let node = node.killed().start().await;
    eventually("the hook serves", || async {
        (node.hook("calls").await?["state"] == "serving").then_some(())
    })
    .await;
    assert_eq!(
        node.post("/calls", &[("id", "7")], "{\"n\":1}").await,
        first,
        "after a restart too"
    );
    assert_eq!(node.deliveries("calls").await.len(), 1);
}

#[tokio::test]
async fn duplicates_do_not_await_late_retries() {
    let backoff = "[retry]\nattempts = 2\n\
                   backoff = { first = \"1h\", factor = 1.0, max = \"1h\", jitter = 0.0 }\n";
    let file = format!(
        "mode = \"auto\"\nanswer_within = \"60s\"\n{OPEN}{backoff}[dedup]\nid = {{ header = \"Id\" }}\n"
    );
    let node = Setup::new()
        .hook("in", &guest("traps"), &file)
        .serving("in")
        .await;
    let first = event_id(&node.post("/in", &[("id", "7")], "{}").await);
    node.until_states("in", &["pending"]).await;
    let again = tokio::time::timeout(
        Duration::from_secs(50),
        node.post("/in", &[("id", "7")], "{}"),
    )
    .await;
    assert_eq!(event_id(&again.expect("answered at once")), first);
}

#[tokio::test]
async fn unusable_identities_are_refused_at_load() {
    let setup = Setup::new();
    for (name, id) in [
        ("empty", "[]"),
        ("pointer", "[{ json = \"id\" }]"),
        ("word", "\"delivery\""),
    ] {
        let file = format!("component = \"echo.wasm\"\n{OPEN}[dedup]\nid = {id}\n");
        std::fs::write(setup.plugins().join(format!("{name}.toml")), file).unwrap();
    }
    let node = setup
        .hook("echo", &bundled("echo"), OPEN)
        .serving("echo")
        .await;
    for (name, problem) in [
        ("empty", "a list of such fields"),
        ("pointer", "JSON pointer"),
        ("word", "body-digest"),
    ] {
        let status = node.until(name, "unavailable").await;
        assert!(
            status["problem"].as_str().unwrap().contains(problem),
            "{name}: {status}"
        );
    }
}

#[tokio::test]
async fn duplicates_of_failures_are_not_accepted() {
    let node = Setup::new()
        .hook(
            "in",
            &guest("replies"),
            &format!("mode = \"auto\"\n{OPEN}[dedup]\nid = {{ header = \"Id\" }}\n"),
        )
        .serving("in")
        .await;
    for round in 0..30 {
        let id = round.to_string();
        let headers = [("id", id.as_str()), ("x-status", "500")];
        let (first, second, third) = tokio::join!(
            node.post("/in", &headers, "{}"),
            node.post("/in", &headers, "{}"),
            node.post("/in", &headers, "{}")
        );
        for answer in [first, second, third] {
            assert!(
                answer.0 >= 500,
                "a sender that gets a 2xx does not send again: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn non_utf8_queries_identify_nothing() {
    let file =
        format!("mode = \"auto\"\n{OPEN}[dedup]\nid = {{ query = \"order\" }}\nmatch = \"id\"\n");
    let node = Setup::new()
        .hook("in", &guest("answers_one"), &file)
        .serving("in")
        .await;
    for query in ["%B6%A9%B5%A51", "%B5%A5%B6%A91", "%ff1"] {
        assert_eq!(
            node.post(&format!("/in?order={query}"), &[], "{}").await.0,
            200
        );
    }
    node.until_states("in", &["done"; 3]).await;
}
