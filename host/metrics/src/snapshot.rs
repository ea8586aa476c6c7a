//! The metrics as values, for exporters other than the text format.

use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};

/// A metric and its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name, as in `/metrics`.
    pub name: String,
    /// What the metric says.
    pub help: String,
    /// One for each series. Never empty.
    pub points: Vec<Point>,
}

/// A series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Names and values of the labels.
    pub labels: Vec<(String, String)>,
    /// The value now.
    pub value: PointValue,
}

/// The value of a series. All series of a metric have the same kind.
#[derive(Debug, Clone, PartialEq)]
pub enum PointValue {
    /// A sum since the start of the node, which only grows.
    Counter(f64),
    /// The value at this moment.
    Gauge(f64),
    /// Observations since the start of the node.
    Histogram {
        /// The number of observations.
        count: u64,
        /// The sum of the observations.
        sum: f64,
        /// The upper bound of each bucket, and the number of observations up to it. The bucket
        /// without a bound is not in the list.
        buckets: Vec<(f64, u64)>,
    },
}

// === impl Family ===

impl Family {
    /// `None` if there is no series, or if Landfall has no metric of this kind.
    pub(crate) fn of(family: &MetricFamily) -> Option<Family> {
        let kind = family.get_field_type();
        let points: Option<Vec<Point>> = family
            .get_metric()
            .iter()
            .map(|metric| Point::of(metric, kind))
            .collect();

        let points = points.filter(|points| !points.is_empty())?;
        Some(Family {
            name: family.name().to_owned(),
            help: family.help().to_owned(),
            points,
        })
    }
}

// === impl Point ===

impl Point {
    fn of(metric: &Metric, kind: MetricType) -> Option<Point> {
        let value = match kind {
            MetricType::COUNTER => PointValue::Counter(metric.get_counter().get_value()),
            MetricType::GAUGE => PointValue::Gauge(metric.get_gauge().get_value()),
            MetricType::HISTOGRAM => histogram(metric.get_histogram()),
            MetricType::SUMMARY | MetricType::UNTYPED => return None,
        };
        let labels = metric.get_label().iter();
        let labels = labels.map(|pair| (pair.name().to_owned(), pair.value().to_owned()));

        Some(Point {
            labels: labels.collect(),
            value,
        })
    }
}

fn histogram(histogram: &Histogram) -> PointValue {
    let buckets = histogram.get_bucket().iter();
    let bounded = buckets
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
        .filter(|(bound, _)| bound.is_finite());

    PointValue::Histogram {
        count: histogram.get_sample_count(),
        sum: histogram.get_sample_sum(),
        buckets: bounded.collect(),
    }
}
