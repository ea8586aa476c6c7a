//! `[record]` of a hook file: which attempts are recorded, and for how long.

use serde::Deserialize;

use super::mistake::{Mistake, in_range, mistake};
use super::values::Time;
use landfall_model::RecordSpec;

const KEEP_SECONDS_MIN: u64 = 60;
const KEEP_SECONDS_MAX: u64 = 365 * 86_400;

/// `[record]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordTable {
    failures: Option<bool>,
    rate: Option<f64>,
    keep: Option<Time>,
}

/// Which attempts are recorded.
pub(crate) fn record(table: RecordTable) -> Result<RecordSpec, Mistake> {
    let default = RecordSpec::default();
    let rate = table.rate.unwrap_or(default.rate);
    if !(0.0..=1.0).contains(&rate) {
        return mistake(
            &["record", "rate"],
            format!("rate {rate} is out of range: 0.0 to 1.0"),
        );
    }
    let keep = table.keep.map(|keep| {
        in_range(
            &["record", "keep"],
            Some(keep),
            keep.0,
            KEEP_SECONDS_MIN,
            KEEP_SECONDS_MAX,
        )
    });
    Ok(RecordSpec {
        failures: table.failures.unwrap_or(default.failures),
        rate,
        keep: keep.transpose()?,
    })
}
