//! The upper bounds of the buckets of histograms, in seconds and bytes. Each bucket is one series
//! of each hook, so that there are few.

/// From the beginning of a request to its answer. Providers wait for 3 s to 30 s.
pub(crate) const ANSWER: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 30.0,
];
/// A signature takes some microseconds, a key document that has to be fetched some seconds.
pub(crate) const VERIFY: [f64; 10] = [
    0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.01, 0.1, 1.0, 5.0,
];
/// An event that waits may wait for days.
pub(crate) const WAIT: [f64; 12] = [
    0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 21_600.0, 86_400.0,
];
/// One attempt takes up to an hour.
pub(crate) const RUN: [f64; 14] = [
    0.000_25, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 3600.0,
];
/// One outbound call.
pub(crate) const CALL: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// The linear memory of an attempt, at most 1 GiB.
pub(crate) const MEMORY: [f64; 7] = [
    (1 << 20) as f64,
    (4 << 20) as f64,
    (16 << 20) as f64,
    (32 << 20) as f64,
    (64 << 20) as f64,
    (256 << 20) as f64,
    (1 << 30) as f64,
];
/// A component of a few MiB takes a second, a large one in Python ten.
pub(crate) const COMPILE: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
/// One transaction, with its sync.
pub(crate) const COMMIT: [f64; 11] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];
