//! Stripe. Source: docs.stripe.com/api/events/object. Amounts are in the smallest unit of the
//! currency.

mod objects;

pub use objects::*;

use super::typed_value;
use crate::{Failure, FromEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One event. It can be an argument of a handler. If the body is not a documented event,
/// `data.object` is the whole body.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// `invoice.paid`, …
    pub r#type: String,
    /// Seconds since 1970.
    pub created: i64,
    /// False: made in a sandbox.
    pub livemode: bool,
    /// The version of the objects in `data`.
    pub api_version: Option<String>,
    /// The connected account; `None` for your own.
    pub account: Option<String>,
    /// What the event is about.
    pub data: About,
}

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct About {
    /// An invoice, a charge, …, as it was when the event was made.
    pub object: Value,
    /// The former values of changed fields, in events `….updated`.
    pub previous_attributes: Map<String, Value>,
}

macro_rules! objects {
    ($($(#[$about:meta])* $variant:ident = $kind:literal,)*) => {
        /// The object of an event, by its field `object`.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Object {
            $($(#[$about])* $variant(Box<$variant>),)*
            /// Any other object, or one that does not fit its kind.
            Other(Value),
        }

        impl Object {
            fn of(value: &Value) -> Self {
                match value["object"].as_str() {
                    $(Some($kind) => typed_value(value, $kind, |object| Self::$variant(Box::new(object)), Self::Other),)*
                    _ => Self::Other(value.clone()),
                }
            }
        }
    };
}

objects! {
    /// `payment_intent.…`
    PaymentIntent = "payment_intent",
    /// `charge.…`
    Charge = "charge",
    /// `charge.dispute.…`
    Dispute = "dispute",
    /// `refund.…` and `charge.refund.…`
    Refund = "refund",
    /// `checkout.session.…`
    CheckoutSession = "checkout.session",
    /// `customer.…`
    Customer = "customer",
    /// `customer.subscription.…`
    Subscription = "subscription",
    /// `invoice.…`
    Invoice = "invoice",
    /// `payout.…`
    Payout = "payout",
}

impl Event {
    /// What the event is about, as one of the types here.
    pub fn typed(&self) -> Object {
        Object::of(&self.data.object)
    }

    /// What the event is about, as a type of yours.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_path_to_error::deserialize(&self.data.object).map_err(|error| {
            let (kind, path, error) = (&self.r#type, error.path(), error.inner());
            Failure::reject(format!(
                "the object of {kind} is not the one expected: `{path}`: {error}"
            ))
        })
    }
}

impl FromEvent for Event {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        Self::from_event_ref(&event)
    }

    fn from_event_ref(event: &crate::Event) -> Result<Self, Failure> {
        let body = event.json()?;
        Ok(typed_value(
            &body,
            "event",
            |mut event: Self| {
                // As sent: null as a former value says that the field was empty.
                let about = &body["data"];
                event.data.object = about["object"].clone();
                if let Some(former) = about["previous_attributes"].as_object() {
                    event.data.previous_attributes = former.clone();
                }
                event
            },
            |object| Self {
                data: About {
                    object,
                    ..About::default()
                },
                ..Self::default()
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn former_values_can_be_null() {
        let event = Event::from_event(testing::event(json!({
            "type": "customer.subscription.updated",
            "livemode": null,
            "data": {
                "object": {"object": "subscription", "canceled_at": 1, "trial_end": null},
                "previous_attributes": {"canceled_at": null}
            }
        })))
        .unwrap();
        assert_eq!(event.data.previous_attributes["canceled_at"], Value::Null);
        assert_eq!(event.data.object.get("trial_end"), Some(&Value::Null));
    }

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

    #[test]
    fn objects_have_types() {
        let event = |kind: &str, object: Value| {
            let body = json!({ "id": "evt_1", "type": kind, "data": { "object": object } });
            Event::from_event(testing::event(body)).unwrap()
        };
        let paid = json!({ "object": "invoice", "id": "in_1", "number": null, "amount_paid": 999, "currency": "eur",
            "customer": "cus_1", "metadata": { "order": "7" } });
        let Object::Invoice(invoice) = event("invoice.paid", paid).typed() else {
            panic!("this is an invoice")
        };
        assert_eq!(
            (
                invoice.amount_paid,
                invoice.currency.as_str(),
                invoice.number
            ),
            (999, "eur", None)
        );
        assert_eq!(invoice.metadata["order"], "7");
        for kind in [
            "payment_intent",
            "charge",
            "dispute",
            "refund",
            "checkout.session",
            "customer",
            "subscription",
            "payout",
        ] {
            let typed = event(kind, json!({ "object": kind, "id": "x", "metadata": null })).typed();
            assert!(!matches!(typed, Object::Other(_)), "{kind}");
        }
    }

    #[test]
    fn payloads_that_differ_are_kept() {
        let host = testing::host();
        let wrong = json!({ "object": "charge", "amount": "ten" });
        let body = json!({ "type": "charge.succeeded", "data": { "object": wrong } });
        let event = Event::from_event(testing::event(body)).unwrap();
        assert_eq!(event.typed(), Object::Other(wrong));
        assert!(
            host.logs()[0].contains("`charge` is not as documented"),
            "{:?}",
            host.logs()
        );
        // A thin event of the second API has its time as text.
        let thin = json!({ "object": "v2.core.event", "type": "v2.core.account.closed", "created": "2026-01-31T08:15:30.000Z" });
        let event = Event::from_event(testing::event(thin.clone())).unwrap();
        assert_eq!(event.data.object, thin);
    }
}
