//! The body of a command as the audit record tells it: the values of the keys that the operation
//! knows. Anything else may be a secret that was sent to the wrong place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

/// The most elements of a list in an entry.
const LISTED_MAX: usize = 20;

/// What a request sends with a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum OrderBody {
    /// A JSON object. Of a key that occurs twice, the last value. Without keys if there is no body.
    Keys(Map<String, Value>),
    /// Another body: its length in bytes.
    Other(usize),
}

/// Whether a command has read its order. An extension of the request of a command.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderRead(Arc<AtomicBool>);

// === impl OrderBody ===

impl OrderBody {
    pub(super) fn of(body: &[u8]) -> OrderBody {
        if body.is_empty() {
            return OrderBody::Keys(Map::new());
        }

        let keys = serde_json::from_slice(body).map(OrderBody::Keys);
        keys.unwrap_or(OrderBody::Other(body.len()))
    }

    /// The hook that the order names.
    pub(super) fn hook(&self) -> Option<&str> {
        self.key("hook")?.as_str()
    }

    /// Whether the order seems to be a dry run. A command that reads the order may refuse it.
    pub(super) fn has_dry_run(&self) -> bool {
        self.key("dry_run") == Some(&Value::Bool(true))
    }

    /// The values of these keys, with the first elements of long lists: `more_NAME` says how many
    /// are left out. `keys_left_out` is the number of other keys, and of keys with a value that no
    /// order has.
    pub(super) fn detail(self, known: &BTreeSet<String>) -> Value {
        let keys = match self {
            OrderBody::Keys(keys) => keys,
            OrderBody::Other(bytes) => return json!({ "bytes": bytes }),
        };

        let (mut detail, mut left_out) = (Map::new(), 0);
        for (name, mut value) in keys {
            if !known.contains(&name) || !is_flat(&value) {
                left_out += 1;
                continue;
            }
            if let Value::Array(list) = &mut value
                && list.len() > LISTED_MAX
            {
                let more = list.len() - LISTED_MAX;
                list.truncate(LISTED_MAX);
                detail.insert(format!("more_{name}"), more.into());
            }
            detail.insert(name, value);
        }
        if left_out > 0 {
            detail.insert("keys_left_out".to_owned(), left_out.into());
        }
        Value::Object(detail)
    }

    fn key(&self, name: &str) -> Option<&Value> {
        match self {
            OrderBody::Keys(keys) => keys.get(name),
            OrderBody::Other(_) => None,
        }
    }
}

/// Whether a value is no object, and no list with an object or a list.
fn is_flat(value: &Value) -> bool {
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Array(list) => list.iter().all(is_scalar),
        value => is_scalar(value),
    }
}

// === impl OrderRead ===

impl OrderRead {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(body: &str) -> Value {
        let known = ["events", "hook", "limit", "reason"].map(str::to_owned);
        OrderBody::of(body.as_bytes()).detail(&known.into())
    }

    #[test]
    fn long_lists_are_shortened() {
        let events: Vec<usize> = (0..600).collect();
        let detail = detail(&json!({ "events": events, "reason": "old" }).to_string());
        assert_eq!(detail["events"].as_array().unwrap().len(), LISTED_MAX);
        assert_eq!(detail["more_events"], 580);
        assert_eq!(detail["reason"], "old");
    }

    #[test]
    fn every_body_is_told() {
        for (body, expected) in [
            ("", json!({})),
            ("{\"limit\":-1}", json!({ "limit": -1 })),
            ("[1]", json!({ "bytes": 3 })),
            ("1.9", json!({ "bytes": 3 })),
            ("{\"limit\":", json!({ "bytes": 9 })),
            ("\u{0}", json!({ "bytes": 1 })),
        ] {
            assert_eq!(detail(body), expected, "{body}");
        }
    }

    #[test]
    fn unknown_keys_are_counted() {
        for body in [
            json!({ "canary": 1, "hook": "q", "password": "canary" }),
            json!({ "hook": "q", "reason": { "canary": "canary" }, "events": [["canary"]] }),
            json!({ "hook": "q", "events": ["a", { "canary": 1 }], "Hook": "canary" }),
        ] {
            let detail = detail(&body.to_string());
            assert_eq!(detail, json!({ "hook": "q", "keys_left_out": 2 }), "{body}");
        }
    }

    #[test]
    fn dry_runs_are_recognised() {
        for (body, is_dry) in [
            ("{\"dry_run\":true}", true),
            ("{\"dry_run\":false,\"dry\\u005frun\":true}", true),
            ("{\"dry_run\":true,\"dry_run\":false}", false),
            ("{\"dry_run\":\"true\"}", false),
            ("[true]", false),
            ("", false),
        ] {
            let order = OrderBody::of(body.as_bytes());
            assert_eq!(order.has_dry_run(), is_dry, "{body}");
        }
    }
}
