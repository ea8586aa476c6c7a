//! Published reports of `landfall try`. They are values of the node itself, beside those of hooks:
//! a summary, and each group of differences. A group is a value of the event that its sample comes
//! from, so that erasing the event removes the group.

use std::time::Duration;

use landfall_model::{EventId, HookRetention, Retention};

/// The name of no hook. Its values are the summaries, by `HOOK/ID`.
pub(crate) const TRIES: &str = "_tries";
/// The name of no hook. Its values are the groups, by `HOOK/ID/NUMBER`.
pub(crate) const TRY_GROUPS: &str = "_try-groups";
/// The most parts that are read at a time.
pub(crate) const PARTS_MAX: usize = 1000;

/// A report to store.
#[derive(Debug, Clone)]
pub struct NewTry {
    /// The hook whose attempts were run.
    pub hook: String,
    /// The id of the report. Ids sort by time.
    pub id: EventId,
    /// How long the report is kept, unless the retention says less.
    pub keep: Duration,
    /// What the hook file says of the retention of its events.
    pub retention: HookRetention,
    /// JSON without content of events.
    pub summary: Vec<u8>,
    /// The groups in their order.
    pub groups: Vec<NewTryGroup>,
}

/// A group of differences to store.
#[derive(Debug, Clone)]
pub struct NewTryGroup {
    /// The event that its sample comes from.
    pub event: EventId,
    /// JSON.
    pub json: Vec<u8>,
}

/// Which parts of stored reports to read.
#[derive(Debug, Clone)]
pub enum TryParts {
    /// The summaries of all reports of this hook, oldest first.
    Summaries(String),
    /// The groups of one report of this hook, in their order.
    Groups(String, EventId),
}

/// A stored summary or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryPart {
    /// `HOOK/ID` or `HOOK/ID/NUMBER`.
    pub key: String,
    /// JSON.
    pub json: Vec<u8>,
}

// === impl NewTry ===

impl NewTry {
    /// How long the report is kept: no longer than events of its hook, which its samples are of.
    pub(crate) fn keep_within(&self, retention: &Retention) -> Duration {
        match retention.of(&self.retention) {
            Some((bodies, deliveries)) => self.keep.min(bodies).min(deliveries),
            None => self.keep,
        }
    }

    /// The key of the summary.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.hook, self.id)
    }

    /// The key of the group at this place of the list.
    pub(crate) fn group_key(&self, place: usize) -> String {
        format!("{}/{}/{place:04}", self.hook, self.id)
    }
}

// === impl TryParts ===

impl TryParts {
    /// The name under which the parts are stored.
    pub(crate) fn owner(&self) -> &'static str {
        match self {
            TryParts::Summaries(_) => TRIES,
            TryParts::Groups(..) => TRY_GROUPS,
        }
    }

    /// The beginning of their keys.
    pub(crate) fn prefix(&self) -> String {
        match self {
            TryParts::Summaries(hook) => format!("{hook}/"),
            TryParts::Groups(hook, id) => format!("{hook}/{id}/"),
        }
    }
}

/// The keys of one report, or of all reports of a hook: the name under which they are stored, the
/// first key, and one that is behind the last. `0` follows `/` in the order of bytes.
pub(crate) fn ranges(hook: &str, id: Option<&EventId>) -> [(&'static str, String, String); 2] {
    let first = match id {
        Some(id) => format!("{hook}/{id}"),
        None => format!("{hook}/"),
    };
    let behind = match id {
        Some(id) => format!("{hook}/{id}0"),
        None => format!("{hook}0"),
    };
    [
        (TRIES, first.clone(), behind.clone()),
        (TRY_GROUPS, first, behind),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn reports_end_with_their_events() {
        let day = Duration::from_secs(86_400);
        let node = Retention {
            deliveries: 30 * day,
            bodies: 2 * day,
            max_size: 0,
        };
        let own = |bodies, deliveries| HookRetention {
            bodies,
            deliveries,
            ..HookRetention::default()
        };
        for (retention, expected) in [
            (own(None, None), 2 * day),
            (own(Some(5 * day), None), 5 * day),
            (own(Some(30 * day), None), 7 * day),
            (own(None, Some(day)), day),
            (HookRetention::UNKNOWN, 7 * day),
        ] {
            let new = NewTry {
                hook: "orders".into(),
                id: EventId::new(SystemTime::UNIX_EPOCH),
                keep: 7 * day,
                retention,
                summary: Vec::new(),
                groups: Vec::new(),
            };
            assert_eq!(new.keep_within(&node), expected, "{retention:?}");
        }
    }

    #[test]
    fn ranges_have_the_keys_of_reports() {
        let id = EventId::new(SystemTime::UNIX_EPOCH);
        let new = NewTry {
            hook: "orders".into(),
            id,
            keep: Duration::ZERO,
            retention: HookRetention::default(),
            summary: Vec::new(),
            groups: Vec::new(),
        };
        for (range, has_other) in [(Some(&id), false), (None, true)] {
            let [(_, first, behind), _] = ranges("orders", range);
            let has = |key: &String| *key >= first && *key < behind;
            assert!(has(&new.key()) && has(&new.group_key(7)), "{range:?}");
            assert_eq!(has(&format!("orders/{}1", id)), has_other, "{range:?}");
            assert!(!has(&format!("orders-new/{id}")), "{range:?}");
            assert!(!has(&format!("orders2/{id}")), "{range:?}");
        }
    }
}
