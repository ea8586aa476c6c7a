//! The metrics that the collector receives are those of `/metrics`.

use std::collections::BTreeSet;

use landfall_tests::{Setup, eventually, guest};

use super::collector::{Collector, attributes};
use super::wire::Message;
use super::{OPEN, sends_to};

/// The metrics of the last request.
fn received(collector: &Collector) -> Option<Vec<Message>> {
    let last = collector.requests("/v1/metrics").pop()?;
    let of_resource = Message::read(&last.body).messages(1).remove(0);
    Some(of_resource.messages(2).remove(0).messages(2))
}

#[tokio::test]
async fn the_collector_gets_every_metric() {
    let collector = Collector::start().await;
    let setup = Setup::new().hook("one", &guest("answers_one"), OPEN);
    let node = sends_to(&collector, setup)
        .env("LANDFALL_TELEMETRY_METRICS_INTERVAL", "1s")
        .serving("one")
        .await;
    assert_eq!(node.post("/one", &[], "").await.0, 200);

    let metrics = eventually("the attempt is in the metrics", || async {
        let metrics = received(&collector)?;
        let is_there = metrics
            .iter()
            .any(|metric| metric.text(1) == "landfall_attempts_total");
        is_there.then_some(metrics)
    })
    .await;
    let names: BTreeSet<String> = metrics.iter().map(|metric| metric.text(1)).collect();
    let text = node.metrics().await;
    let scraped: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert!(names.is_subset(&scraped), "{names:?}\n{scraped:?}");
    assert!(names.len() + 5 > scraped.len(), "{names:?}\n{scraped:?}");

    let find = |name: &str| {
        metrics
            .iter()
            .find(|metric| metric.text(1) == name)
            .unwrap()
    };
    // 7: a sum, cumulative (2) and monotonic (3).
    let sum = find("landfall_attempts_total").message(7).unwrap();
    assert_eq!((sum.varint(2), sum.varint(3)), (2, 1));
    let point = sum.messages(1).remove(0);
    let labels = attributes(&point, 7);
    assert_eq!((&*labels["hook"], &*labels["outcome"]), ("one", "done"));
    assert_eq!(f64::from_bits(point.fixed64(4)), 1.0);
    assert!(point.fixed64(2) > 0 && point.fixed64(2) < point.fixed64(3));

    // 9: a histogram, cumulative. The counts of its buckets add up.
    let duration = find("landfall_attempt_duration_seconds");
    assert_eq!(duration.text(3), "s");
    let histogram = duration.message(9).unwrap();
    assert_eq!(histogram.varint(2), 2);
    let point = histogram.messages(1).remove(0);
    let counts = point.bytes(6).chunks_exact(8);
    let counts = counts.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    assert_eq!(counts.sum::<u64>(), point.fixed64(4));
    let bounds = point.bytes(7).len() / 8;
    assert_eq!(point.bytes(6).len() / 8, bounds + 1);

    // 5: a gauge.
    assert!(find("landfall_accepts_events").has(5));
}
