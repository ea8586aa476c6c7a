//! Outbound calls that end without a result, and series of hosts that are no longer granted.

use landfall_tests::{Node, Receiver, Setup, event_id, eventually, guest};

use super::scrape::Scrape;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

async fn value(node: &Node, series: &str) -> Option<f64> {
    Scrape::of(node.metrics().await).value(series)
}

#[tokio::test]
async fn calls_cut_off_are_recorded() {
    let receiver = Receiver::start().await;
    receiver.hold();
    let url = receiver.url("/in");
    let once = format!("mode = \"async\"\ndeadline = \"5s\"\n{OPEN}[retry]\nattempts = 1\n");
    let allow = format!("[allow]\nhttp = [\"{url}\"]\n");
    let calls = format!("{once}{allow}[settings]\nurl = \"{url}\"\n");
    let plain = format!("{once}{allow}");
    let node = Setup::new()
        .hook("calls", &guest("calls"), &calls)
        .hook("plain", &guest("plain"), &plain)
        .hook("leaves", &guest("plain"), &plain)
        .serving("calls")
        .await;
    node.until("plain", "serving").await;
    node.until("leaves", "serving").await;

    for (hook, path, error) in [
        ("calls", "/calls".to_owned(), "timeout"),
        ("plain", format!("/plain?call={url}"), "timeout"),
        ("leaves", format!("/leaves?leave={url}"), "interrupted"),
    ] {
        let event = event_id(&node.post(&path, &[], "{}").await);
        let failed = node
            .logged(&format!("the failed call of {hook}"), |line| {
                line["message"] == "outbound call failed" && line["hook"] == hook
            })
            .await;
        assert_eq!(
            (&failed["error"], &failed["url"]),
            (&error.into(), &url.as_str().into())
        );

        let recorded = eventually("the attempt is recorded", || async {
            let shown = node.ask(&format!("/api/v1/events/{event}")).await;
            let calls = &shown["attempts"][0]["record"]["calls"];
            calls.is_array().then(|| calls.clone())
        })
        .await;
        assert_eq!(recorded.as_array().unwrap().len(), 1, "{recorded}");
        assert_eq!(recorded[0]["error"], error, "{recorded}");

        let failed = format!("landfall_outbound_failed_total{{hook=\"{hook}\",error=\"{error}\"}}");
        assert_eq!(value(&node, &failed).await, Some(1.0), "{failed}");
        let none = format!(
            "landfall_outbound_calls_total{{hook=\"{hook}\",host=\"127.0.0.1\",status_class=\"none\"}}"
        );
        assert_eq!(value(&node, &none).await, Some(1.0), "{none}");
    }
}

#[tokio::test]
async fn removed_grants_lose_their_series() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/in");
    let hook = |grants: &str| {
        format!("mode = \"sync\"\n{OPEN}[settings]\nurl = \"{url}\"\n[allow]\nhttp = [{grants}]\n")
    };
    let both = format!("\"{url}\", \"https://other.example/\"");
    let node = Setup::new()
        .hook("calls", &guest("calls"), &hook(&both))
        .serving("calls")
        .await;
    assert_eq!(node.post("/calls", &[], "{}").await.0, 200);
    let series = |host: &str, class: &str| {
        format!(
            "landfall_outbound_calls_total{{hook=\"calls\",host=\"{host}\",status_class=\"{class}\"}}"
        )
    };
    let granted = series("127.0.0.1", "2xx");
    assert_eq!(value(&node, &granted).await, Some(1.0));

    // A new version with the same grant goes on counting.
    node.put("calls.toml", format!("concurrency = 3\n{}", hook(&both)));
    let limit = "landfall_hook_concurrency_limit{hook=\"calls\"}";
    eventually("the hook is loaded again", || async {
        (value(&node, limit).await == Some(3.0)).then_some(())
    })
    .await;
    assert_eq!(node.post("/calls", &[], "{}").await.0, 200);
    assert_eq!(value(&node, &granted).await, Some(2.0));

    node.put("calls.toml", hook("\"https://other.example/\""));
    eventually("no series of the host is left", || async {
        let text = node.metrics().await;
        (!text.contains("host=\"127.0.0.1\"")).then_some(())
    })
    .await;
    assert_eq!(node.post("/calls", &[], "{}").await.0, 200);
    assert_eq!(value(&node, &series("other", "none")).await, Some(1.0));
}
