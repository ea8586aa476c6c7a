//! Parses signed times and checks them against a time window, with integer arithmetic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::refusal::{Reason, Refusal};
use landfall_model::TimeUnit;

const SECOND_NS: i128 = 1_000_000_000;

/// How far a signed time may be from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The maximum age; `None` allows any.
    pub past: Option<Duration>,
    /// The maximum time ahead; `None` allows any.
    pub future: Option<Duration>,
}

impl Window {
    /// This window. A side without a bound takes the bound of `lower`.
    pub fn over(self, lower: Window) -> Window {
        Window {
            past: self.past.or(lower.past),
            future: self.future.or(lower.future),
        }
    }
}

/// Parses a time into nanoseconds since 1970.
pub(crate) fn parse(unit: TimeUnit, text: &[u8]) -> Result<i128, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("text"))?;
    match unit {
        TimeUnit::S => Ok(digits(text)? * SECOND_NS),
        TimeUnit::Ms => Ok(digits(text)? * (SECOND_NS / 1000)),
        TimeUnit::Rfc3339 => rfc3339(text).ok_or_else(|| malformed("a time as RFC 3339 writes it")),
        TimeUnit::Iso8601 => rfc3339(text)
            .or_else(|| rfc3339(&format!("{text}Z")))
            .ok_or_else(|| malformed("a time as ISO 8601 writes it, such as 2026-01-31T08:15:30")),
        TimeUnit::HttpDate => http_date(text).ok_or_else(|| malformed("an HTTP date")),
    }
}

fn digits(text: &str) -> Result<i128, Refusal> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 19 {
        text.parse().map_err(|_| malformed("a number"))
    } else {
        Err(malformed("a number of unix time"))
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(
        Reason::MalformedTimestamp,
        format!("the timestamp is not {what}"),
    )
}

/// Refuses a time outside of the window.
pub(crate) fn check_time(window: Window, time_ns: i128, now: SystemTime) -> Result<(), Refusal> {
    let now_ns = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i128);
    let skew_seconds = (now_ns - time_ns) / SECOND_NS;
    if is_beyond(window.past, now_ns - time_ns) {
        let detail = format!(
            "the timestamp is {skew_seconds} s old: at most {} s are accepted",
            seconds(window.past)
        );

        return Err(Refusal::new(Reason::TimestampTooOld, detail));
    }

    if is_beyond(window.future, time_ns - now_ns) {
        let ahead = -skew_seconds;
        let detail = format!(
            "the timestamp is {ahead} s ahead: at most {} s are accepted; check the clock",
            seconds(window.future)
        );

        return Err(Refusal::new(Reason::TimestampInFuture, detail));
    }

    Ok(())
}

fn seconds(limit: Option<Duration>) -> u64 {
    limit.map_or(0, |limit| limit.as_secs())
}

fn is_beyond(limit: Option<Duration>, distance: i128) -> bool {
    limit.is_some_and(|limit| distance > limit.as_nanos() as i128)
}

/// Parses `2025-10-09T08:53:20[.fraction]` with `Z` or an offset with a colon. The parser of `jiff`
/// accepts more than that.
fn rfc3339(text: &str) -> Option<i128> {
    let (head, rest) = text.split_at_checked(19)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };

    let is_zone = zone == "Z" || has_shape(zone, "+00:00") || has_shape(zone, "-00:00");
    // At least one digit must follow the point.
    let has_fraction = !rest.starts_with('.') || rest.len() > zone.len() + 1;
    let fits = has_shape(head, "0000-00-00T00:00:00") && is_zone && has_fraction;

    fits.then(|| text.parse::<jiff::Timestamp>().ok())
        .flatten()
        .map(|time| time.as_nanosecond())
}

fn has_shape(part: &str, shape: &str) -> bool {
    part.len() == shape.len() && part.bytes().zip(shape.bytes()).all(fits)
}

fn fits((byte, like): (u8, u8)) -> bool {
    if like == b'0' {
        byte.is_ascii_digit()
    } else {
        byte == like
    }
}

/// Parses `Thu, 07 Sep 2017 06:30:04 GMT`. The comma is optional, and `UTC` is accepted for `GMT`.
fn http_date(text: &str) -> Option<i128> {
    let (day, rest) = text.split_once(' ')?;
    let normal = format!(
        "{}, {}",
        day.trim_end_matches(','),
        rest.replace("UTC", "GMT")
    );

    let zoned = jiff::fmt::rfc2822::parse(&normal).ok()?;
    Some(zoned.timestamp().as_nanosecond())
}
