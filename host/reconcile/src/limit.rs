//! What an answer of an API says about the next call: go on, wait, try again, or give up.
//!
//! Sources: docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (403 or 429;
//! `retry-after`, else `x-ratelimit-reset` if `x-ratelimit-remaining` is 0, else at least a
//! minute), docs.stripe.com/rate-limits (429), shopify.dev/docs/api/admin-rest/usage/rate-limits
//! (429 with `Retry-After` in seconds, such as `2.0`).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// What GitHub asks for if it does not say how long.
const WAIT_DEFAULT: Duration = Duration::from_secs(60);
/// A longer wait ends the run. GitHub counts calls per hour.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(65 * 60);

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The answer can be read.
    Good,
    /// The same call, after this time.
    Wait(Duration),
    /// The server has a fault: the same call, soon.
    Again,
    /// The same call would fail again.
    Refused,
}

/// The verdict on an answer. `now_s`: seconds since 1970.
pub(crate) fn verdict(status: u16, headers: &HeaderMap, body: &[u8], now_s: i64) -> Verdict {
    match status {
        200..=299 => Verdict::Good,
        403 | 429 => match wait(status, headers, body, now_s) {
            Some(time) => Verdict::Wait(time),
            None => Verdict::Refused,
        },
        500..=599 => match seconds(headers) {
            Some(time) => Verdict::Wait(time),
            None => Verdict::Again,
        },
        408 => Verdict::Again,
        _ => Verdict::Refused,
    }
}

/// How long a rate limit lasts. `None`: the 403 is about permissions.
fn wait(status: u16, headers: &HeaderMap, body: &[u8], now_s: i64) -> Option<Duration> {
    if let Some(time) = seconds(headers) {
        return Some(time);
    }

    if text(headers, "x-ratelimit-remaining") == Some("0")
        && let Some(reset) =
            text(headers, "x-ratelimit-reset").and_then(|text| text.parse::<i64>().ok())
    {
        // The clocks of two machines differ by a second.
        let left = reset.saturating_sub(now_s).saturating_add(1).max(1);
        return Some(Duration::from_secs(left as u64));
    }

    let names_limit = String::from_utf8_lossy(&body[..body.len().min(1024)])
        .to_ascii_lowercase()
        .contains("rate limit");
    (status == 429 || names_limit).then_some(WAIT_DEFAULT)
}

/// `Retry-After` in seconds, perhaps with a fraction. A date counts as the default.
fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let time = text
        .trim()
        .parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some(time.unwrap_or(WAIT_DEFAULT))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn of(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Verdict {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        verdict(status, &headers, body.as_bytes(), NOW)
    }

    #[test]
    fn rate_limits_are_waited_for() {
        let wait = |seconds: f64| Verdict::Wait(Duration::from_secs_f64(seconds));
        assert_eq!(of(403, &[("retry-after", "7")], ""), wait(7.0));
        assert_eq!(of(429, &[("retry-after", "2.0")], ""), wait(2.0));
        let used = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1700000030"),
        ];
        assert_eq!(of(403, &used, ""), wait(31.0));
        let secondary = "{\"message\":\"You have exceeded a secondary rate limit.\"}";
        assert_eq!(of(403, &[], secondary), wait(60.0));
        assert_eq!(of(429, &[], ""), wait(60.0));
        assert_eq!(of(503, &[("retry-after", "3")], ""), wait(3.0));
    }

    #[test]
    fn other_refusals_are_final() {
        let left = [
            ("x-ratelimit-remaining", "4999"),
            ("x-ratelimit-reset", "1700000030"),
        ];
        assert_eq!(of(403, &left, "Must have admin rights"), Verdict::Refused);
        assert_eq!(of(401, &[], ""), Verdict::Refused);
        assert_eq!(of(404, &[], ""), Verdict::Refused);
        assert_eq!(of(301, &[], ""), Verdict::Refused);
        assert_eq!(of(502, &[], ""), Verdict::Again);
        assert_eq!(of(200, &[], ""), Verdict::Good);
    }
}
