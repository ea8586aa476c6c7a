//! Stripe. Source: docs.stripe.com/api/events/object.

use crate::{Failure, FromEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One event; it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// `invoice.paid`, …
    pub r#type: String,
    /// Seconds since 1970.
    pub created: i64,
    /// False: made in a sandbox.
    pub livemode: bool,
    /// How `data` is to be read; none for events older than versions.
    pub api_version: Option<String>,
    /// The connected account; none for one's own.
    pub account: Option<String>,
    /// What it is about.
    pub data: About,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct About {
    /// An invoice, a charge, …, as it was when the event was made.
    pub object: Value,
    /// What its changed fields were before, in events of the kind `….updated`.
    #[serde(default)]
    pub previous_attributes: Map<String, Value>,
}

impl Event {
    /// What it is about, as a type of yours.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.data.object).map_err(|error| {
            Failure::reject(format!(
                "the object of {} is not the one expected: {error}",
                self.r#type
            ))
        })
    }
}

impl FromEvent for Event {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn an_event_and_its_object() {
        #[derive(Deserialize, Debug, PartialEq)]
        struct Invoice {
            id: String,
            amount_paid: u64,
        }
        let event = Event::from_event(testing::event(json!({
            "id": "evt_1", "object": "event", "api_version": "2025-04-30.basil", "created": 1_769_847_330, "livemode": false,
            "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": "invoice.paid",
            "data": { "object": { "id": "in_1", "object": "invoice", "amount_paid": 999 } },
        })));
        let event = event.unwrap();
        assert_eq!(
            (event.r#type.as_str(), event.account.as_deref()),
            ("invoice.paid", None)
        );
        assert_eq!(
            event.object(),
            Ok(Invoice {
                id: "in_1".into(),
                amount_paid: 999
            })
        );
        assert!(matches!(
            event.object::<Vec<u8>>(),
            Err(Failure::Reject { .. })
        ));
    }
}
