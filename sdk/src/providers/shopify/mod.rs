//! Shopify. Source: shopify.dev/docs/api/webhooks. Amounts are text with a point, as Shopify sends
//! them: `"10.00"`.

mod objects;

pub use objects::*;

use super::typed;
use crate::{Failure, FromEvent};
use serde_json::Value;

/// One event, by its topic. It can be an argument of a handler.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `orders/create`, `orders/paid`, `orders/updated`, `orders/cancelled`, `orders/fulfilled`,
    /// `orders/partially_fulfilled`.
    Order(Box<Order>),
    /// `checkouts/create`, `checkouts/update`.
    Checkout(Box<Checkout>),
    /// `products/create`, `products/update`.
    Product(Box<Product>),
    /// `customers/create`, `customers/update`, `customers/enable`, `customers/disable`.
    Customer(Box<Customer>),
    /// `refunds/create`.
    Refund(Box<Refund>),
    /// `fulfillments/create`, `fulfillments/update`.
    Fulfillment(Box<Fulfillment>),
    /// `inventory_levels/connect`, `inventory_levels/update`.
    InventoryLevel(Box<InventoryLevel>),
    /// `app/uninstalled`, `shop/update`.
    Shop(Box<Shop>),
    /// `orders/delete`, `products/delete`, `customers/delete`, `checkouts/delete`.
    Deleted(Deleted),
    /// `customers/data_request`, `customers/redact`, `shop/redact`: every public app must handle
    /// them.
    Privacy(Box<PrivacyRequest>),
    /// Any other topic, or a body that does not fit its topic: the topic, and the body.
    Other(String, Value),
}

impl Event {
    fn of(topic: &str, event: &crate::Event) -> Result<Self, Failure> {
        let other = |body| Self::Other(topic.to_owned(), body);
        match topic {
            "orders/create"
            | "orders/paid"
            | "orders/updated"
            | "orders/cancelled"
            | "orders/fulfilled"
            | "orders/partially_fulfilled" => {
                typed(event, topic, |order| Self::Order(Box::new(order)), other)
            }
            "checkouts/create" | "checkouts/update" => {
                typed(event, topic, |one| Self::Checkout(Box::new(one)), other)
            }
            "products/create" | "products/update" => {
                typed(event, topic, |one| Self::Product(Box::new(one)), other)
            }
            "customers/create" | "customers/update" | "customers/enable" | "customers/disable" => {
                typed(event, topic, |one| Self::Customer(Box::new(one)), other)
            }
            "refunds/create" => typed(event, topic, |one| Self::Refund(Box::new(one)), other),
            "fulfillments/create" | "fulfillments/update" => {
                typed(event, topic, |one| Self::Fulfillment(Box::new(one)), other)
            }
            "inventory_levels/connect" | "inventory_levels/update" => typed(
                event,
                topic,
                |one| Self::InventoryLevel(Box::new(one)),
                other,
            ),
            "app/uninstalled" | "shop/update" => {
                typed(event, topic, |one| Self::Shop(Box::new(one)), other)
            }
            "orders/delete" | "products/delete" | "customers/delete" | "checkouts/delete" => {
                typed(event, topic, Self::Deleted, other)
            }
            "customers/data_request" | "customers/redact" | "shop/redact" => {
                typed(event, topic, |one| Self::Privacy(Box::new(one)), other)
            }
            _ => event.json().map(other),
        }
    }
}

/// By the event type that the host found, otherwise by the header `x-shopify-topic`.
impl FromEvent for Event {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        Self::from_event_ref(&event)
    }

    fn from_event_ref(event: &crate::Event) -> Result<Self, Failure> {
        let topic = event
            .event_type
            .as_deref()
            .or_else(|| event.header("x-shopify-topic"));
        let topic = topic
            .ok_or_else(|| Failure::reject("no header says which topic of Shopify this is"))?;
        Self::of(topic, event)
    }
}

impl FromEvent for Order {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.json()
    }

    fn from_event_ref(event: &crate::Event) -> Result<Self, Failure> {
        event.json()
    }
}

/// The shop's host name, from the headers: `name.myshopify.com`.
pub fn shop(event: &crate::Event) -> Option<&str> {
    event.header("x-shopify-shop-domain")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn an_order_without_a_customer() {
        let order = json!({ "id": 820_982_911_946_154_508_u64, "name": "#9999", "email": "jon@example.com", "customer": null,
            "created_at": "2021-12-31T19:00:00-05:00", "currency": "USD", "total_price": "388.00", "test": true,
            "financial_status": "voided", "fulfillment_status": null,
            "line_items": [{ "title": "Big Brown Bear Boots", "quantity": 1, "price": "74.99", "sku": null }] });
        let event = testing::post(order)
            .header("X-Shopify-Shop-Domain", "bears.myshopify.com")
            .header("X-Shopify-Topic", "orders/create")
            .build();
        assert_eq!(shop(&event), Some("bears.myshopify.com"));
        let order = Order::from_event_ref(&event).unwrap();
        assert_eq!(
            (order.line_items[0].price.as_str(), order.customer),
            ("74.99", None)
        );
        assert!(
            matches!(Event::from_event(event), Ok(Event::Order(order)) if order.name == "#9999")
        );
    }

    #[test]
    fn topics_decide() {
        let of = |topic: &str, body: Value| {
            Event::from_event(testing::post(body).event_type(topic).build()).unwrap()
        };
        let product = of(
            "products/update",
            json!({ "id": 1, "variants": [{ "id": 2, "inventory_quantity": -1 }] }),
        );
        assert!(
            matches!(product, Event::Product(product) if product.variants[0].inventory_quantity == Some(-1))
        );
        assert_eq!(
            of("orders/delete", json!({ "id": 7 })),
            Event::Deleted(Deleted { id: 7 })
        );
        let redact = of(
            "customers/redact",
            json!({ "shop_id": 1, "orders_to_redact": [3] }),
        );
        assert!(matches!(redact, Event::Privacy(request) if request.orders_to_redact == [3]));
        for (topic, is_typed) in [
            ("checkouts/create", true),
            ("customers/update", true),
            ("refunds/create", true),
            ("fulfillments/create", true),
            ("inventory_levels/update", true),
            ("app/uninstalled", true),
            ("themes/publish", false),
        ] {
            let other = matches!(of(topic, json!({ "id": null })), Event::Other(..));
            assert_eq!(other, !is_typed, "{topic}");
        }
        let wrong = json!({ "id": "gid://shopify/Order/1" });
        let kept = Event::Other("orders/create".into(), wrong.clone());
        assert_eq!(of("orders/create", wrong), kept);
        let no_topic = Event::from_event(testing::event(json!({})));
        assert!(matches!(no_topic, Err(Failure::Reject { .. })));
    }
}
