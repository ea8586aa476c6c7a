//! An API that answers garbage, huge pages, redirects, or lists without an end. Nothing is lost, the credential stays with its
//! host, and the operator hears of it in every place.

use std::process::Command;

use landfall_tests::{Node, Receiver, landfall};
use serde_json::Value;

use super::provider::{Endless, Odd, Provider};
use super::{MISSED, after_misses, check_ten, counts, reconcile, reconciled};

/// What `landfall reconcile` says of a search that ended early.
async fn failed(node: &Node, words: &[&str]) -> String {
    let output = reconcile(node, words).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// The finding `missed deliveries` of `landfall doctor`.
async fn doctor(node: &Node) -> Value {
    let mut command = Command::new(landfall());
    command
        .args(["doctor", "--json", "--plugins"])
        .arg(node.plugins())
        .arg("--data")
        .arg(node.data())
        .args(["--admin-listen", &node.admin.to_string()]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let facts = found["facts"].as_array().unwrap();
    let of_searches = facts
        .iter()
        .find(|fact| fact["what"] == "missed deliveries");
    of_searches.unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_keep_the_credential() {
    let (provider, other) = (Provider::start().await, Receiver::start().await);
    let node = after_misses(&provider).await;
    provider.answer_lists(Some(Odd::Redirect(other.url("/"))));
    let said = failed(&node, &["--since", "3d"]).await;
    assert!(said.contains("redirects are not followed"), "{said}");
    provider.answer_lists(None);

    provider.answer_contents(Some(Odd::Redirect(other.url("/"))));
    let said = failed(&node, &["--since", "3d"]).await;
    assert!(said.contains("redirects are not followed"), "{said}");
    assert_eq!(other.got().len(), 0);
    provider.answer_contents(None);
    reconciled(&node, &["--since", "3d"]).await;
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_seen_everywhere() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    let fact = doctor(&node).await;
    assert_eq!(fact["ok"], true, "{fact}");

    provider.answer_lists(Some(Odd::Text("<html>Sign in</html>".into())));
    let said = failed(&node, &[]).await;
    assert!(said.contains("has no list of deliveries"), "{said}");
    let fact = doctor(&node).await;
    assert_eq!(fact["ok"], false);
    let line = fact["lines"][0].as_str().unwrap();
    assert!(line.starts_with("in: the search ended early at "), "{fact}");
    let mut command = node.command();
    let hooks = tokio::task::spawn_blocking(move || command.arg("hooks").output());
    let hooks = String::from_utf8(hooks.await.unwrap().unwrap().stdout).unwrap();
    assert!(
        hooks.contains("the last search for missed deliveries: "),
        "{hooks}"
    );
    let metrics = node.metrics().await;
    let gauge = "landfall_reconcile_failing{hook=\"in\"} 1";
    assert!(metrics.contains(gauge), "{metrics}");
    let series = "landfall_reconciled_total{hook=\"in\",result=\"error\"} 1";
    assert!(metrics.contains(series), "{metrics}");

    provider.answer_lists(None);
    let report = reconciled(&node, &[]).await;
    assert_eq!(counts(&report), [3, 3, 1, 0], "{report}");
    check_ten(&node).await;
    assert_eq!(doctor(&node).await["ok"], true);
    let gauge = "landfall_reconcile_failing{hook=\"in\"} 0";
    assert!(node.metrics().await.contains(gauge));
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_contents_are_asked_again() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    for text in [
        "<html>Bad gateway</html>",
        "{}",
        "{\"request\":{\"payload\":{}}}",
    ] {
        provider.answer_contents(Some(Odd::Text(text.into())));
        let said = failed(&node, &[]).await;
        assert!(
            said.contains("the contents of 3 missed deliveries cannot be read"),
            "{said}"
        );
    }
    assert_eq!(node.deliveries("in").await.len(), 7);
    let metrics = node.metrics().await;
    let series = "landfall_reconciled_total{hook=\"in\",result=\"failed\"} 9";
    assert!(metrics.contains(series), "{metrics}");

    // The next search without `--since` begins with what could not be read.
    provider.answer_contents(None);
    let report = reconciled(&node, &[]).await;
    assert_eq!(counts(&report), [3, 3, 1, 0], "{report}");
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_deliveries_stop_no_other() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.answer_content(1000 + MISSED[0] as u64, Odd::Text("garbage".into()));
    let said = failed(&node, &[]).await;
    assert!(
        said.contains("the contents of 1 missed deliveries"),
        "{said}"
    );
    node.until_states("in", &["done"; 9]).await;
    provider.answer_contents(None);
    let report = reconciled(&node, &[]).await;
    assert_eq!(counts(&report)[..2], [1, 1], "{report}");
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_that_are_gone_are_skipped() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    let gone = "{\"request\":{\"headers\":null,\"payload\":null}}";
    provider.answer_contents(Some(Odd::Text(gone.into())));
    let report = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&report), [3, 0, 1, 3], "{report}");
    let again = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&again), [0, 0, 4, 0], "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_answers_end_the_search() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.answer_lists(Some(Odd::Huge(100 << 20)));
    let said = failed(&node, &["--since", "3d"]).await;
    assert!(said.contains("the response has more than"), "{said}");
    provider.answer_lists(None);

    provider.answer_contents(Some(Odd::Huge(100 << 20)));
    let report = reconciled(&node, &["--since", "3d"]).await;
    assert_eq!(counts(&report), [3, 0, 1, 3], "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn circles_end() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.go_on_for_ever(Some(Endless::Circle));
    let said = failed(&node, &["--since", "3d"]).await;
    assert!(said.contains("goes in circles"), "{said}");
    assert!(
        provider.lists_read() < 20,
        "{} pages",
        provider.lists_read()
    );
    // What it has is brought all the same.
    check_ten(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_lists_hide_nothing_new() {
    let provider = Provider::start().await;
    let node = after_misses(&provider).await;
    provider.go_on_for_ever(Some(Endless::Fresh));
    // The search has a limit of pages, and says that it was not to the end.
    let report = reconciled(&node, &[]).await;
    assert_eq!(report["more"], true, "{report}");
    assert_eq!(report["pages"], 500, "{report}");
    provider.go_on_for_ever(None);
    reconciled(&node, &["--since", "3d"]).await;
    check_ten(&node).await;
}
