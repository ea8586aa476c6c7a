//! Signed times: reading them, and whether they are near enough. The window is judged on integers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::refusal::{Reason, Refusal};
use crate::model::TimeUnit;

const SECOND_NS: i128 = 1_000_000_000;

/// How far a time may lie from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// None = any age.
    pub past: Option<Duration>,
    /// None = any distance.
    pub future: Option<Duration>,
}

/// Nanoseconds since 1970.
pub fn parse(unit: TimeUnit, text: &[u8]) -> Result<i128, Refusal> {
    let malformed = |what: &str| Refusal::new(Reason::MalformedTimestamp, format!("the timestamp is not {what}"));
    let text = std::str::from_utf8(text).map_err(|_| malformed("text"))?;
    let digits = || match text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 19 {
        true => text.parse::<i128>().map_err(|_| malformed("a number")),
        false => Err(malformed("a number of unix time")),
    };
    match unit {
        TimeUnit::S => Ok(digits()? * SECOND_NS),
        TimeUnit::Ms => Ok(digits()? * (SECOND_NS / 1000)),
        TimeUnit::Rfc3339 => text
            .parse::<jiff::Timestamp>()
            .map(|time| time.as_nanosecond())
            .map_err(|_| malformed("a time as RFC 3339 writes it")),
        TimeUnit::HttpDate => http_date(text).ok_or_else(|| malformed("an HTTP date")),
    }
}

/// Refuses what lies outside.
pub fn judge(window: Window, time_ns: i128, now: SystemTime) -> Result<(), Refusal> {
    let now_ns = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
    let skew_seconds = (now_ns - time_ns) / SECOND_NS;
    let beyond =
        |limit: Option<Duration>, distance: i128| limit.is_some_and(|limit| distance > limit.as_nanos() as i128);
    let shown = |limit: Option<Duration>| limit.map_or(0, |limit| limit.as_secs());
    if beyond(window.past, now_ns - time_ns) {
        let detail = format!("the timestamp is {skew_seconds} s old: at most {} s are taken", shown(window.past));
        return Err(Refusal::new(Reason::TimestampTooOld, detail));
    }
    if beyond(window.future, time_ns - now_ns) {
        let ahead = -skew_seconds;
        let detail =
            format!("the timestamp is {ahead} s ahead: at most {} s are taken; check the clock", shown(window.future));
        return Err(Refusal::new(Reason::TimestampInFuture, detail));
    }
    Ok(())
}

/// `Thu, 07 Sep 2017 06:30:04 GMT`, the comma optional, `UTC` as good as `GMT`.
fn http_date(text: &str) -> Option<i128> {
    let (day, rest) = text.split_once(' ')?;
    let normal = format!("{}, {}", day.trim_end_matches(','), rest.replace("UTC", "GMT"));
    let zoned = jiff::fmt::rfc2822::parse(&normal).ok()?;
    Some(zoned.timestamp().as_nanosecond())
}
