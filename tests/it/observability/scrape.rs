//! The text of a scrape, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

/// A scrape.
pub(super) struct Scrape {
    pub(super) text: String,
    /// By name of the metric.
    pub(super) kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

// === impl Scrape ===

impl Scrape {
    pub(super) fn of(text: String) -> Scrape {
        let kinds = text.lines().filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some((name.to_owned(), kind.to_owned()))
        });
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Scrape {
            kinds: kinds.collect(),
            samples: samples.map(sample).collect(),
            text,
        }
    }

    /// The value of `name{label="value",…}`, with exactly these labels.
    pub(super) fn value(&self, series: &str) -> Option<f64> {
        let wanted = sample(&format!("{series} 0"));
        let mut found = self
            .samples
            .iter()
            .filter(|one| one.name == wanted.name && one.labels == wanted.labels);
        found.next().map(|one| one.value)
    }

    /// The labels of a metric, without `le`.
    pub(super) fn labels(&self, metric: &str) -> BTreeSet<String> {
        let of_metric = self.samples.iter().filter(|one| {
            let rest = one.name.strip_prefix(metric);
            rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        });
        of_metric
            .flat_map(|one| one.labels.keys().cloned())
            .filter(|label| label != "le")
            .collect()
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split("\",");
    let labels = labels.filter_map(|pair| {
        let (label, value) = pair.split_once("=\"")?;
        Some((label.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Sample {
        name: name.to_owned(),
        labels: labels.collect(),
        value: value.parse().unwrap_or_else(|_| panic!("{line}")),
    }
}
