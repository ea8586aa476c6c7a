//! Shopify. Source: shopify.dev/docs/api/webhooks: the topics whose body is an order (`orders/create`, `orders/paid`, `orders/updated`,
//! …; not `orders/delete` and `orders/edited`).

use crate::{Failure, FromEvent};
use serde::Deserialize;

/// An order; it may be the argument of a handler. Amounts are text with a point, as Shopify sends them: `"10.00"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Order {
    /// At Shopify.
    pub id: u64,
    /// For people: `#1001`.
    pub name: String,
    /// None where the customer gave none.
    pub email: Option<String>,
    /// ISO 8601 with an offset.
    pub created_at: String,
    /// ISO 4217: `EUR`.
    pub currency: String,
    /// With taxes and shipping.
    pub total_price: String,
    /// `paid`, `pending`, `refunded`, …
    pub financial_status: Option<String>,
    /// `fulfilled`, `partial`; none as long as nothing is.
    pub fulfillment_status: Option<String>,
    /// What was ordered.
    pub line_items: Vec<LineItem>,
    /// None for orders without an account.
    pub customer: Option<Customer>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LineItem {
    /// Of the product.
    pub title: String,
    /// How many.
    pub quantity: u64,
    /// Of one.
    pub price: String,
    /// None where the shop gave none.
    pub sku: Option<String>,
}

/// Who ordered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Customer {
    /// At Shopify.
    pub id: u64,
    /// None where unknown.
    pub email: Option<String>,
    /// None where unknown.
    pub first_name: Option<String>,
    /// None where unknown.
    pub last_name: Option<String>,
}

impl FromEvent for Order {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
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
            .build();
        assert_eq!(shop(&event), Some("bears.myshopify.com"));
        let order = Order::from_event(event).unwrap();
        assert_eq!(
            (order.line_items[0].price.as_str(), order.customer),
            ("74.99", None)
        );
        assert!(matches!(
            Order::from_event(testing::event(json!({ "id": 1 }))),
            Err(Failure::Reject { .. })
        ));
    }
}
