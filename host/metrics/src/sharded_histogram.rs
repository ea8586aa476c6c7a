//! A histogram that many threads observe at the same time. Each thread counts in a shard, so that
//! the processors do not pass one cache line to and fro at every request.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus::Histogram;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily};

/// A shard has a sum and so many counts, which fill two cache lines: processors fetch lines in
/// pairs.
const COUNTS: usize = 15;
const SHARDS_MAX: usize = 16;

/// A histogram of one series. Its shards are added up when it is collected.
pub(crate) struct ShardedHistogram {
    /// Describes the series. It has no observation.
    empty: Histogram,
    bounds: &'static [f64],
    shards: Box<[Shard]>,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard {
    /// The bits of the sum of the observations.
    sum: AtomicU64,
    /// The observations of each bucket, and then those above the last bound.
    counts: [AtomicU64; COUNTS],
}

thread_local! {
    static THREAD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

// === impl ShardedHistogram ===

impl ShardedHistogram {
    /// `empty` is a histogram with these upper bounds, at most 14.
    pub(crate) fn new(empty: Histogram, bounds: &'static [f64]) -> ShardedHistogram {
        assert!(bounds.len() < COUNTS, "a shard has too few counts");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = processors.next_power_of_two().min(SHARDS_MAX);
        ShardedHistogram {
            empty,
            bounds,
            shards: (0..shards).map(|_| Shard::default()).collect(),
        }
    }

    pub(crate) fn observe(&self, value: f64) {
        let thread = THREAD.with(|thread| *thread);
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        let bucket = bucket.unwrap_or(self.bounds.len());
        self.shards[thread % self.shards.len()].add(bucket, value);
    }

    /// The observations of all shards.
    fn total(&self) -> proto::Histogram {
        let mut count = 0;
        let buckets = self.bounds.iter().enumerate().map(|(place, bound)| {
            count += self.count(place);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let buckets = buckets.collect();
        count += self.count(self.bounds.len());

        let mut total = proto::Histogram::default();
        total.set_bucket(buckets);
        total.set_sample_count(count);
        total.set_sample_sum(self.shards.iter().map(Shard::sum).sum());
        total
    }

    fn count(&self, bucket: usize) -> u64 {
        let counts = self.shards.iter().map(|shard| &shard.counts[bucket]);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Collector for ShardedHistogram {
    fn desc(&self) -> Vec<&Desc> {
        self.empty.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.empty.collect();
        for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
            metric.set_histogram(self.total());
        }
        families
    }
}

// === impl Shard ===

impl Shard {
    fn add(&self, bucket: usize, value: f64) {
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let more = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let added = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        debug_assert!(added.is_ok(), "there is always a sum");
    }

    fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use prometheus::HistogramOpts;

    use super::*;

    const BOUNDS: [f64; 3] = [1.0, 2.0, 4.0];

    fn plain() -> Histogram {
        let opts = HistogramOpts::new("a_seconds", "A").const_label("hook", "h");
        Histogram::with_opts(opts.buckets(BOUNDS.to_vec())).unwrap()
    }

    #[test]
    fn shards_count_as_one_histogram() {
        let (plain, sharded) = (plain(), ShardedHistogram::new(plain(), &BOUNDS));
        let values = [0.5, 1.0, 1.5, 4.0, 4.5, 100.0];
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    for value in values {
                        plain.observe(value);
                        sharded.observe(value);
                    }
                });
            }
        });

        let (plain, sharded) = (plain.collect(), sharded.collect());
        assert_eq!(sharded[0].name(), plain[0].name());
        let (plain, sharded) = (&plain[0].get_metric()[0], &sharded[0].get_metric()[0]);
        assert_eq!(sharded.get_label(), plain.get_label());
        assert_eq!(sharded.get_histogram(), plain.get_histogram());
        assert_eq!(sharded.get_histogram().get_sample_count(), 30);
    }
}
