//! Event type and delivery id of listed events. They are in the head of an event, which a list does
//! not read. Events never change, so that each is read once.

use std::collections::HashMap;
use std::sync::Mutex;

use landfall_ledger::{History, Parts};
use landfall_model::{Event, lock};

use crate::api::Delivery;

/// The most events that are remembered.
const HEADS_MAX: usize = 10_000;
/// The most bytes of bodies that one list reads with the heads. Further events show no type until
/// the next time.
const BYTES_MAX: i64 = 16 << 20;

/// What a list shows of the head of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The provider's word for what has happened; empty if it has none.
    pub(crate) event_type: String,
    /// The provider's id of the delivery; empty if it has none.
    pub(crate) delivery_id: String,
}

/// The heads that were read, by event.
#[derive(Default)]
pub(crate) struct Heads(Mutex<HashMap<String, Head>>);

// === impl Heads ===

impl Heads {
    /// The heads of these deliveries, in their order. That of an event that is no longer stored is
    /// empty.
    pub(crate) async fn of(&self, ledger: &dyn History, listed: &[Delivery]) -> Vec<Head> {
        let missing = self.missing(listed);
        if !missing.is_empty() {
            let numbers = missing.iter().map(|(delivery, _)| *delivery).collect();
            let parts = Parts {
                event: true,
                attempts: false,
            };
            let mut read = ledger.contents(numbers, parts).await.unwrap_or_default();
            let mut heads = lock(&self.0);
            if heads.len() + missing.len() > HEADS_MAX {
                heads.clear();
            }
            for (delivery, event) in missing {
                if let Some(content) = read.remove(&delivery) {
                    let head = content.event.as_ref().map(Head::of);
                    heads.insert(event, head.unwrap_or_default());
                }
            }
        }

        let heads = lock(&self.0);
        let known = |one: &Delivery| heads.get(&one.event).cloned().unwrap_or_default();
        listed.iter().map(known).collect()
    }

    /// The deliveries to read: number and event.
    fn missing(&self, listed: &[Delivery]) -> Vec<(i64, String)> {
        let heads = lock(&self.0);
        let mut missing: Vec<(i64, String)> = Vec::new();
        let mut bytes = 0;
        for one in listed {
            let is_known = heads.contains_key(&one.event)
                || missing.iter().any(|(_, event)| *event == one.event);
            if is_known {
                continue;
            }
            bytes += one.body_bytes;
            if bytes > BYTES_MAX && !missing.is_empty() {
                break;
            }
            missing.push((one.delivery, one.event.clone()));
        }
        missing
    }
}

// === impl Head ===

impl Head {
    fn of(event: &Event) -> Head {
        let attribute = |name| event.attribute(name).unwrap_or_default().to_owned();
        Head {
            event_type: attribute("event-type"),
            delivery_id: attribute("delivery-id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(delivery: i64, event: &str, body_bytes: i64) -> Delivery {
        Delivery {
            delivery,
            event: event.into(),
            body_bytes,
            ..Delivery::default()
        }
    }

    #[test]
    fn each_event_is_read_once() {
        let heads = Heads::default();
        let list = [listed(3, "b", 1), listed(2, "a", 1), listed(1, "a", 1)];
        assert_eq!(heads.missing(&list), [(3, "b".into()), (2, "a".into())]);
        lock(&heads.0).insert("b".into(), Head::default());
        assert_eq!(heads.missing(&list), [(2, "a".into())]);
    }

    #[test]
    fn large_bodies_are_read_later() {
        let heads = Heads::default();
        let list = [listed(2, "b", BYTES_MAX + 1), listed(1, "a", 1)];
        assert_eq!(heads.missing(&list), [(2, "b".into())]);
    }
}
