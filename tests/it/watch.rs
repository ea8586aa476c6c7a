//! Alarms of a running node: each opens once and closes once, is seen in every place, and is told once, over restarts and on
//! several nodes. The rules have their tests in host/watch.

mod every;
mod receivers;
pub(crate) mod scene;
mod shapes;

use landfall_tests::{Node, Setup, eventually, guest, sign};
use serde_json::Value;

use self::scene::{
    LOOK, MovedClock, OPEN, alarms, gauge, is_over, is_told, only_alarm, told, watched,
};

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_once() {
    let orders = format!("{OPEN}[watch]\nexpect = \"1 per 1h\"\n");
    let setup = watched().hook("orders", &guest("answers_one"), &orders);
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = setup.serving("orders").await;
    node.until("alerts", "serving").await;
    assert_eq!(node.post("/orders", &[], "{}").await.0, 200);
    // The event is seen before the clock moves.
    tokio::time::sleep(LOOK).await;
    for _ in 0..6 {
        clock.advance(9).await;
    }
    assert_eq!(alarms(&node).await, Vec::<Value>::new(), "54 minutes");
    assert_eq!(gauge(&node, "orders", "silence").await, "0");

    clock.advance_until(&node, 1).await;
    let first = is_told(&node, "orders", "silence").await;
    let sentence = first["sentence"].as_str().unwrap();
    assert!(sentence.ends_with("one is expected every 1h"), "{first}");
    assert_eq!(
        first["link"],
        "https://landfall.example.com/why?hook=orders"
    );

    // A restart neither closes it nor tells it again.
    let node = node.killed().serving("orders").await;
    node.until("alerts", "serving").await;
    let again = only_alarm(&node, "orders", "silence").await;
    assert_eq!(again["since"], first["since"]);
    clock.advance(9).await;
    assert_eq!(told(&node, 1).await, std::slice::from_ref(&first));

    assert_eq!(node.post("/orders", &[], "{}").await.0, 200);
    is_over(&node, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_senders_are_told_once() {
    let github = "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
    let setup = watched()
        .hook("github", &guest("answers_one"), github)
        .env("SECRET", "canary-right");
    let Some((mut clock, setup)) = MovedClock::of(setup) else {
        return;
    };
    let node = setup.serving("github").await;
    node.until("alerts", "serving").await;
    let post = async |node: &Node, secret: &str| {
        let signature = sign(secret, b"{}");
        let headers = [
            ("x-github-event", "push"),
            ("x-hub-signature-256", signature.as_str()),
        ];
        node.post("/github", &headers, "{}").await.0
    };
    for _ in 0..9 {
        assert_eq!(post(&node, "canary-wrong").await, 401);
    }
    tokio::time::sleep(LOOK).await;
    assert_eq!(alarms(&node).await, Vec::<Value>::new());
    for _ in 0..9 {
        assert_eq!(post(&node, "canary-wrong").await, 401);
    }

    let first = is_told(&node, "github", "refusals").await;
    let hint = first["hint"].as_str().unwrap();
    assert!(hint.starts_with("`landfall explain github`"), "{first}");
    assert!(!first.to_string().contains("canary"), "{first}");

    let node = node.killed().serving("github").await;
    node.until("alerts", "serving").await;
    only_alarm(&node, "github", "refusals").await;
    // Ten minutes without a refusal, and five more.
    assert_eq!(post(&node, "canary-right").await, 200);
    clock.advance_until(&node, 0).await;
    is_over(&node, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_alerts_tell_no_hook() {
    let asynchronous = format!("mode = \"async\"\n{OPEN}");
    let node = Setup::new()
        .hook("alerts", &guest("rejects"), &asynchronous)
        .hook("dead", &guest("rejects"), &asynchronous)
        .env("LANDFALL_WATCH_TO", "alerts")
        .env("LANDFALL_WATCH_INTERVAL", "100ms")
        .env("LANDFALL_WATCH_DISK", "false")
        .serving("alerts")
        .await;
    node.until("dead", "serving").await;
    assert_eq!(node.post("/dead", &[], "{}").await.0, 202);
    node.until_states("alerts", &["dead"]).await;

    // The alarm about `alerts` itself is open, and was told to no hook.
    eventually(&format!("both alarms are open\n{}", node.log()), || async {
        let open = alarms(&node).await;
        let hooks: Vec<&Value> = open.iter().map(|alarm| &alarm["hook"]).collect();
        (hooks == ["alerts", "dead"]).then_some(())
    })
    .await;
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(node.deliveries("alerts").await.len(), 1);
}

#[tokio::test]
async fn switched_off_alarms_stay_closed() {
    let asynchronous = format!("mode = \"async\"\n{OPEN}");
    let node = Setup::new()
        .hook("dead", &guest("rejects"), &asynchronous)
        .hook(
            "quiet",
            &guest("rejects"),
            &format!("{asynchronous}[watch]\ndead_letters = false\n"),
        )
        .env("LANDFALL_WATCH_INTERVAL", "100ms")
        .env("LANDFALL_WATCH_DISK", "false")
        .serving("quiet")
        .await;
    node.until("dead", "serving").await;
    for hook in ["quiet", "dead"] {
        assert_eq!(node.post(&format!("/{hook}"), &[], "{}").await.0, 202);
        node.until_states(hook, &["dead"]).await;
    }
    only_alarm(&node, "dead", "dead_letters").await;
    assert_eq!(gauge(&node, "quiet", "dead_letters").await, "0");
    assert_eq!(gauge(&node, "-", "disk").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_nodes_watches() {
    let rejects = format!("mode = \"async\"\n{OPEN}");
    let setup = watched().hook("dead", &guest("rejects"), &rejects);
    let Some(setup) = setup.on_postgres() else {
        return;
    };
    let (one, two) = tokio::join!(setup.copy().serving("dead"), setup.copy().serving("dead"));
    for node in [&one, &two] {
        node.until("alerts", "serving").await;
    }
    assert_eq!(one.post("/dead", &[], "{}").await.0, 202);
    let (of_one, of_two) = tokio::join!(
        only_alarm(&one, "dead", "dead_letters"),
        only_alarm(&two, "dead", "dead_letters")
    );
    assert_eq!(of_one, of_two);
    told(&one, 1).await;
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(two.deliveries("alerts").await.len(), 1);
}

/// Its memory is older than what the other node has saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_watcher_changes_nothing() {
    let rejects = format!("mode = \"async\"\n{OPEN}");
    let setup = watched().hook("dead", &guest("rejects"), &rejects);
    let Some(setup) = setup.on_postgres() else {
        return;
    };
    let one = setup.copy().serving("dead").await;
    one.until("alerts", "serving").await;
    assert_eq!(one.post("/dead", &[], "{}").await.0, 202);
    only_alarm(&one, "dead", "dead_letters").await;
    told(&one, 1).await;

    one.signal("STOP");
    let two = setup.copy().serving("dead").await;
    two.until("alerts", "serving").await;
    let mut command = two.command();
    command.args(["events", "discard", "--hook", "dead", "--reason", "known"]);
    let output = tokio::task::spawn_blocking(move || command.output());
    assert!(output.await.unwrap().unwrap().status.success());
    let both = told(&two, 2).await;
    assert_eq!(both[1]["type"], "alarm.closed");

    one.signal("CONT");
    eventually(
        "the suspended node knows that the alarm is over",
        || async { alarms(&one).await.is_empty().then_some(()) },
    )
    .await;
    drop(two);
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(one.deliveries("alerts").await.len(), 2);
}
