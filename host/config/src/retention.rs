//! `retention` and `body_retention` of a hook file.

use std::time::Duration;

use super::mistake::{Mistake, in_range};
use super::values::Time;
use landfall_model::HookRetention;

/// Ten years.
const SECONDS_MAX: u64 = 3650 * 86_400;

/// How long the deliveries of a hook are kept, where its file says so.
pub(crate) fn retention(
    deliveries: Option<Time>,
    bodies: Option<Time>,
) -> Result<HookRetention, Mistake> {
    Ok(HookRetention {
        deliveries: checked(&["retention"], deliveries)?,
        bodies: checked(&["body_retention"], bodies)?,
        ..HookRetention::default()
    })
}

fn checked(key: &'static [&'static str], typed: Option<Time>) -> Result<Option<Duration>, Mistake> {
    typed
        .map(|time| in_range(key, Some(time), Duration::ZERO, 1, SECONDS_MAX))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_checked() {
        let day = Duration::from_secs(86_400);
        let found = retention(Some(Time(3 * day)), None).map_err(|mistake| mistake.message);
        assert_eq!(found.unwrap().deliveries, Some(3 * day));
        let why = retention(None, Some(Time(Duration::ZERO))).err().unwrap();
        assert!(why.message.contains("out of range"), "{}", why.message);
    }
}
