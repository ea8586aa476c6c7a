//! Missed deliveries: a stand-in for the API of GitHub, Stripe and Shopify says what could not be
//! delivered, and the node brings exactly that, once, across rate limits and kills. The stand-in
//! answers in the shapes of the official documentation: docs.github.com/en/rest/repos/webhooks,
//! docs.stripe.com/api/events/list, shopify.dev/docs/api/admin-rest/latest/resources/order.

use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use landfall_tests::{Node, Setup, bundled, eventually, sign};
use serde_json::{Value, json};

mod app;
mod odd;
pub(crate) mod provider;
mod shared;

use self::provider::{Delivery, Provider};

const SECRET: &str = "hook-secret";
const TOKEN: &str = "canary-of-the-api";

/// The ten deliveries of GitHub, oldest first. Three were never received; the fourth was received,
/// and timed out for GitHub.
const CODES: [u16; 10] = [200, 502, 200, 504, 200, 0, 200, 503, 200, 204];
const MISSED: [usize; 3] = [1, 5, 7];

fn guid(number: usize) -> String {
    format!("0b989ba4-242f-11e5-81e1-0000000000{number:02}")
}

fn body(number: usize) -> String {
    format!("{{\"ref\":\"refs/heads/main\",\"n\":{number}}}")
}

/// So many seconds ago.
fn ago(seconds: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(seconds)
}

fn unix_s(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn deliveries() -> Vec<Delivery> {
    CODES
        .iter()
        .enumerate()
        .map(|(number, code)| Delivery {
            id: 1000 + number as u64,
            guid: guid(number),
            code: *code,
            at: humantime::format_rfc3339_seconds(ago(900 - 60 * number as u64)).to_string(),
            body: body(number),
        })
        .collect()
}

fn github(provider: &Provider) -> Setup {
    let file = format!(
        "mode = \"async\"\n[verify]\nprovider = \"github\"\nsecret = \"env:HOOK_SECRET\"\n[dedup]\nmatch = \"id\"\n\
         [reconcile]\nowner = \"octo\"\nrepo = \"site\"\nhook = 42\nevery = \"1h\"\ncredential = \"env:API_TOKEN\"\napi = \"{}\"\n",
        provider.url()
    );
    with_secrets(Setup::new().hook("in", &bundled("echo"), &file))
}

fn with_secrets(setup: Setup) -> Setup {
    setup.env("HOOK_SECRET", SECRET).env("API_TOKEN", TOKEN)
}

/// The scheduled search at the start of a node has ended.
pub(crate) async fn until_searched(node: &Node) {
    eventually("the first search has ended", || async {
        let answer = node.try_ask("/api/v1/hooks/in/reconcile").await?;
        (answer["report"]["running"] == false).then_some(())
    })
    .await;
}

/// The node has received all but the missed deliveries, and GitHub lists all ten.
pub(crate) async fn after_misses(provider: &Provider) -> Node {
    let node = github(provider).serving("in").await;
    until_searched(&node).await;
    for number in (0..CODES.len()).filter(|number| !MISSED.contains(number)) {
        let (id, text) = (guid(number), body(number));
        let mac = sign(SECRET, text.as_bytes());
        let headers = [
            ("x-github-delivery", id.as_str()),
            ("x-github-hook-id", "42"),
            ("x-github-event", "push"),
            ("x-hub-signature-256", mac.as_str()),
            ("content-type", "application/json"),
        ];
        let (status, answer) = node.deliver("/in", &headers, text).await;
        assert!((200..300).contains(&status), "{status} {answer}");
    }
    provider.list(deliveries());
    node
}

/// `landfall reconcile in …`. The stand-in answers meanwhile.
async fn reconcile(node: &Node, words: &[&str]) -> Output {
    let mut command = node.command();
    command.args(["reconcile", "in", "--json"]).args(words);
    let ended = tokio::task::spawn_blocking(move || command.output());
    ended.await.unwrap().expect("the binary starts")
}

/// The report of a search that has not failed.
async fn reconciled(node: &Node, words: &[&str]) -> Value {
    let output = reconcile(node, words).await;
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{said}\n{errors}\n{}", node.log());
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}\n{errors}"))
}

fn counts(report: &Value) -> [u64; 4] {
    ["missed", "accepted", "known", "skipped"].map(|key| report[key].as_u64().unwrap())
}

