//! A collector that is away, slow or unwilling: requests do not notice, and dropped spans are
//! counted.

use std::time::{Duration, Instant};

use landfall_tests::ports::free_port;
use landfall_tests::{Node, Setup, eventually, guest};

use super::collector::Collector;
use super::{OPEN, sends_to};

/// Spans that have been dropped.
async fn dropped(node: &Node) -> u64 {
    let text = node.metrics().await;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("landfall_telemetry_dropped_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_absent_collector_costs_only_spans() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let node = Setup::new()
        .hook("one", &guest("answers_one"), OPEN)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .serving("one")
        .await;
    for _ in 0..20 {
        assert_eq!(node.post("/one", &[], "").await.0, 200);
    }
    node.until_log("the collector does not accept telemetry")
        .await;
    eventually("dropped spans are counted", || async {
        (dropped(&node).await > 0).then_some(())
    })
    .await;
    let lines = node.log().matches("does not accept telemetry").count();
    assert_eq!(lines, 1, "{}", node.log());
}

#[tokio::test]
async fn a_silent_collector_delays_nobody() {
    let collector = Collector::start().await;
    collector.receiver.hold();
    let setup = Setup::new().hook("one", &guest("answers_one"), OPEN);
    let node = sends_to(&collector, setup).serving("one").await;
    assert_eq!(node.post("/one", &[], "").await.0, 200);
    // The collector has the first spans now, and does not answer.
    collector.receiver.until_called(1).await;

    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(node.post("/one", &[], "").await.0, 200);
    }
    // One request that waited for the collector would take ten seconds, its limit.
    assert!(began.elapsed() < Duration::from_secs(60));
    collector.receiver.release();
}

#[tokio::test]
async fn refused_spans_are_not_sent_again() {
    let collector = Collector::start().await;
    collector.receiver.answer(400);
    let setup = Setup::new().hook("one", &guest("answers_one"), OPEN);
    let node = sends_to(&collector, setup).serving("one").await;
    assert_eq!(node.post("/one", &[], "").await.0, 200);
    eventually("the spans are dropped", || async {
        (dropped(&node).await >= 4).then_some(())
    })
    .await;

    collector.receiver.answer(200);
    let before = collector.spans().len();
    assert_eq!(node.post("/one", &[], "").await.0, 200);
    node.until_log("the collector accepts telemetry again")
        .await;
    eventually("the spans of the second request came", || async {
        (collector.spans().len() == before + 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn wrong_settings_name_the_variable() {
    for (variable, value, words) in [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "OTEL_EXPORTER_OTLP_PROTOCOL: `grpc` is not supported",
        ),
        (
            "LANDFALL_TELEMETRY_OTLP_ENDPOINT",
            "collector:4318",
            "is not the address of a collector",
        ),
        (
            "LANDFALL_TELEMETRY_SAMPLE_RATIO",
            "1.5",
            "telemetry.sample_ratio = 1.5 is out of range",
        ),
    ] {
        let said = Setup::new()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
            .env(variable, value)
            .refusal()
            .await;
        assert!(said.contains(words), "{said}");
    }
}
