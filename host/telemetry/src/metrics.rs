//! The metrics of `/metrics` as OTLP has them: cumulative since the start of the node, under the
//! same names.

use std::time::SystemTime;

use landfall_metrics::{Family, Point, PointValue};

use super::convert::{nanos, scope, text_attribute};
use super::otlp;

/// The time that the values describe.
#[derive(Debug, Clone, Copy)]
struct Period {
    start_nanos: u64,
    now_nanos: u64,
}

/// The request that carries these metrics. Counters and histograms count since `start`.
pub(crate) fn metrics(
    resource: &otlp::Resource,
    families: &[Family],
    start: SystemTime,
    now: SystemTime,
) -> otlp::ExportMetricsServiceRequest {
    let period = Period {
        start_nanos: nanos(start),
        now_nanos: nanos(now),
    };
    let of_scope = otlp::ScopeMetrics {
        scope: Some(scope()),
        metrics: families
            .iter()
            .map(|family| metric(family, period))
            .collect(),
    };
    let of_resource = otlp::ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics: vec![of_scope],
    };
    otlp::ExportMetricsServiceRequest {
        resource_metrics: vec![of_resource],
    }
}

fn metric(family: &Family, period: Period) -> otlp::Metric {
    let first = family.points.first().map(|point| &point.value);
    let data = first.map(|value| match value {
        PointValue::Counter(_) => otlp::Data::Sum(otlp::Sum {
            data_points: numbers(family, period),
            aggregation_temporality: otlp::CUMULATIVE,
            is_monotonic: true,
        }),
        PointValue::Gauge(_) => otlp::Data::Gauge(otlp::Gauge {
            data_points: numbers(family, period),
        }),
        PointValue::Histogram { .. } => otlp::Data::Histogram(otlp::Histogram {
            data_points: histograms(family, period),
            aggregation_temporality: otlp::CUMULATIVE,
        }),
    });

    otlp::Metric {
        name: family.name.clone(),
        description: family.help.clone(),
        unit: unit(&family.name).to_owned(),
        data,
    }
}

fn numbers(family: &Family, period: Period) -> Vec<otlp::NumberDataPoint> {
    let points = family.points.iter();
    let numbers = points.filter_map(|point| {
        let number = match point.value {
            PointValue::Counter(number) | PointValue::Gauge(number) => number,
            PointValue::Histogram { .. } => return None,
        };
        Some(otlp::NumberDataPoint {
            start_time_unix_nano: period.start_nanos,
            time_unix_nano: period.now_nanos,
            value: Some(otlp::Number::Double(number)),
            attributes: labels(point),
        })
    });
    numbers.collect()
}

fn histograms(family: &Family, period: Period) -> Vec<otlp::HistogramDataPoint> {
    let points = family.points.iter();
    let histograms = points.filter_map(|point| {
        let PointValue::Histogram {
            count,
            sum,
            buckets,
        } = &point.value
        else {
            return None;
        };
        Some(otlp::HistogramDataPoint {
            start_time_unix_nano: period.start_nanos,
            time_unix_nano: period.now_nanos,
            count: *count,
            sum: Some(*sum),
            bucket_counts: per_bucket(buckets, *count),
            explicit_bounds: buckets.iter().map(|(bound, _)| *bound).collect(),
            attributes: labels(point),
        })
    });
    histograms.collect()
}

/// Prometheus counts up to each bound, OTLP between two bounds; the last bucket has no upper one.
fn per_bucket(cumulative: &[(f64, u64)], count: u64) -> Vec<u64> {
    let mut before = 0;
    let up_to = cumulative.iter().map(|(_, up_to)| *up_to).chain([count]);
    up_to
        .map(|up_to| {
            let within = up_to.saturating_sub(before);
            before = up_to;
            within
        })
        .collect()
}

fn labels(point: &Point) -> Vec<otlp::KeyValue> {
    let labels = point.labels.iter();
    labels
        .map(|(name, value)| text_attribute(name, value))
        .collect()
}

/// The unit in the notation of UCUM.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") {
        "By"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn family(name: &str, value: PointValue) -> Family {
        Family {
            name: name.into(),
            help: "Help.".into(),
            points: vec![Point {
                labels: vec![("hook".into(), "h".into())],
                value,
            }],
        }
    }

    fn converted(name: &str, value: PointValue) -> otlp::Metric {
        let now = UNIX_EPOCH + Duration::from_nanos(9);
        let families = [family(name, value)];
        let mut request = metrics(&otlp::Resource::default(), &families, UNIX_EPOCH, now);
        request.resource_metrics[0].scope_metrics[0]
            .metrics
            .remove(0)
    }

    #[test]
    fn counters_become_monotonic_sums() {
        let metric = converted("landfall_requests_total", PointValue::Counter(0.0));
        let Some(otlp::Data::Sum(sum)) = metric.data else {
            panic!("{metric:?}");
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        let point = &sum.data_points[0];
        assert_eq!(point.value, Some(otlp::Number::Double(0.0)));
        assert_eq!(point.attributes, [text_attribute("hook", "h")]);
        assert_eq!(point.time_unix_nano, 9);
    }

    #[test]
    fn buckets_count_between_bounds() {
        let value = PointValue::Histogram {
            count: 9,
            sum: 4.5,
            buckets: vec![(0.1, 2), (1.0, 5)],
        };
        let metric = converted("landfall_verify_duration_seconds", value);
        assert_eq!(metric.unit, "s");
        let Some(otlp::Data::Histogram(histogram)) = metric.data else {
            panic!("{metric:?}");
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.bucket_counts, [2, 3, 4]);
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!((point.count, point.sum), (9, Some(4.5)));
    }

    #[test]
    fn units_follow_from_names() {
        for (name, expected) in [
            ("process_cpu_seconds_total", "s"),
            ("landfall_ledger_size_bytes", "By"),
            ("landfall_deliveries", ""),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
    }
}
