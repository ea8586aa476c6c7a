//! Sparklines as coordinates of an SVG path. The template writes the elements, so that nothing here
//! is markup.

use crate::text;

/// The size of a sparkline in the units of its view box.
pub(crate) const WIDTH: usize = 120;
/// See `WIDTH`.
pub(crate) const HEIGHT: usize = 24;

/// A sparkline of requests and of the failures among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spark {
    /// The path of all requests.
    pub(crate) requests: String,
    /// The path of the failures; empty if there are none.
    pub(crate) failures: String,
    /// Whether there are requests.
    pub(crate) has_requests: bool,
    /// What the picture says.
    pub(crate) label: String,
}

/// `minutes`: the time that the values cover.
pub(crate) fn spark(requests: &[u64], failures: &[u64], minutes: usize) -> Spark {
    let most = requests.iter().chain(failures).max().copied().unwrap_or(0);
    let (all, failed) = (requests.iter().sum::<u64>(), failures.iter().sum::<u64>());
    Spark {
        requests: path(requests, most),
        failures: if failed == 0 {
            String::new()
        } else {
            path(failures, most)
        },
        has_requests: all > 0,
        label: format!(
            "{} and {} in the last {minutes} minutes",
            text::count(all, "request", "requests"),
            text::count(failed, "failure", "failures")
        ),
    }
}

/// Digits, letters of path commands and spaces only.
fn path(values: &[u64], most: u64) -> String {
    let Some(last) = values.len().checked_sub(1).filter(|last| *last > 0) else {
        return format!("M0 {}H{WIDTH}", HEIGHT - 1);
    };

    let points = values.iter().enumerate().map(|(at, value)| {
        let x = at * WIDTH * 10 / last;
        let high = (value * (HEIGHT as u64 - 2) * 10).checked_div(most);
        let high = high.unwrap_or(0) as usize;
        let y = (HEIGHT - 1) * 10 - high;
        let command = if at == 0 { 'M' } else { 'L' };
        format!("{command}{}.{} {}.{}", x / 10, x % 10, y / 10, y % 10)
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_scaled_to_the_most() {
        let spark = spark(&[0, 4, 2], &[0, 0, 1], 5);
        assert_eq!(spark.requests, "M0.0 23.0L60.0 1.0L120.0 12.0");
        assert_eq!(spark.failures, "M0.0 23.0L60.0 23.0L120.0 17.5");
        assert_eq!(
            spark.label,
            "6 requests and 1 failure in the last 5 minutes"
        );
    }

    #[test]
    fn paths_contain_no_markup() {
        for values in [vec![], vec![7], vec![u64::from(u32::MAX), 0, 1]] {
            let spark = spark(&values, &values, 5);
            let is_path = |c: char| c.is_ascii_digit() || "MLH. ".contains(c);
            assert!(spark.requests.chars().all(is_path), "{spark:?}");
            assert!(spark.failures.chars().all(is_path), "{spark:?}");
        }
    }
}
