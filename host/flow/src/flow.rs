//! The flow of one hook: what happens to an event before it runs.

use std::time::Duration;

use landfall_model::{
    BatchHold, BatchSpec, DebounceHold, DebounceSpec, Event, FlowSpec, HELD_KEY_MAX, Hold,
    ValueLocation,
};
use landfall_verify::value_at;
use sha2::{Digest, Sha256};

use super::batch;
use super::filter::{self, Verdict};
use super::mistake::FlowMistake;
use super::shape::Shape;

/// Begins the key of a batch whose events have an order key.
const ORDERED: &[u8] = b"order\0";

/// The checked flow of one hook.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    spec: FlowSpec,
    /// Events with the same order key run in order: a batch has events of one order key.
    is_ordered: bool,
    /// The most bytes of a batch.
    bytes_max: usize,
}

// === impl Flow ===

impl Flow {
    /// The flow of a hook whose bodies have at most `max_body` bytes, as a batch does.
    pub fn new(
        spec: &FlowSpec,
        order_by: Option<&ValueLocation>,
        max_body: usize,
    ) -> Result<Flow, FlowMistake> {
        for (table, key) in [
            (
                "debounce",
                spec.debounce.as_ref().and_then(|one| one.key.as_ref()),
            ),
            (
                "batch",
                spec.batch.as_ref().and_then(|one| one.key.as_ref()),
            ),
        ] {
            if let Some(place) = key {
                check_key([table, "key"], place)?;
            }
        }
        Shape::of(spec, max_body).check()?;
        Ok(Flow {
            spec: spec.clone(),
            is_ordered: order_by.is_some(),
            bytes_max: max_body,
        })
    }

    /// Whether the event runs.
    pub fn filter(&self, event: &Event) -> Verdict {
        if self.spec.filter.is_empty() {
            return Verdict::Runs;
        }
        filter::check(&self.spec.filter, event)
    }

    /// What the event waits for. `None`: it runs at once.
    pub fn hold(&self, event: &Event) -> Option<Hold> {
        let debounce = self.spec.debounce.as_ref();
        let hold = Hold {
            debounce: debounce.and_then(|spec| debounced(spec, event)),
            batch: self
                .spec
                .batch
                .as_ref()
                .map(|spec| self.batched(spec, event)),
        };
        (hold.debounce.is_some() || hold.batch.is_some()).then_some(hold)
    }

    /// Whether the handler receives batches.
    pub fn has_batches(&self) -> bool {
        self.spec.batch.is_some()
    }

    /// After so many failed attempts of a batch, its events run alone.
    pub fn split_after(&self) -> u32 {
        self.spec.batch.as_ref().map_or(1, |spec| spec.split_after)
    }

    /// The steps of the flow, in their order, for an operator. Empty if it has none.
    pub fn describe(&self) -> Vec<String> {
        let FlowSpec {
            filter,
            debounce,
            batch,
            transform,
        } = &self.spec;
        let shown = |time: Duration| humantime::format_duration(time).to_string();
        let mut steps = Vec::new();
        if !filter.is_empty() {
            let places: Vec<String> = filter.iter().map(|one| one.place.to_string()).collect();
            steps.push(format!("filter on {}", places.join(", ")));
        }
        if let Some(spec) = debounce {
            let (wait, maximum) = (shown(spec.wait), shown(spec.maximum));
            steps.push(format!("debounce for {wait}, at most {maximum}"));
        }
        if let Some(spec) = batch {
            let (count, time) = (spec.count, shown(spec.time));
            steps.push(format!("batches of {count} events or {time}"));
        }
        if transform.is_some() {
            steps.push("transform".to_owned());
        }
        steps
    }

    fn batched(&self, spec: &BatchSpec, event: &Event) -> BatchHold {
        BatchHold {
            key: self.batch_key(spec, event),
            count: spec.count,
            time: spec.time,
            bytes_max: self.bytes_max,
            bytes: batch::bytes_of(event),
        }
    }

    /// An event without a key is in the batch of those without. The events of a batch have one order
    /// key, also if another hook file took the same value for `[batch] key`: after a split, each
    /// waits only for those before it.
    fn batch_key(&self, spec: &BatchSpec, event: &Event) -> Vec<u8> {
        if self.is_ordered {
            // The stored body may have lost what was read for the order key.
            let key = event.attribute("order-key");
            return key.map_or_else(Vec::new, |key| [ORDERED, &held_key(key)[..]].concat());
        }
        let key = spec.key.as_ref().and_then(|place| value_at(event, place));
        key.map_or_else(Vec::new, |key| held_key(&key))
    }
}

/// `None`: the event has no value at the place of the key, and does not wait.
fn debounced(spec: &DebounceSpec, event: &Event) -> Option<DebounceHold> {
    let key = match &spec.key {
        Some(place) => held_key(&value_at(event, place)?),
        None => Vec::new(),
    };
    Some(DebounceHold {
        key,
        wait: spec.wait,
        maximum: spec.maximum,
        keep: spec.keep,
    })
}

