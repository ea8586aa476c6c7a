//! What a good attempt leaves, made ready for the ledger: its emissions become events of their hooks.

use std::time::Duration;

use super::Delivery;
use landfall_engine::Target;
use landfall_ledger::{DedupKey, NewEvent, Results, Stored};
use landfall_model::{Effects, Emission, Event, IdMatch};

/// Events of events of events: what goes on for longer goes round in a circle.
const HOPS_MAX: u32 = 8;
const LOOP: &str = "loop";
/// Where the other hook is not there to say otherwise.
const WINDOW: Duration = Duration::from_secs(7 * 86_400);

impl Delivery {
    pub(super) fn results(&self, by: &Event, mut effects: Effects, target: &Target) -> Results {
        let emissions = std::mem::take(&mut effects.emissions);
        let emitted = emissions
            .into_iter()
            .map(|emission| self.emitted(by, emission))
            .collect();
        Results {
            effects,
            emitted,
            quota: target.quota,
            reply: None,
        }
    }

    /// Whoever handles these should look.
    pub(super) fn ring_for(&self, emitted: &[NewEvent]) {
        let now = self.queue.ledger().now();
        emitted.iter().for_each(|new| {
            self.queue
                .is_due(&new.stored.event().hook, now.plus(new.delay))
        });
    }

    fn emitted(&self, by: &Event, emission: Emission) -> NewEvent {
        let Emission {
            id,
            hook,
            headers,
            body,
            key,
            delay,
        } = emission;
        let hops = by
            .attribute("hops")
            .and_then(|hops| hops.parse().ok())
            .unwrap_or(0_u32)
            + 1;
        let mut attributes = vec![
            ("verified-by".to_owned(), "emit".to_owned()),
            ("verified-by-scheme".to_owned(), "none".to_owned()),
            ("emitted-by".to_owned(), by.hook.to_string()),
            ("caused-by".to_owned(), by.id.to_string()),
            ("hops".to_owned(), hops.to_string()),
        ];
        attributes.extend(
            by.attribute("traceparent")
                .map(|value| ("traceparent".to_owned(), value.to_owned())),
        );
        let path = format!("/{hook}");
        let received_at = self.clock.now();
        let method = http::Method::POST;
        let mut event = Event {
            id,
            hook,
            received_at,
            method,
            path,
            query: None,
            headers,
            body,
            attributes,
        };
        let handles = self.targets.find(&event.hook);
        let order_key = handles
            .as_ref()
            .and_then(|target| target.order_of.as_ref()?(&event));
        event.attributes.extend(
            order_key
                .iter()
                .map(|key| ("order-key".to_owned(), key.clone())),
        );
        let window = handles.map_or(WINDOW, |target| target.dedup_window);
        // Apart from the ids of providers.
        let dedup = key.map(|key| DedupKey {
            key: [b"emit\0", key.as_bytes()].concat(),
            id_match: IdMatch::Id,
            window,
        });
        let dead = (hops > HOPS_MAX).then_some(LOOP);
        NewEvent {
            stored: Stored::new(event),
            dedup,
            order_key,
            delay,
            run_now: false,
            dead,
        }
    }
}
