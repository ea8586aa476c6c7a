//! The results of a successful attempt, as the ledger stores them: emissions become events of their
//! hooks.

use std::time::Duration;

use landfall_engine::Target;
use landfall_ledger::{NewEvent, Results};
use landfall_model::{
    Admission, Attempt, DedupKey, Effects, Emission, Event, IdMatch, Outcome, Stored,
};

use super::dispatcher::Dispatcher;

/// The longest chain of events that emit events. A longer one is taken for a loop.
const HOPS_MAX: u32 = 8;
const LOOP: &str = "loop";
/// The deduplication window if the receiving hook does not exist.
const WINDOW: Duration = Duration::from_secs(7 * 86_400);

impl Dispatcher {
    /// An attempt that emits to a hook whose `[redact]` is not known stores nothing: it fails, and
    /// is made again.
    pub(crate) fn refuse_unread(&self, by: &Event, attempt: &mut Attempt) {
        if !matches!(attempt.outcome, Outcome::Done(_)) {
            return;
        }
        let mut emissions = attempt.effects.emissions.iter();
        let Some(why) = emissions.find_map(|one| self.targets.unread(&one.hook)) else {
            return;
        };

        attempt.effects = Effects::default();
        attempt.outcome = unread_outcome(by, &why);
    }

    /// The results of an attempt on the event `by`. Fails if the rules of a hook that it emits to
    /// are not known any more.
    pub(crate) fn results(
        &self,
        by: &Event,
        mut effects: Effects,
        target: &Target,
    ) -> Result<Results, String> {
        let emissions = std::mem::take(&mut effects.emissions);
        let emitted = emissions
            .into_iter()
            .map(|emission| self.emitted(by, emission))
            .collect::<Result<_, _>>()?;
        Ok(Results {
            effects,
            emitted,
            quota: target.quota,
            reply: None,
        })
    }

    /// The scheduler looks when these events are due.
    pub(crate) fn mark_emitted_due(&self, emitted: &[NewEvent]) {
        self.work.count_flow();
        for new in emitted {
            if new.dead.is_some()
                && let Some(metrics) = self.metrics.find(&new.stored.event().hook)
            {
                metrics.count_dead_letter(LOOP);
            }
            let event = new.stored.event();
            if new.dead.is_none() {
                self.record_admission(&event.hook, event.id, &new.admission);
            }
            self.work.mark_due_in(&event.hook, new.delay);
        }
    }

    fn emitted(&self, by: &Event, emission: Emission) -> Result<NewEvent, String> {
        let hops = by
            .attribute("hops")
            .and_then(|hops| hops.parse().ok())
            .unwrap_or(0_u32)
            + 1;
        let mut attributes = emitted_by(&by.hook, hops);
        attributes.push(("caused-by".to_owned(), by.id.to_string()));
        attributes.extend(
            by.attribute("traceparent")
                .map(|value| ("traceparent".to_owned(), value.to_owned())),
        );
        let dead = (hops > HOPS_MAX).then_some(LOOP);
        Ok(NewEvent {
            dead,
            ..self.new_event(emission, attributes)?
        })
    }

    /// The event of an emission, with these attributes. Fails, and nothing may be stored, if the
    /// rules of `[redact]` of its hook are not known.
    pub(crate) fn new_event(
        &self,
        emission: Emission,
        mut attributes: Vec<(String, String)>,
    ) -> Result<NewEvent, String> {
        let Emission {
            id,
            hook,
            event_type,
            headers,
            body,
            key,
            delay,
        } = emission;
        attributes.extend(event_type.map(|event_type| ("event-type".to_owned(), event_type)));
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
        let event = self.targets.redacted(event)?;
        let admission = match handles
            .as_ref()
            .map(|target| self.admit(&target.flow, &event))
        {
            // An emission with a delay runs at its time.
            Some(Admission::Hold(_)) if !delay.is_zero() => Admission::Run,
            Some(admission) => admission,
            None => Admission::Run,
        };
        let window = handles.map_or(WINDOW, |target| target.dedup_window);
        // The prefix keeps these keys apart from the ids of providers.
        let dedup = key.map(|key| DedupKey {
            key: [b"emit\0", key.as_bytes()].concat(),
            id_match: IdMatch::Id,
            window,
        });
        Ok(NewEvent {
            stored: Stored::new(event),
            dedup,
            order_key,
            delay,
            run_now: false,
            dead: None,
            admission,
        })
    }
}

/// The outcome of an attempt that emits to a hook whose `[redact]` is not known.
pub(crate) fn unread_outcome(by: &Event, why: &str) -> Outcome {
    let reason = format!("emit: {why}");
    let (hook, event) = (&*by.hook, by.id);
    tracing::warn!(hook, %event, reason = &*reason, "the results of the attempt are not stored");
    Outcome::Retry {
        reason,
        after: None,
    }
}

/// The attributes that say who emitted an event.
pub(crate) fn emitted_by(hook: &str, hops: u32) -> Vec<(String, String)> {
    vec![
        ("verified-by".to_owned(), "emit".to_owned()),
        ("verified-by-scheme".to_owned(), "none".to_owned()),
        ("emitted-by".to_owned(), hook.to_owned()),
        ("hops".to_owned(), hops.to_string()),
    ]
}
