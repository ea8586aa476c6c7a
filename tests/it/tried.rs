//! Recorded runs, and `landfall try`: another component runs recorded attempts without an effect.

mod page;
mod published;
mod recorded;
mod secrets;

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use landfall_tests::{Node, Receiver, Setup, eventually, guest};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const GRANTS: &str = "[allow]\nkv = true\ntable = [\"orders\"]\n";

/// The hook file of a shop that charges at this URL. `top`: further keys, each with a line break.
pub(crate) fn shop_file(top: &str, url: &str) -> String {
    format!("{top}{OPEN}{GRANTS}http = [\"{url}\"]\n[settings]\nurl = \"{url}\"\n")
}

/// A node with the hook `shop`, and the server that it charges at.
async fn shop(top: &str) -> (Arc<Node>, Receiver) {
    let receiver = Receiver::start().await;
    receiver.say("{\"charge\":\"ch_1\"}");
    let file = shop_file(top, &receiver.url("/charge"));
    let node = Setup::new()
        .hook("shop", &guest("shop"), &file)
        .serving("shop")
        .await;
    (Arc::new(node), receiver)
}

/// Sends orders with these numbers, some at a time.
pub(crate) async fn order(node: &Arc<Node>, numbers: std::ops::Range<u32>) {
    let numbers: Vec<u32> = numbers.collect();
    let callers = numbers.chunks(numbers.len().div_ceil(8)).map(|numbers| {
        let (node, numbers) = (node.clone(), numbers.to_vec());
        tokio::spawn(async move {
            for number in numbers {
                let body = json!({ "number": number, "void": number % 10 == 7 }).to_string();
                let answer = node.post("/shop", &[], body).await;
                assert!(matches!(answer.0, 200 | 202 | 422), "{answer:?}");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// Waits until so many recordings of the hook are stored.
pub(crate) async fn until_recorded(node: &Node, hook: &str, count: u32) {
    let series = format!("landfall_recordings_total{{hook=\"{hook}\",result=\"stored\"}} {count}");
    eventually(&format!("{series}\n{}", node.log()), || async {
        node.metrics().await.contains(&series).then_some(())
    })
    .await;
}

/// `landfall try`, in a folder of its own.
fn try_component(node: &Node, component: &Path, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    node.command()
        .arg("try")
        .arg(component)
        .arg("--plugins")
        .arg(node.plugins())
        .args(arguments)
        .current_dir(dir.path())
        .output()
        .unwrap()
}

/// The report of `landfall try --json`, and its exit code.
fn report(node: &Node, component: &Path, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = try_component(node, component, &[&["--json"][..], arguments].concat());
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    (report, output.status.code())
}

/// The kinds of the groups that follow from a question without a recorded answer.
fn following(report: &Value) -> Vec<&str> {
    let groups = report["groups"].as_array().unwrap().iter();
    let following = groups.filter(|group| group["measured"] == false && group["follows"] == true);
    let kinds = following.map(|group| group["kind"].as_str().unwrap());
    kinds.collect()
}

/// Kind, place and number of attempts of each group that counts.
fn groups(report: &Value) -> Vec<(String, String, u64)> {
    let groups = report["groups"].as_array().unwrap().iter();
    let counted = groups.filter(|group| group["measured"] == false && group["follows"] == false);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let counted = counted.map(|group| {
        let attempts = group["attempts"].as_u64().unwrap();
        (text(&group["kind"]), text(&group["place"]), attempts)
    });
    counted.collect()
}

/// The answer to a call names a part of its URL a secret, so that the recording has that masked.
/// The same component does not know that yet when it makes the call.
#[tokio::test]
async fn values_learned_later_are_matched() {
    let receiver = Receiver::start().await;
    receiver.say("{\"charge\":\"ch_1\",\"access_token\":\"terminal-77\"}");
    let top = "mode = \"sync\"\n[record]\nrate = 1.0\n";
    let file = shop_file(top, &receiver.url("/terminal-77"));
    let node = Setup::new()
        .hook("shop", &guest("shop"), &file)
        .serving("shop")
        .await;
    let node = Arc::new(node);
    order(&node, 0..5).await;
    until_recorded(&node, "shop", 5).await;

    let (same, code) = report(&node, &guest("shop"), &["--hook", "shop"]);
    assert!(groups(&same).is_empty(), "{same}");
    assert_eq!((&same["same"], code), (&json!(5), Some(0)), "{same}");
    assert!(!same.to_string().contains("terminal-77"), "{same}");
}

/// The event has a value that the recorded attempt knew to be secret from `kv`. In a run, `kv`
/// answers with the masked value, so that the component is the only one that has it.
#[tokio::test]
async fn secrets_in_results_are_matched() {
    let file = format!(
        "mode = \"sync\"\n[record]\nrate = 1.0\n{OPEN}[allow]\nkv = true\ntable = [\"t\"]\n"
    );
    let node = Setup::new()
        .hook("keeps", &guest("keeps_script"), &file)
        .serving("keeps")
        .await;
    let key = "canary-of-a-kept-key";
    for calls in [
        json!([["set", "api_key", key]]),
        json!([["get", "api_key"], ["append", "t", { "k": key, "n": 1 }], ["set", key, "1"]]),
    ] {
        let answer = node.post("/keeps", &[], calls.to_string()).await;
        assert_eq!(answer.0, 200, "{answer:?}");
    }
    until_recorded(&node, "keeps", 2).await;

    let (same, code) = report(&node, &guest("keeps_script"), &["--hook", "keeps"]);
    assert_eq!((&same["same"], code), (&json!(2), Some(0)), "{same}");
    assert!(!same.to_string().contains(key), "{same}");
}

#[tokio::test]
async fn three_differences_among_500_are_found() {
    let (node, receiver) = shop("mode = \"sync\"\n[record]\nrate = 1.0\n").await;
    order(&node, 0..500).await;
    until_recorded(&node, "shop", 500).await;
    let calls = receiver.got().len();
    let all = ["--hook", "shop", "--last", "500"];

    // The same component does the same, though it reads the clock and random numbers.
    let (same, code) = report(&node, &guest("shop"), &all);
    assert!(groups(&same).is_empty(), "{same}");
    assert_eq!(
        (&same["attempts"], &same["same"], code),
        (&json!(500), &json!(500), Some(0)),
        "{same}"
    );

    let (found, code) = report(&node, &guest("shop_next"), &all);
    let call = format!("POST {}", receiver.url("/charge"));
    let expected: [(String, String, u64); 3] = [
        ("unanswered_call".to_owned(), call.clone(), 1),
        ("reply".to_owned(), "body/order".to_owned(), 1),
        ("rows".to_owned(), "orders/note".to_owned(), 1),
    ];
    assert_eq!(groups(&found), expected, "{found}");
    assert_eq!(
        (
            &found["same"],
            &found["differs"],
            &found["unanswered"],
            code
        ),
        (&json!(497), &json!(2), &json!(1), Some(1)),
        "{found}"
    );
    let sample = &found["groups"][0]["sample"];
    assert_eq!(sample["recorded"]["body"]["amount"], 2020, "{found}");
    assert_eq!(sample["found"]["body"]["amount"], 2021, "{found}");
    let kinds = following(&found);
    assert!(kinds.contains(&"outcome"), "{found}");

    // What is meant does not count. A call that is meant hides no other difference of its attempt.
    let call = format!("unanswered_call:{call}");
    let mut meant = all.to_vec();
    meant.extend(["--allow", "reply:body/order", "--allow", "rows:orders/note"]);
    meant.extend(["--allow", &call]);
    let (allowed, code) = report(&node, &guest("shop_next"), &meant);
    assert_eq!(
        (
            &allowed["same"],
            &allowed["differs"],
            &allowed["unanswered"],
            code
        ),
        (&json!(499), &json!(1), &json!(0), Some(1)),
        "{allowed}"
    );
    assert!(following(&allowed).is_empty(), "{allowed}");
    let counted = groups(&allowed);
    for kind in &kinds {
        assert!(counted.iter().any(|(one, ..)| one == kind), "{allowed}");
    }

    // All differences of the attempt are named.
    for kind in &kinds {
        meant.extend(["--allow", kind]);
    }
    let (allowed, code) = report(&node, &guest("shop_next"), &meant);
    assert_eq!(
        (&allowed["same"], &allowed["allowed"], code),
        (&json!(500), &json!(3), Some(0)),
        "{allowed}"
    );

    // No run has had an effect.
    assert_eq!(receiver.got().len(), calls);
    let rows = node.ask("/api/v1/rows/shop/orders").await;
    assert_eq!(rows.as_array().unwrap().len(), 450);
}

#[tokio::test]
async fn groups_are_printed_with_samples() {
    let (node, _receiver) = shop("mode = \"auto\"\n[record]\nrate = 1.0\n").await;
    order(&node, 300..305).await;
    until_recorded(&node, "shop", 5).await;

    let output = try_component(&node, &guest("shop_next"), &["--hook", "shop"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for line in [
        "rows  orders/note  1 attempt\n",
        "    - (absent)\n    + new\n",
        "5 attempts of hook shop on ",
        "  same            4\n",
        "  differ          1\n",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
}

#[tokio::test]
async fn clean_candidates_are_promoted() {
    let (node, _receiver) = shop("mode = \"sync\"\n[record]\nrate = 1.0\n").await;
    order(&node, 0..5).await;
    until_recorded(&node, "shop", 5).await;

    let before = std::fs::read(node.plugins().join("shop.wasm")).unwrap();
    let arguments = ["--hook", "shop", "--promote"];
    let output = try_component(&node, &guest("shop_next"), &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let served = std::fs::read(node.plugins().join("shop.wasm")).unwrap();
    assert_eq!(served, std::fs::read(guest("shop_next")).unwrap());
    let kept = || std::fs::read(node.plugins().join("shop.wasm.previous")).unwrap();
    assert_eq!(kept(), before);

    // The same command again, and one that fails, lose nothing of that.
    let output = try_component(&node, &guest("shop_next"), &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(kept(), before);
    let file = std::fs::read_to_string(node.plugins().join("shop.toml")).unwrap();
    let unpinned = file.replace("digest", "# digest") + "[candidate]\ncomponent = \"new.wasm\"\n";
    node.put("shop.toml", unpinned);
    let output = try_component(&node, &guest("shop"), &arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not promoted: nothing was changed"), "{said}");
    assert_eq!(kept(), before);
    node.put("shop.toml", file);
    eventually("the new version serves", || async {
        let body = json!({ "number": 101 }).to_string();
        let answer = node.post("/shop", &[], body).await;
        answer.1.contains("\"yes\"").then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_recorded_is_no_success() {
    let (node, _receiver) = shop("mode = \"sync\"\n").await;
    order(&node, 0..5).await;
    let output = try_component(&node, &guest("shop"), &["--hook", "shop"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("[record] rate = 1.0"), "{said}");

    let unknown = try_component(&node, &guest("shop"), &["--hook", "absent"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let wrong = try_component(
        &node,
        &guest("shop"),
        &["--hook", "shop", "--allow", "speed"],
    );
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("no kind of difference"), "{said}");
}
