//! Mistakes at a key of a hook file, and the ranges of times and sizes.

use std::time::Duration;

use super::values::{Size, Time};

/// A mistake at a key of a hook file. `parse_hook` adds line and column.
pub(crate) struct Mistake {
    pub(crate) key: &'static [&'static str],
    pub(crate) message: String,
}

pub(crate) fn mistake<T>(
    key: &'static [&'static str],
    message: impl Into<String>,
) -> Result<T, Mistake> {
    Err(Mistake {
        key,
        message: message.into(),
    })
}

/// A time within a range. `None` becomes the default.
pub(crate) fn in_range(
    key: &'static [&'static str],
    typed: Option<Time>,
    default: Duration,
    min_seconds: u64,
    max_seconds: u64,
) -> Result<Duration, Mistake> {
    let time = typed.map_or(default, |time| time.0);
    let range = Duration::from_secs(min_seconds)..=Duration::from_secs(max_seconds);
    if !range.contains(&time) || time.is_zero() {
        let (low, high) = (shown(*range.start()), shown(*range.end()));
        return mistake(
            key,
            format!("{} is out of range: {low} to {high}", shown(time)),
        );
    }
    Ok(time)
}

/// A time as a user would write it. `humantime` would count months and years, which have no whole
/// number of days.
fn shown(time: Duration) -> String {
    const DAY: u64 = 86_400;
    if time.subsec_nanos() == 0 && time.as_secs() >= DAY && time.as_secs().is_multiple_of(DAY) {
        return format!("{}d", time.as_secs() / DAY);
    }
    humantime::format_duration(time).to_string()
}

/// A size within a range, or `None`.
pub(crate) fn sized(
    key: &'static [&'static str],
    typed: Option<Size>,
    min: usize,
    max: usize,
) -> Result<Option<usize>, Mistake> {
    typed
        .map(|typed| size(key, Some(typed), min, min, max))
        .transpose()
}

/// A size within a range. `None` becomes the default.
pub(crate) fn size(
    key: &'static [&'static str],
    typed: Option<Size>,
    default: usize,
    min: usize,
    max: usize,
) -> Result<usize, Mistake> {
    let bytes = typed.map_or(default, |size| size.0);
    if !(min..=max).contains(&bytes) {
        let shown = |bytes: usize| bytesize::ByteSize(bytes as u64).display().iec();
        return mistake(
            key,
            format!(
                "{} is out of range: {} to {}",
                shown(bytes),
                shown(min),
                shown(max)
            ),
        );
    }
    Ok(bytes)
}
