//! The objects of Shopify's payloads.

use serde::Deserialize;
use serde_json::Value;

/// An order. It can be an argument of a handler.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Order {
    /// At Shopify.
    pub id: u64,
    /// For people: `#1001`.
    pub name: String,
    /// The number in `name`.
    pub order_number: u64,
    /// Of the customer.
    pub email: Option<String>,
    /// Of the customer.
    pub phone: Option<String>,
    /// ISO 8601 with an offset.
    pub created_at: String,
    /// ISO 8601 with an offset.
    pub cancelled_at: Option<String>,
    /// `customer`, `fraud`, `inventory`, …
    pub cancel_reason: Option<String>,
    /// ISO 4217: `EUR`.
    pub currency: String,
    /// With taxes and shipping.
    pub total_price: String,
    /// Without taxes and shipping.
    pub subtotal_price: String,
    /// Taxes.
    pub total_tax: String,
    /// `paid`, `pending`, `refunded`, …
    pub financial_status: Option<String>,
    /// `fulfilled`, `partial`; `None` until something is fulfilled.
    pub fulfillment_status: Option<String>,
    /// What was ordered.
    pub line_items: Vec<LineItem>,
    /// `None` for orders without an account.
    pub customer: Option<Customer>,
    /// `None` if nothing is shipped.
    pub shipping_address: Option<Address>,
    /// `None` if the customer gave none.
    pub billing_address: Option<Address>,
    /// Text of the customer.
    pub note: Option<String>,
    /// Separated by commas.
    pub tags: String,
    /// A test order.
    pub test: bool,
}

/// A line of an order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LineItem {
    /// At Shopify.
    pub id: Option<u64>,
    /// Of the product.
    pub title: String,
    /// Of the variant.
    pub variant_title: Option<String>,
    /// Pieces.
    pub quantity: u64,
    /// Of one piece.
    pub price: String,
    /// Of the shop.
    pub sku: Option<String>,
    /// `None` for a product that no longer exists.
    pub product_id: Option<u64>,
    /// `None` for a variant that no longer exists.
    pub variant_id: Option<u64>,
}

/// A customer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Customer {
    /// At Shopify.
    pub id: u64,
    /// Of the customer.
    pub email: Option<String>,
    /// Of the customer.
    pub phone: Option<String>,
    /// Of the customer.
    pub first_name: Option<String>,
    /// Of the customer.
    pub last_name: Option<String>,
    /// Separated by commas.
    pub tags: String,
}

/// An address.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Address {
    /// Of the person.
    pub name: Option<String>,
    /// Of the person.
    pub company: Option<String>,
    /// Street and number.
    pub address1: Option<String>,
    /// More of the address.
    pub address2: Option<String>,
    /// The postal code.
    pub zip: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// The state or province.
    pub province: Option<String>,
    /// ISO 3166: `DE`.
    pub country_code: Option<String>,
    /// Of the person.
    pub phone: Option<String>,
}

/// A checkout that is not an order yet.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Checkout {
    /// At Shopify.
    pub id: u64,
    /// In the addresses of the checkout.
    pub token: String,
    /// Of the customer.
    pub email: Option<String>,
    /// ISO 8601 with an offset.
    pub created_at: String,
    /// `None` until there is an order.
    pub completed_at: Option<String>,
    /// Where the customer continues.
    pub abandoned_checkout_url: Option<String>,
    /// ISO 4217: `EUR`.
    pub currency: String,
    /// With taxes and shipping.
    pub total_price: String,
    /// What is in the cart.
    pub line_items: Vec<LineItem>,
    /// `None` without an account.
    pub customer: Option<Customer>,
}

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Product {
    /// At Shopify.
    pub id: u64,
    /// The title.
    pub title: String,
    /// In the address of the product.
    pub handle: String,
    /// The description.
    pub body_html: Option<String>,
    /// The brand.
    pub vendor: String,
    /// A category of the shop.
    pub product_type: String,
    /// `active`, `archived` or `draft`.
    pub status: String,
    /// Separated by commas.
    pub tags: String,
    /// At least one.
    pub variants: Vec<Variant>,
}

/// A variant of a product.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Variant {
    /// At Shopify.
    pub id: u64,
    /// The title.
    pub title: String,
    /// Of one piece.
    pub price: String,
    /// Of the shop.
    pub sku: Option<String>,
    /// Pieces in stock.
    pub inventory_quantity: Option<i64>,
    /// The item of an inventory level.
    pub inventory_item_id: Option<u64>,
}

/// A refund of an order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Refund {
    /// At Shopify.
    pub id: u64,
    /// The order.
    pub order_id: u64,
    /// ISO 8601 with an offset.
    pub created_at: String,
    /// Text of the shop.
    pub note: Option<String>,
    /// What is given back.
    pub refund_line_items: Vec<Value>,
    /// The payments.
    pub transactions: Vec<Transaction>,
}

/// A payment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Transaction {
    /// At Shopify.
    pub id: u64,
    /// `refund`, `sale`, `capture`, …
    pub kind: String,
    /// `success`, `pending`, `failure` or `error`.
    pub status: String,
    /// Of the payment.
    pub amount: String,
    /// ISO 4217: `EUR`.
    pub currency: Option<String>,
    /// Who moved the money.
    pub gateway: Option<String>,
}

/// A shipment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Fulfillment {
    /// At Shopify.
    pub id: u64,
    /// The order.
    pub order_id: u64,
    /// `success`, `pending`, `cancelled`, …
    pub status: String,
    /// ISO 8601 with an offset.
    pub created_at: String,
    /// The carrier.
    pub tracking_company: Option<String>,
    /// Of the first parcel.
    pub tracking_number: Option<String>,
    /// The pages of the parcels.
    pub tracking_urls: Vec<String>,
    /// What is shipped.
    pub line_items: Vec<LineItem>,
}

/// The stock of an item at a location.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct InventoryLevel {
    /// The item of a variant.
    pub inventory_item_id: u64,
    /// Where.
    pub location_id: u64,
    /// Pieces; `None` if they are not counted.
    pub available: Option<i64>,
    /// ISO 8601 with an offset.
    pub updated_at: String,
}

/// A shop.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Shop {
    /// At Shopify.
    pub id: u64,
    /// The name.
    pub name: String,
    /// Of the owner.
    pub email: Option<String>,
    /// The host name for customers.
    pub domain: String,
    /// `name.myshopify.com`.
    pub myshopify_domain: String,
    /// ISO 4217: `EUR`.
    pub currency: String,
    /// The plan.
    pub plan_name: Option<String>,
}

/// What was deleted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Deleted {
    /// At Shopify.
    pub id: u64,
}

/// A request to hand out or delete data of a person or a shop.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PrivacyRequest {
    /// At Shopify.
    pub shop_id: u64,
    /// `name.myshopify.com`.
    pub shop_domain: String,
    /// The person; `None` for a shop.
    pub customer: Option<Customer>,
    /// Orders to hand out.
    pub orders_requested: Vec<u64>,
    /// Orders to delete.
    pub orders_to_redact: Vec<u64>,
}
