//! What a node uses, again and again, and whether that stays flat.

use std::time::{Duration, Instant};

use crate::Node;
use crate::plot::Line;

/// The last third may use this much more than the middle third, in addition to the slack of the line.
const GROWTH_MAX: f64 = 1.1;
const MIB: f64 = 1_048_576.0;

/// What is sampled: the title with the unit, and how much it may vary.
const LINES: [(&str, f64); 5] = [
    ("resident memory, MiB", 16.0),
    ("descriptors", 24.0),
    ("threads", 6.0),
    ("ledger and its log, MiB", 8.0),
    ("log of the ledger (WAL), MiB", 8.0),
];

/// The samples of one node.
pub struct Samples {
    started: Instant,
    lines: Vec<Line>,
}

// === impl Samples ===

impl Default for Samples {
    fn default() -> Samples {
        let lines = LINES.map(|(title, _)| Line {
            title: title.into(),
            points: Vec::new(),
        });
        Samples {
            started: Instant::now(),
            lines: lines.into(),
        }
    }
}

impl Samples {
    /// Adds a sample each `every`, until it is dropped.
    pub async fn take(&mut self, node: &Node, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            self.take_one(node).await;
        }
    }

    async fn take_one(&mut self, node: &Node) {
        let wal = std::fs::metadata(node.data().join("ledger.db-wal"));
        let values = [
            Some(node.resident_kib() as f64 / 1024.0),
            Some(node.descriptors() as f64),
            Some(node.threads() as f64),
            // None while the database does not answer.
            ledger_bytes(&node.metrics().await).map(|bytes| bytes / MIB),
            wal.ok().map(|file| file.len() as f64 / MIB),
        ];
        let at = self.started.elapsed().as_secs_f64();
        for (line, value) in self.lines.iter_mut().zip(values) {
            line.points.extend(value.map(|value| (at, value)));
        }
    }

    /// The lines that have samples.
    pub fn lines(&self) -> Vec<Line> {
        let lines = self.lines.iter().filter(|line| !line.points.is_empty());
        lines.cloned().collect()
    }

    /// A sentence for each line that has grown.
    pub fn grown(&self) -> Vec<String> {
        let lines = self.lines.iter().zip(LINES);
        lines
            .filter_map(|(line, (title, slack))| {
                let values: Vec<f64> = line.points.iter().map(|(_, value)| *value).collect();
                let (middle, last) = (third(&values, 1)?, third(&values, 2)?);
                let is_flat = last <= middle * GROWTH_MAX + slack;
                (!is_flat).then(|| format!("{title}: {middle:.1}, then {last:.1}"))
            })
            .collect()
    }
}

fn ledger_bytes(metrics: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix("landfall_ledger_size_bytes "))?;
    value.parse().ok()
}

/// The median of the first, second or last third; none with too few values.
fn third(values: &[f64], number: usize) -> Option<f64> {
    let count = values.len() / 3;
    let start = values.len() - (3 - number) * count;
    let mut part = values[start..start + count].to_vec();
    part.sort_by(f64::total_cmp);
    part.get(count / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl Iterator<Item = f64>) -> Samples {
        let mut samples = Samples::default();
        samples.lines[0].points = values
            .enumerate()
            .map(|(at, value)| (at as f64, value))
            .collect();
        samples
    }

    #[test]
    fn steady_growth_is_named() {
        let leak = samples((0..300).map(|n| 50.0 + f64::from(n)));
        let said = "resident memory, MiB: 200.0, then 300.0";
        assert_eq!(leak.grown(), [said]);
    }

    #[test]
    fn growth_that_ends_is_flat() {
        let filling = (0..300).map(|n| f64::from(n.min(100)));
        assert!(samples(filling).grown().is_empty());
        // One peak does not move the median.
        let peak = (0..300).map(|n| if n == 290 { 1000.0 } else { 50.0 });
        assert!(samples(peak).grown().is_empty());
        assert!(samples([1.0, 900.0].into_iter()).grown().is_empty());
    }
}
