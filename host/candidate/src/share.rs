//! Which events run on a canary. The choice depends on the event's id alone, so that each attempt of
//! an event, on each node, runs on the same version.

use landfall_model::EventId;

/// The choices: a share has five decimal places.
const PLACES: u64 = 10_000_000;

/// Whether an event runs on the candidate. `share` is in percent.
pub fn is_chosen(event: &EventId, share: f64) -> bool {
    let place = mixed(random_part(event)) % PLACES;
    (place as f64) < share / 100.0 * PLACES as f64
}

/// The second half of the id, which is random.
fn random_part(event: &EventId) -> u64 {
    event
        .as_bytes()
        .iter()
        .skip(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Spreads numbers that are close to each other (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn events(count: u64) -> Vec<EventId> {
        let numbered = |number| EventId::numbered(SystemTime::UNIX_EPOCH, number, number);
        (0..count).map(numbered).collect()
    }

    #[test]
    fn shares_are_kept() {
        let events = events(100_000);
        for (share, least, most) in [(5.0, 4_700, 5_300), (0.1, 60, 140), (50.0, 49_200, 50_800)] {
            let chosen = events.iter().filter(|event| is_chosen(event, share));
            let count = chosen.count();
            assert!((least..=most).contains(&count), "{share}: {count}");
        }
    }

    #[test]
    fn a_larger_share_keeps_its_events() {
        for event in events(1_000) {
            assert!(!is_chosen(&event, 5.0) || is_chosen(&event, 10.0));
            assert_eq!(is_chosen(&event, 5.0), is_chosen(&event, 5.0));
        }
    }
}
