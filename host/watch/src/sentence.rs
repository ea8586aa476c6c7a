//! Times and sizes in sentences.

use std::time::Duration;

/// A time in at most two units: `7h 12m`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let unit = match seconds {
        0..120 => 1,
        120..7_200 => 60,
        7_200..172_800 => 3_600 / 2,
        _ => 3_600,
    };
    let rounded = Duration::from_secs(seconds / unit * unit);
    let days = rounded.as_secs() / 86_400;
    if days >= 2 {
        // `humantime` would count months, which have no whole number of days.
        let hours = rounded.as_secs() / 3_600 % 24;
        return if hours == 0 {
            format!("{days}days")
        } else {
            format!("{days}days {hours}h")
        };
    }
    humantime::format_duration(rounded).to_string()
}

/// Seconds as `time`.
pub(crate) fn seconds(seconds: f64) -> String {
    time(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

/// Bytes in MiB.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// `1 request`, `2 requests`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (given, shown) in [
            (0, "0s"),
            (95, "1m 35s"),
            (3_725, "1h 2m"),
            (26_000, "7h"),
            (90_000, "1day 1h"),
            (200_000, "2days 7h"),
            (40 * 86_400, "40days"),
        ] {
            assert_eq!(seconds(f64::from(given)), shown, "{given}");
        }
    }
}