/// Each of the ten deliveries is one event that is done.
async fn check_ten(node: &Node) {
    let all = node.until_states("in", &["done"; 10]).await;
    let mut texts = Vec::new();
    for one in &all {
        let event = one["event"].as_str().unwrap();
        texts.push(
            node.ask(&format!("/api/v1/events/{event}"))
                .await
                .to_string(),
        );
    }
    for number in 0..CODES.len() {
        let id = guid(number);
        let found = texts.iter().filter(|text| text.contains(&id)).count();
        assert_eq!(found, 1, "events of delivery {number}");
    }
    let marked = texts.iter().filter(|text| text.contains("reconciled"));
    assert_eq!(marked.count(), MISSED.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_missed_deliveries_come() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;

    let looked = reconciled(&node, &["--since", "3d", "--dry-run"]).await;
    assert_eq!(counts(&looked), [3, 0, 1, 0], "{looked}");
    assert_eq!(provider.contents_read(), 0);
    assert_eq!(node.deliveries("in").await.len(), 7);

    let first = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&first), [3, 3, 1, 0], "{first}");
    assert_eq!(first["listed"], 10, "every page was read");
    assert_eq!(provider.contents_read(), 3);
    check_ten(&node).await;

    let second = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&second), [0, 0, 4, 0], "{second}");
    assert_eq!(provider.contents_read(), 3, "known deliveries cost no call");
    assert_eq!(node.deliveries("in").await.len(), 10);

    let metrics = node.metrics().await;
    let series = "landfall_reconciled_total{hook=\"in\",result=\"accepted\"} 3";
    assert!(metrics.contains(series), "{metrics}");
    assert!(provider.was_authorized(&format!("Bearer {TOKEN}")));

    // The dry run has changed nothing.
    let audit = node.ask("/api/v1/audit").await;
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{audit}");
    for entry in entries {
        assert_eq!(entry["action"], "reconcile", "{entry}");
        assert_eq!(entry["hook"], "in", "{entry}");
        assert_eq!(entry["detail"]["since"], "3d", "{entry}");
        assert_eq!(entry["result"]["started"], true, "{entry}");
    }
    for text in [node.log(), metrics, first.to_string(), audit.to_string()] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_webhooks_are_duplicates() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    reconciled(&node, &["--since", "3d"]).await;

    // The same delivery by the webhook, in other bytes than those of the API.
    let (id, text) = (guid(MISSED[0]), format!("{} ", body(MISSED[0])));
    let mac = sign(SECRET, text.as_bytes());
    let headers = [
        ("x-github-delivery", id.as_str()),
        ("x-github-hook-id", "42"),
        ("x-github-event", "push"),
        ("x-hub-signature-256", mac.as_str()),
        ("content-type", "application/json"),
    ];
    let (status, _) = node.deliver("/in", &headers, text).await;
    assert!((200..300).contains(&status));
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_are_waited_for() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.limit(2, Some("1"));
    let report = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&report), [3, 3, 1, 0], "{report}");
    node.until_log("the provider's API has a rate limit").await;
    assert_eq!(provider.limited(), 2);
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.limit(1, None);
    let output = reconcile(&node, &["--since", "3d"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("answers 403"), "{said}");
    assert!(said.contains("the token needs to read webhooks"), "{said}");
    let metrics = node.metrics().await;
    let series = "landfall_reconciled_total{hook=\"in\",result=\"error\"} 1";
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_repeat_nothing() {
    let provider = Provider::start().await;
    let setup = after_misses(&provider).await.killed();
    // The second event is stored, and nothing says yet that it was brought.
    let mut node = setup
        .env("FAILPOINTS", "reconciled=1*off->return")
        .serving("in")
        .await;
    let output = reconcile(&node, &["--since", "3d"]).await;
    assert!(!output.status.success());
    node.ended().await;

    let node = node.killed().env("FAILPOINTS", "").serving("in").await;
    let report = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&report), [1, 1, 3, 0], "{report}");
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_searches_go_on() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.hold_from_page(2);
    let mut command = node.command();
    command.args(["reconcile", "in"]);
    let asked = tokio::task::spawn_blocking(move || command.output());
    provider.until_held().await;
    let setup = node.killed();
    asked.await.unwrap().expect("the binary starts");

    let before = provider.lists_read();
    provider.release();
    let node = setup.serving("in").await;
    check_ten(&node).await;
    let list = provider.list_call(before).await;
    assert!(list.contains("cursor="), "it begins at page 2: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_events_are_brought() {
    let provider = Provider::start().await;
    let file = format!(
        "mode = \"async\"\n[verify]\nprovider = \"stripe\"\nsecret = \"env:HOOK_SECRET\"\n[dedup]\nmatch = \"id\"\n\
         [reconcile]\ntypes = [\"charge.succeeded\"]\nevery = \"1h\"\ncredential = \"env:API_TOKEN\"\napi = \"{}\"\n",
        provider.url()
    );
    let node = with_secrets(Setup::new().hook("in", &bundled("echo"), &file))
        .serving("in")
        .await;
    until_searched(&node).await;

    let event = |number: u64| {
        let created = unix_s(ago(3600)) + number;
        json!({ "id": format!("evt_{number}"), "object": "event", "api_version": "2025-01-27.acacia", "created": created,
            "data": { "object": { "id": "ch_1" } }, "livemode": false, "pending_webhooks": 1, "type": "charge.succeeded" })
    };
    let send = async |number: u64| {
        let text = serde_json::to_string_pretty(&event(number)).unwrap();
        let now = unix_s(SystemTime::now());
        let mac = sign(SECRET, format!("{now}.{text}").as_bytes());
        let header = format!("t={now},v1={}", mac.trim_start_matches("sha256="));
        let headers = [
            ("stripe-signature", header.as_str()),
            ("content-type", "application/json"),
        ];
        let (status, answer) = node.deliver("/in", &headers, text).await;
        assert!((200..300).contains(&status), "{status} {answer}");
    };
    send(0).await;
    send(3).await;
    provider.list_events((0..5).map(event).collect());

    let report = reconciled(&node, &["--since", "1d"]).await;
    assert_eq!(counts(&report), [3, 3, 2, 0], "{report}");
    // Stripe tries again later, in other bytes.
    send(1).await;
    node.until_states("in", &["done"; 5]).await;
    let again = reconciled(&node, &["--since", "1d"]).await;
    assert_eq!(counts(&again), [0, 0, 5, 0], "{again}");
    let list = provider.list_call(provider.lists_read() - 1).await;
    assert!(list.contains("delivery_success=false"), "{list}");
    assert!(list.contains("types%5B%5D=charge.succeeded"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shopify_changes_are_brought() {
    let provider = Provider::start().await;
    let file = format!(
        "mode = \"async\"\n[verify]\nprovider = \"shopify\"\nsecret = \"env:HOOK_SECRET\"\n[dedup]\nmatch = \"id\"\n\
         id = [{{ header = \"X-Shopify-Topic\" }}, {{ json = \"/id\" }}, {{ json = \"/updated_at\" }}]\n\
         [reconcile]\nshop = \"lamps\"\nevery = \"1h\"\ncredential = \"env:API_TOKEN\"\napi = \"{}\"\n",
        provider.url()
    );
    let node = with_secrets(Setup::new().hook("in", &bundled("echo"), &file))
        .serving("in")
        .await;
    until_searched(&node).await;

    let changed = humantime::format_rfc3339_seconds(ago(3600)).to_string();
    let order = |id: u64| json!({ "id": id, "updated_at": changed, "total_price": "19.90" });
    let send = async |id: u64| {
        let text = order(id).to_string();
        let mac = sign(SECRET, text.as_bytes());
        let mac = STANDARD.encode(hex::decode(mac.trim_start_matches("sha256=")).unwrap());
        let headers = [
            ("x-shopify-topic", "orders/updated"),
            ("x-shopify-hmac-sha256", mac.as_str()),
            ("x-shopify-webhook-id", "b54557e4"),
            ("content-type", "application/json"),
        ];
        let (status, answer) = node.deliver("/in", &headers, text).await;
        assert!((200..300).contains(&status), "{status} {answer}");
    };
    send(1).await;
    provider.list_orders(vec![order(1), order(2), order(3)]);

    let report = reconciled(&node, &["--since", "1d"]).await;
    assert_eq!(counts(&report), [2, 2, 1, 0], "{report}");
    send(2).await;
    node.until_states("in", &["done"; 3]).await;
    assert!(provider.was_authorized(TOKEN));
}

#[tokio::test]
async fn unsafe_identities_are_refused() {
    let reconcile =
        "[reconcile]\norg = \"octo\"\nhook = 42\ncredential = \"env:API_TOKEN\"\nevery = \"1h\"\n";
    let verify = "[verify]\nprovider = \"github\"\nsecret = \"env:HOOK_SECRET\"\n";
    for (rest, expected) in [
        ("mode = \"async\"\n", "write match = \"id\" in [dedup]"),
        (
            "mode = \"sync\"\n[dedup]\nmatch = \"id\"\n",
            "write mode = \"async\" or \"auto\"",
        ),
        (
            "mode = \"async\"\n[dedup]\nmatch = \"id\"\nwindow = \"1d\"\n",
            "shorter than [reconcile] since",
        ),
    ] {
        let file = format!("{rest}{verify}{reconcile}");
        let setup = Setup::new().hook("in", &bundled("echo"), &file);
        let node = with_secrets(setup).start().await;
        eventually(&format!("the problem is: {expected}"), || async {
            let hook = node.hook("in").await?;
            hook["problem"].as_str()?.contains(expected).then_some(())
        })
        .await;
    }
}