/// The key of a group; of a long one, its digest.
fn held_key(key: &str) -> Vec<u8> {
    if key.len() <= HELD_KEY_MAX {
        key.as_bytes().to_vec()
    } else {
        [b"sha256\0", &Sha256::digest(key)[..]].concat()
    }
}

/// A key is read from the stored event, in which a token is no longer.
fn check_key(key: [&'static str; 2], place: &ValueLocation) -> Result<(), FlowMistake> {
    let why = match place {
        ValueLocation::Claim(_) => {
            "{ claim = … } is read from a token, which is not stored: use json, header or query"
        }
        ValueLocation::Each(_) => "{ each = … } names many values, and one is needed: use json",
        ValueLocation::Json(pointer) if !pointer.starts_with('/') => {
            "a JSON pointer begins with a slash, as in { json = \"/id\" }"
        }
        ValueLocation::Header(name) if name.parse::<http::HeaderName>().is_err() => {
            "this is not the name of a header"
        }
        _ => return Ok(()),
    };
    Err(FlowMistake::new(key, why))
}

#[cfg(test)]
mod tests {
    use landfall_model::Keep;

    use super::*;
    use crate::testing::event;

    fn json_key(pointer: &str) -> Option<ValueLocation> {
        Some(ValueLocation::Json(pointer.to_owned()))
    }

    fn debounce(key: Option<ValueLocation>) -> FlowSpec {
        FlowSpec {
            debounce: Some(DebounceSpec {
                key,
                wait: Duration::from_secs(1),
                maximum: Duration::from_secs(5),
                keep: Keep::Last,
            }),
            ..FlowSpec::default()
        }
    }

    #[test]
    fn keys_separate_debounced_groups() {
        let flow = Flow::new(&debounce(json_key("/id")), None, 1000).unwrap();
        let key = |body: &str| {
            flow.hold(&event(body))
                .map(|hold| hold.debounce.unwrap().key)
        };
        assert_eq!(key(r#"{"id":"a"}"#), Some(b"a".to_vec()));
        assert_eq!(key(r#"{"id":1}"#), Some(b"1".to_vec()));
        assert_eq!(key("{}"), None, "without a key, the event does not wait");
        let long = key(&format!("{{\"id\":\"{}\"}}", "a".repeat(5000))).unwrap();
        assert_eq!(long.len(), 39);

        let all = Flow::new(&debounce(None), None, 1000).unwrap();
        assert_eq!(all.hold(&event("x")).unwrap().debounce.unwrap().key, b"");
        assert_eq!(Flow::default().hold(&event("x")), None);
    }

    #[test]
    fn batches_follow_the_order_key() {
        let spec = FlowSpec {
            batch: Some(BatchSpec {
                key: None,
                count: 10,
                time: Duration::from_secs(1),
                split_after: 3,
            }),
            ..FlowSpec::default()
        };
        let by = json_key("/id");
        let flow = Flow::new(&spec, by.as_ref(), 1000).unwrap();
        let held = |event: &Event| flow.hold(event).unwrap().batch.unwrap();
        assert_eq!(held(&event("{}")).key, b"");
        assert_eq!(held(&event("{}")).bytes_max, 1000);
        // The order key is the attribute, whatever the stored body says.
        let mut ordered = event("{}");
        ordered.attributes.push(("order-key".into(), "a".into()));
        assert_eq!(held(&ordered).key, b"order\0a");
    }

    #[test]
    fn order_keys_are_no_batch_keys() {
        let spec = |key| FlowSpec {
            batch: Some(BatchSpec {
                key,
                count: 10,
                time: Duration::from_secs(1),
                split_after: 3,
            }),
            ..FlowSpec::default()
        };
        let mut sent = event(r#"{"id":"a"}"#);
        sent.attributes.push(("order-key".into(), "a".into()));
        let key = |flow: Flow| flow.hold(&sent).unwrap().batch.unwrap().key;
        let by_id = json_key("/id");
        let keyed = key(Flow::new(&spec(by_id.clone()), None, 1000).unwrap());
        let ordered = key(Flow::new(&spec(None), by_id.as_ref(), 1000).unwrap());
        assert_eq!(keyed, b"a");
        assert_ne!(keyed, ordered);
    }

    #[test]
    fn useless_keys_are_refused() {
        for place in [
            ValueLocation::Claim("/sub".into()),
            ValueLocation::Each("/a/*/b".into()),
            ValueLocation::Json("id".into()),
            ValueLocation::Header("a b".into()),
        ] {
            let error = Flow::new(&debounce(Some(place)), None, 1000).unwrap_err();
            assert_eq!(error.key, ["debounce", "key"], "{error}");
        }
    }
}
