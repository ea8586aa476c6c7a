//! Numbers as they are printed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Measured;

/// Milliseconds with two decimals.
pub(crate) fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0, 2)
}

/// Microseconds with one decimal.
pub(crate) fn us(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1_000_000.0, 1)
}

/// `value` with this many decimals.
pub(crate) fn round(value: f64, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (value * factor).round() / factor
}

/// Rate and latencies of one run.
pub(crate) fn measured_as_json(measured: &Measured) -> Value {
    json!({
        "requests_per_second": measured.per_second.round(),
        "p50_ms": ms(measured.p50),
        "p99_ms": ms(measured.p99),
    })
}
